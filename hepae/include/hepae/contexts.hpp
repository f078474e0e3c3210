/// Jets to groups whose residuals are distributed alike, by a tree of yes-or-no questions about known integers.
#ifndef HEPAE_CONTEXTS_HPP
#define HEPAE_CONTEXTS_HPP

#include <cstddef>
#include <cstdint>
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
  void operator()(const std::int32_t* const* bases, std::int32_t* __restrict out) const {
    for (std::size_t i = 0; i < block; ++i) out[i] = 0;
    std::int32_t next = 0;
    for (const Question& question : questions) {
      ++next;
      const std::int32_t* __restrict const base = bases[question.base];
      const std::int32_t group = question.group, threshold = question.threshold;
      for (std::size_t i = 0; i < block; ++i) {
        const std::int32_t asked = -static_cast<std::int32_t>(base[i] >= threshold);
        const std::int32_t inside = -static_cast<std::int32_t>(out[i] == group);
        out[i] ^= (out[i] ^ next) & asked & inside;
      }
    }
  }
};

}  // namespace detail
}  // namespace hepae

#endif
