/// Integers to values: grids with dither, repeated values, exact columns and exceptions.
#ifndef HEPAE_QUANTIZATION_HPP
#define HEPAE_QUANTIZATION_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "hepae/buffer.hpp"
#include "hepae/bytes.hpp"
#include "hepae/error.hpp"
#include "hepae/grids.hpp"
#include "hepae/pcodec.hpp"
#include "hepae/values.hpp"

namespace hepae {
namespace detail {

constexpr std::uint64_t golden = 0x9E3779B97F4A7C15u;

/// Shift of the grid for each jet in [-1/2, 1/2): splitmix64's finaliser over the jet's number.
class Dither {
 public:
  Dither(std::uint64_t seed, std::uint64_t column) : start_(seed + golden * (2 * column + 1)) {}

  double operator()(std::uint64_t jet) const {
    std::uint64_t x = (jet + 1) * golden + start_;
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    x ^= x >> 31;
    // the product with a power of two is exact: fused or not, the difference is the same
    return static_cast<double>(static_cast<std::int64_t>(x >> 11)) * 0x1p-53 - 0.5;
  }

 private:
  std::uint64_t start_;
};

/// Numbers of jets, rising, that were written as gaps.
inline std::vector<std::uint32_t> read_rows(Pool& pool, Reader& in, std::uint64_t jets, const std::string& header) {
  const Run gaps = read_integers(pool, in, jets, header);
  std::vector<std::uint32_t> rows(gaps.size());
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (gaps.numbers[i] <= 0 || static_cast<std::uint64_t>(gaps.numbers[i]) > jets - end) {
      throw Error("damaged payload: exceptions beyond the cluster");
    }
    end += static_cast<std::uint64_t>(gaps.numbers[i]);
    rows[i] = static_cast<std::uint32_t>(end - 1);
  }
  return rows;
}

inline bool is_float(Type type) { return type == Type::float32 || type == Type::float64; }

inline std::int64_t shifted_left(std::int64_t value, unsigned count) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << count);
}

/// Value of type T of the integer that stands for it in an exact column, its `shift` last zeros put back.
template <class T>
T exact_value(std::int64_t integer, unsigned shift) {
  const std::int64_t ordered = shifted_left(integer, shift);
  if constexpr (std::is_same_v<T, bool>) {
    return ordered != 0;
  } else if constexpr (std::is_floating_point_v<T>) {
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    constexpr std::uint64_t most = sizeof(T) == 4 ? 0x7FFFFFFFu : 0x7FFFFFFFFFFFFFFFu;
    const std::uint64_t inverted = ordered < 0 ? most & (~std::uint64_t{0} << shift) : 0;
    return float_of<T>(static_cast<Bits>(static_cast<std::uint64_t>(ordered) ^ inverted));
  } else {
    return static_cast<T>(static_cast<std::uint64_t>(ordered));
  }
}

/// Integers of an exact column of the floats that stand for them, given as bits with the sign extended.
inline std::int64_t ordered_of_bits(std::int64_t bits, Type type) {
  const std::int64_t most = type == Type::float32 ? 0x7FFFFFFF : 0x7FFFFFFFFFFFFFFF;
  return bits < 0 ? bits ^ most : bits;
}

/// Call a function with a value of the C++ type of a column.
template <class Function>
void with_type(Type type, Function&& function) {
  switch (type) {
    case Type::float32: return function(float{});
    case Type::float64: return function(double{});
    case Type::int8: return function(std::int8_t{});
    case Type::int16: return function(std::int16_t{});
    case Type::int32: return function(std::int32_t{});
    case Type::int64: return function(std::int64_t{});
    case Type::uint8: return function(std::uint8_t{});
    case Type::uint16: return function(std::uint16_t{});
    case Type::uint32: return function(std::uint32_t{});
    case Type::uint64: return function(std::uint64_t{});
    case Type::boolean: return function(bool{});
  }
}

/// All that restores a column, but its integers.
struct Quantized {
  static constexpr std::size_t most_repeated = 16;

  Type type = Type::float32;
  Grid grid;
  unsigned shift = 0;   ///< trailing zero bits that an exact float column does without
  bool circle = false;  ///< whether values beyond pi are mirrored there
  std::size_t repeated = 0;
  std::int64_t places[most_repeated] = {};     ///< integers of the repeated values, rising
  std::uint64_t patterns[most_repeated] = {};  ///< the bits of these values
  std::vector<std::uint32_t> exceptions;       ///< jets that are stored as they are, rising
  Buffer<std::int64_t> stored;                 ///< their values as integers of an exact column
  unsigned stored_shift = 0;

  static Quantized read(Pool& pool, Reader& in, std::uint64_t jets, const std::string& header) {
    Quantized column;
    const std::string text = in.text();
    if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
      throw Error("damaged payload: a name is no text");
    }
    column.type = type_of(text);
    const auto flags = static_cast<unsigned>(in.varint(511));
    column.circle = (flags & 4) != 0;
    column.shift = flags >> 3;
    if ((flags & 3) != 0) column.grid = Grid::read(flags & 3, in);
    if (column.grid.kind != 0 && !is_float(column.type)) {
      throw Error(std::string("damaged payload: a grid in a column of ") +
                  (column.type == Type::boolean ? "bool" : type_name(column.type)));
    }
    column.repeated = static_cast<std::size_t>(in.varint(most_repeated));
    const std::size_t size = type_size(column.type);
    const std::uint8_t* const values = in.raw(column.repeated * size);
    for (std::size_t i = 0; i < column.repeated; ++i) std::memcpy(&column.patterns[i], values + i * size, size);
    for (std::size_t i = 0; i < column.repeated; ++i) column.places[i] = static_cast<std::int64_t>(in.varint());
    for (std::size_t i = 1; i < column.repeated; ++i) {
      if (column.places[i] <= column.places[i - 1]) throw Error("damaged payload: repeated values out of order");
    }
    column.exceptions = read_rows(pool, in, jets, header);
    if (column.exceptions.empty()) return column;
    column.stored_shift = static_cast<unsigned>(in.varint(63));
    Run stored = read_integers(pool, in, column.exceptions.size(), header);
    if (stored.size() != column.exceptions.size()) {
      throw Error("damaged payload: exceptions without their values");
    }
    column.stored = std::move(stored.numbers);
    return column;
  }

  /// Values of integers, the exceptions apart. Integer i is that of jet `order[i]` (i where there is no order), and its value
  /// goes there. `out` has as many values of type T as there are integers.
  template <class T>
  void restore(const std::int64_t* integers, std::size_t count, const std::uint32_t* order, const Dither* dither,
               T* out) const {
    if (grid.kind == 0) {
      for (std::size_t i = 0; i < count; ++i) {
        out[order != nullptr ? order[i] : i] = exact_value<T>(integers[i], shift);
      }
      return;
    }
    if constexpr (std::is_floating_point_v<T>) {
      double positions[block];
      std::int64_t ordinary[block];
      for (std::size_t start = 0; start < count; start += block) {
        const std::size_t size = std::min(block, count - start);
        const std::int64_t* const some = integers + start;
        const bool hit = repeated > 0 && without_places(some, ordinary);
        const std::int64_t* const counted = repeated > 0 ? ordinary : some;
        for (std::size_t i = 0; i < size; ++i) {
          const std::size_t jet = order != nullptr ? order[start + i] : start + i;
          positions[i] = static_cast<double>(counted[i]) + (dither != nullptr ? (*dither)(jet) : 0.0);
        }
        for (std::size_t i = size; i < block; ++i) positions[i] = 0.0;
        grid.invert(positions);
        if (circle) mirror(positions);
        if (order == nullptr) {
          for (std::size_t i = 0; i < size; ++i) out[start + i] = static_cast<T>(positions[i]);
        } else {
          for (std::size_t i = 0; i < size; ++i) out[order[start + i]] = static_cast<T>(positions[i]);
        }
        if (hit) put_repeated(some, size, order, start, out);
      }
    }
  }

  /// Put the exceptions' own values in their places; gives what stood there, as float64.
  template <class T>
  std::vector<double> complete(T* out) const {
    std::vector<double> before(exceptions.size());
    for (std::size_t i = 0; i < exceptions.size(); ++i) {
      before[i] = static_cast<double>(out[exceptions[i]]);
      out[exceptions[i]] = exact_value<T>(shifted_left(stored[i], stored_shift), 0);
    }
    return before;
  }

 private:
  /// Integers less the number of places below them; whether one of them is a place.
  HEPAE_LOOP bool without_places(const std::int64_t* integers, std::int64_t* ordinary) const {
    std::int64_t below[block] = {}, hits[block] = {};
    for (std::size_t place = 0; place < repeated; ++place) {
      const std::int64_t at = places[place];
      for (std::size_t i = 0; i < block; ++i) {
        below[i] += integers[i] > at ? 1 : 0;
        hits[i] |= integers[i] == at ? 1 : 0;
      }
    }
    std::int64_t hit = 0;
    for (std::size_t i = 0; i < block; ++i) {
      ordinary[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(integers[i]) - static_cast<std::uint64_t>(below[i]));
      hit |= hits[i];
    }
    return hit != 0;
  }

  /// Mirror angles beyond pi there.
  HEPAE_LOOP static void mirror(double* __restrict angles) {
    constexpr double pi = 3.141592653589793, turn = 2 * pi;
    for (std::size_t i = 0; i < block; ++i) {
      const double angle = angles[i];
      angles[i] = chosen_if_negative(pi - size_of(angle), with_sign(turn, angle) - angle, angle);
    }
  }

  template <class T>
  void put_repeated(const std::int64_t* integers, std::size_t size, const std::uint32_t* order, std::size_t start,
                    T* out) const {
    for (std::size_t i = 0; i < size; ++i) {
      const std::int64_t* const place = std::lower_bound(places, places + repeated, integers[i]);
      if (place != places + repeated && *place == integers[i]) {
        std::memcpy(&out[order != nullptr ? order[start + i] : start + i], &patterns[place - places], sizeof(T));
      }
    }
  }
};

}  // namespace detail
}  // namespace hepae

#endif
