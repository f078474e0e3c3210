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
    const Pieces::Piece* const table = pieces();
    for (std::size_t i = 0; i < block; ++i) {
      const double position = positions[i];
      const double along = (size_of(position) + origin) / width;
      const std::int64_t cut = to_int64(along);
      const std::int64_t whole = cut - (static_cast<double>(cut) > along ? 1 : 0);
      // beyond 2^63 numpy's floor stays a float, and nothing is left of it
      const double floored = size_of(along) < 4503599627370496.0 ? static_cast<double>(whole) : along;
      const std::uint64_t number = static_cast<std::uint64_t>(size_of(along) < 4503599627370496.0 ? whole : cut);
      const Pieces::Piece piece = table[number & 255];
      const double mantissa = times(along - floored, piece.length) + piece.start;
      const std::uint64_t power = static_cast<std::uint64_t>(static_cast<std::int64_t>(number) >> 8) << 52;
      positions[i] = with_sign(double_of_bits(bits_of_double(mantissa) + power) - offset, position);
    }
  }
};

}  // namespace detail
}  // namespace hepae

#endif
