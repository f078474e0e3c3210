/// Predictions of a column's integers: sums of products of known ones, with fixed-point coefficients.
#ifndef HEPAE_POLYNOMIALS_HPP
#define HEPAE_POLYNOMIALS_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hepae/buffer.hpp"
#include "hepae/bytes.hpp"

namespace hepae {
namespace detail {

constexpr int base_width = 14;
constexpr std::int64_t base_limit = 1 << 15;
constexpr int fraction = 20;

inline std::int64_t clipped(std::int64_t value, std::int64_t limit) {
  value = value < -limit ? -limit : value;
  return value > limit ? limit : value;
}

inline std::int64_t wrapped_sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
inline std::int64_t wrapped_difference(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

inline std::int64_t wrapped_product(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

/// A column's integers brought to a common width: the base of i is (i - center) * 2^exponent in +-2^15.
struct Scale {
  std::int64_t center = 0;
  int exponent = base_width;

  /// Median and width of some integers, at least one.
  static Scale of(const std::int64_t* integers, std::size_t count) {
    const std::size_t step = std::max<std::size_t>(1, count / 8192);
    std::vector<std::int64_t> sample;
    sample.reserve(count / step + 1);
    for (std::size_t i = 0; i < count; i += step) sample.push_back(integers[i]);
    const auto at = [&](std::size_t percent) {
      const auto place = sample.begin() + static_cast<std::ptrdiff_t>(sample.size() * percent / 100);
      std::nth_element(sample.begin(), place, sample.end());
      return *place;
    };
    const std::int64_t low = at(1), middle = at(50), high = at(99);
    std::uint64_t width = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    int bits = 0;
    for (; width > 0; width >>= 1) ++bits;
    return {middle, base_width - bits};
  }

  static Scale read(Reader& in) {
    const std::int64_t center = unzigzag(in.varint());
    return {center, base_width - static_cast<int>(in.varint(64))};
  }

  /// Integers as bases.
  void bases(const std::int64_t* integers, std::size_t count, std::int32_t* out) const {
    if (exponent < 0) {
      const int shift = -exponent;
      for (std::size_t i = 0; i < count; ++i) {
        out[i] = static_cast<std::int32_t>(clipped(wrapped_difference(integers[i], center) >> shift, base_limit));
      }
    } else {
      const std::int64_t limit = base_limit >> exponent, unit = std::int64_t{1} << exponent;
      for (std::size_t i = 0; i < count; ++i) {
        out[i] = static_cast<std::int32_t>(clipped(wrapped_difference(integers[i], center), limit) * unit);
      }
    }
  }

  /// A block of a form's totals to the nearest integers.
  HEPAE_LOOP void integers(const std::int64_t* totals, std::int64_t* out) const {
    const int shift = fraction + exponent;
    if (shift > 0) {
      const std::int64_t half = std::int64_t{1} << (shift - 1);
      for (std::size_t i = 0; i < block; ++i) out[i] = wrapped_sum(center, wrapped_sum(totals[i], half) >> shift);
    } else {
      for (std::size_t i = 0; i < block; ++i) {
        const std::uint64_t scaled = static_cast<std::uint64_t>(totals[i]) << -shift;
        out[i] = wrapped_sum(center, static_cast<std::int64_t>(scaled));
      }
    }
  }
};

/// Product of two bases as a base. Behind the last jet of a block stand any numbers: none of them overflows.
inline std::int32_t product(std::int32_t first, std::int32_t second) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(first) * static_cast<std::uint32_t>(second)) >> base_width;
}

/// Sum of coefficient * base * base; where the second base is 0, of coefficient * base.
struct Form {
  static constexpr std::uint64_t most_terms = 12;
  struct Term {
    unsigned first = 0, second = 0;
    std::int64_t coefficient = 0;
  };
  std::vector<Term> terms;

  static Form read(Reader& in, std::uint64_t bases) {
    Form form;
    form.terms.resize(static_cast<std::size_t>(in.varint(most_terms)));
    for (Term& term : form.terms) {
      term.first = static_cast<unsigned>(in.varint(bases - 1));
      term.second = static_cast<unsigned>(in.varint(bases - 1));
      term.coefficient = unzigzag(in.varint(std::uint64_t{1} << 39));
    }
    return form;
  }

  /// Evaluate a block, with 20 binary places.
  HEPAE_LOOP void totals(const std::int32_t* const* bases, std::int64_t* __restrict out) const {
    for (std::size_t i = 0; i < block; ++i) out[i] = 0;
    for (const Term& term : terms) {
      const std::int32_t* __restrict const first = bases[term.first];
      const std::int32_t* __restrict const second = bases[term.second];
      const std::int64_t coefficient = term.coefficient;
      if (term.second == 0) {
        for (std::size_t i = 0; i < block; ++i) out[i] = wrapped_sum(out[i], wrapped_product(first[i], coefficient));
      } else {
        for (std::size_t i = 0; i < block; ++i) out[i] = wrapped_sum(out[i], product(first[i], second[i]) * coefficient);
      }
    }
  }

  /// A block of totals as a base.
  static void base(const std::int64_t* totals, std::int32_t* out) {
    for (std::size_t i = 0; i < block; ++i) {
      out[i] = static_cast<std::int32_t>(clipped(totals[i] >> fraction, base_limit));
    }
  }
};

}  // namespace detail
}  // namespace hepae

#endif
