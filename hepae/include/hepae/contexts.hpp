/// Jets to groups whose residuals are distributed alike, by a tree of yes-or-no questions about known integers.
#ifndef HEPAE_CONTEXTS_HPP
#define HEPAE_CONTEXTS_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "hepae/buffer.hpp"
#include "hepae/bytes.hpp"
#include "hepae/polynomials.hpp"

namespace hepae {
namespace detail {

/// Questions in order: jets of the group whose base is not below the threshold form a new one.
struct Tree {
  static constexpr std::uint64_t most_questions = 255;
  struct Question {
    std::int32_t group = 0;
    unsigned base = 0;
    std::int32_t threshold = 0;
  };
  std::vector<Question> questions;

  std::size_t groups() const { return questions.size() + 1; }

  static Tree read(Reader& in, std::uint64_t bases) {
    Tree tree;
    tree.questions.resize(static_cast<std::size_t>(in.varint(most_questions)));
    for (std::size_t i = 0; i < tree.questions.size(); ++i) {
      Question& question = tree.questions[i];
      question.group = static_cast<std::int32_t>(in.varint(i));
      question.base = static_cast<unsigned>(in.varint(bases - 1));
      question.threshold = static_cast<std::int32_t>(unzigzag(in.varint(4 * base_limit)));
    }
    return tree;
  }

  /// Groups of a block.
  HEPAE_LOOP void operator()(const std::int32_t* const* bases, std::int32_t* __restrict out) const {
    for (std::size_t i = 0; i < block; ++i) out[i] = 0;
    std::int32_t next = 0;
    for (const Question& question : questions) {
      ++next;
      const std::int32_t* __restrict const base = bases[question.base];
      const std::int32_t group = question.group, threshold = question.threshold, step = next - group;
#if defined(__GNUC__)
      // g++ -O3 would make a loop of branches of the other one
#if defined(__AVX2__)
      using Lanes = std::int32_t __attribute__((vector_size(32)));
#else
      using Lanes = std::int32_t __attribute__((vector_size(16)));
#endif
      constexpr std::size_t lanes = sizeof(Lanes) / sizeof(std::int32_t);
      for (std::size_t i = 0; i < block; i += lanes) {
        Lanes known, groups;
        std::memcpy(&known, base + i, sizeof known);
        std::memcpy(&groups, out + i, sizeof groups);
        groups += step & (known >= threshold) & (groups == group);
        std::memcpy(out + i, &groups, sizeof groups);
      }
#else
      for (std::size_t i = 0; i < block; ++i) {
        out[i] += base[i] >= threshold && out[i] == group ? step : 0;
      }
#endif
    }
  }
};

}  // namespace detail
}  // namespace hepae

#endif
