/// Grids: position in steps to value, with equal steps or with steps that grow with the value.
#ifndef HEPAE_GRIDS_HPP
#define HEPAE_GRIDS_HPP

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "hepae/buffer.hpp"
#include "hepae/bytes.hpp"
#include "hepae/error.hpp"
#include "hepae/exact_math.hpp"

namespace hepae {
namespace detail {

/// Starts 2^(k/256) and lengths of the pieces of [1, 2): products of repeated square roots of 2.
struct Pieces {
  struct Piece {
    double start, length;
  };
  Piece pieces[256];
  Pieces() {
    double roots[9], starts[257];
    roots[0] = 2.0;
    for (int i = 0; i < 8; ++i) roots[i + 1] = std::sqrt(roots[i]);
    for (int piece = 0; piece < 256; ++piece) {
      starts[piece] = 1.0;
      for (int bit = 0; bit < 8; ++bit) {
        if ((piece >> bit & 1) != 0) starts[piece] *= roots[8 - bit];
      }
    }
    starts[256] = 2.0;
    for (int piece = 0; piece < 256; ++piece) pieces[piece] = {starts[piece], starts[piece + 1] - starts[piece]};
  }
};
inline const Pieces::Piece* pieces() {
  static const Pieces made;
  return made.pieces;
}

/// Values of positions.
struct Grid {
  unsigned kind = 0;  ///< 0: there is none; 1: equal steps; 2: growing ones
  double step = 0;    ///< of kind 1
  double width = 0, offset = 0, origin = 0;

  static Grid read(unsigned kind, Reader& in) {
    Grid grid;
    grid.kind = kind;
    bool sensible = false;
    if (kind == 1) {
      grid.step = in.float64();
      sensible = grid.step > 0 && std::isfinite(grid.step);
    } else {
      grid.width = in.float64();
      grid.offset = in.float64();
      grid.origin = in.float64();
      sensible = kind == 2 && grid.width > 0 && grid.offset >= 0 && std::isfinite(grid.width) &&
                 std::isfinite(grid.offset) && std::isfinite(grid.origin);
    }
    if (!sensible) throw Error("damaged payload: a grid that makes no sense");
    return grid;
  }

  /// A block of positions to values, in place.
  void invert(double* positions) const {
    const Products times;
    if (kind == 1) {
      for (std::size_t i = 0; i < block; ++i) positions[i] = times(positions[i], step);
      return;
    }
    double along[block];
    for (std::size_t i = 0; i < block; ++i) along[i] = (size_of(positions[i]) + origin) / width;
    std::uint64_t small = sign_bit;  // what is no number has larger bits than any number
    for (std::size_t i = 0; i < block; ++i) small &= bits_of_double(size_of(along[i])) - bits_of_double(0x1p50);
    if (small != 0) {
      pieces_of(along, positions);
    } else {
      for (std::size_t i = 0; i < block; ++i) positions[i] = piece_of(along[i], positions[i]);
    }
  }

 private:
  /// The values of a block whose positions are below 2^50.
  HEPAE_LOOP void pieces_of(const double* __restrict along, double* __restrict positions) const {
    const Products times;
    const Pieces::Piece* const table = pieces();
    std::uint64_t numbers[block];
    double rest[block];
    for (std::size_t i = 0; i < block; ++i) {
      const double floored = floor_of_small(along[i]);
      numbers[i] = static_cast<std::uint64_t>(integer_of_small(floored));
      rest[i] = along[i] - floored;
    }
    for (std::size_t i = 0; i < block; ++i) {
      const Pieces::Piece piece = table[numbers[i] & 255];
      rest[i] = times(rest[i], piece.length) + piece.start;
    }
    for (std::size_t i = 0; i < block; ++i) {
      const std::uint64_t power = (numbers[i] & ~std::uint64_t{255}) << 44;
      positions[i] = with_sign(double_of_bits(bits_of_double(rest[i]) + power) - offset, positions[i]);
    }
  }

  /// The value of any position, with the bits that x86-64 gives to those that make no sense.
  double piece_of(double along, double position) const {
    const Products times;
    const bool small = size_of(along) < 0x1p52;
    const double floored = small ? std::floor(along) : along;
    const auto number = static_cast<std::uint64_t>(to_int64(floored));
    const Pieces::Piece piece = pieces()[number & 255];
    const double mantissa = times(along - floored, piece.length) + piece.start;
    const std::uint64_t power = (number & ~std::uint64_t{255}) << 44;
    return with_sign(double_of_bits(bits_of_double(mantissa) + power) - offset, position);
  }
};

}  // namespace detail
}  // namespace hepae

#endif
