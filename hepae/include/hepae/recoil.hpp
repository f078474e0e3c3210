/// Where a jet's phi points if it balances the jets before it in its event, in steps of a turn.
#ifndef HEPAE_RECOIL_HPP
#define HEPAE_RECOIL_HPP

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "hepae/buffer.hpp"
#include "hepae/exact_math.hpp"
#include "hepae/jet_order.hpp"
#include "hepae/polynomials.hpp"

namespace hepae {
namespace detail {

constexpr int turn_steps = 4096;

/// Cosine and sine of 0, 1 ... 4095 steps, by integer arithmetic; those of opposite steps are exactly opposite.
struct Directions {
  struct Unit {
    double cosine, sine;
  };
  Unit units[turn_steps];

  Directions() {
    __extension__ typedef __int128 Wide;
    constexpr int octant = turn_steps / 8, bits = 60;
    constexpr std::int64_t step_cosine = 1152920148139012899, step_sine = 1768558744408523;
    double cosine[octant + 1], sine[octant + 1];
    Wide c = Wide{1} << bits, s = 0;
    for (int k = 0; k <= octant; ++k) {
      cosine[k] = static_cast<double>(static_cast<std::int64_t>(c)) / 0x1p60;
      sine[k] = static_cast<double>(static_cast<std::int64_t>(s)) / 0x1p60;
      const Wide next = (c * step_cosine - s * step_sine) >> bits;
      s = (c * step_sine + s * step_cosine) >> bits;
      c = next;
    }
    for (int k = 0; k < 2 * octant; ++k) {
      const double x = k <= octant ? cosine[k] : sine[2 * octant - k];
      const double y = k <= octant ? sine[k] : cosine[2 * octant - k];
      units[k] = {x, y};
      units[2 * octant + k] = {-y, x};
      units[4 * octant + k] = {-x, -y};
      units[6 * octant + k] = {y, -x};
    }
  }
};
inline const Directions::Unit* directions() {
  static const Directions made;
  return made.units;
}

/// Directions of a block of (x, y) in steps from the x axis, 0 to 4095; that of (0, 0) is 0.
HEPAE_LOOP inline void direction(const double* __restrict x, const double* __restrict y, double* __restrict out) {
  const Products times;
  for (std::size_t i = 0; i < block; ++i) {
    const double width = size_of(x[i]), height = size_of(y[i]);
    const double longer = chosen_if_negative(height - width, width, height);
    const double shorter = chosen_if_negative(height - width, height, width);
    const double slope = shorter / chosen_if_negative(0.0 - longer, longer, 1.0);
    const double square = slope * slope;
    double angle = 0.0208351;
    angle = times(angle, square) + -0.0851330;
    angle = times(angle, square) + 0.1801410;
    angle = times(angle, square) + -0.3302995;
    angle = times(angle, square) + 0.9998660;
    double steps = nearest_of_small(times(angle * slope, turn_steps / 6.283185307179586));
    steps = chosen_if_negative(width - height, turn_steps / 4 - steps, steps);
    steps = chosen_if_negative(x[i] + 0.0, turn_steps / 2 - steps, steps);  // -0 is not below 0
    steps = chosen_if_negative(y[i] + 0.0, turn_steps - steps, steps);
    out[i] = chosen_if_negative(steps - turn_steps, steps, 0.0);
  }
}

/// The recoil of the jets before each jet; it is filled in rank by rank, as phi is decoded.
class Recoil {
 public:
  /// `pt` is restored, in the order of the ranks; `low` is the lowest integer of phi, `turn` how many make a turn.
  Recoil(Pool& pool, const Ranks& ranks, Buffer<double> pt, std::int64_t low, std::int64_t turn)
      : ranks_(ranks), low_(low), turn_(turn), pt_(std::move(pt)) {
    const std::size_t jets = ranks.jets();
    for (std::size_t i = 0; i < jets; ++i) pt_[i] = pt_[i] > 0 && pt_[i] < 1e30 ? pt_[i] : 0.0;
    for (Buffer<double>* sums : {&x_, &y_, &later_}) *sums = Buffer<double>(pool, jets);
    angle_ = Buffer<std::int64_t>(pool, jets);
    for (Buffer<std::int32_t>* bases : {&share_, &rest_}) *bases = Buffer<std::int32_t>(pool, jets);
    const std::vector<Places>& places = ranks.ranks();
    for (std::size_t i = 0; i < places[0].size(); ++i) {
      x_[i] = y_[i] = 0.0;
      angle_[i] = 0;
      share_[i] = rest_[i] = 0;
    }
    for (std::size_t rank = places.size(); rank-- > 0;) {
      const Places here = places[rank], after = rank + 1 < places.size() ? places[rank + 1] : Places();
      double* const later = later_.data() + here.begin;
      for (std::size_t i = 0; i < after.size(); ++i) later[i] = later_[after.begin + i] + pt_[after.begin + i];
      std::fill(later + after.size(), later + here.size(), 0.0);
    }
  }

  const std::int64_t* angle() const { return angle_.data(); }  ///< integer of phi that balances the jets before
  const std::int32_t* share() const { return share_.data(); }
  const std::int32_t* rest() const { return rest_.data(); }

  /// Take in phi of the jets of a rank, all places of which are given, for those of the next one.
  void take(std::size_t rank, const std::int64_t* phi) {
    const Places here = ranks_.ranks()[rank], after = ranks_.ranks()[rank + 1];
    for (std::size_t start = 0; start < after.size(); start += block) {
      take(here.begin + start, after.begin + start, std::min(block, after.size() - start), phi);
    }
  }

  /// The phi that is so far from an angle.
  std::int64_t turned(std::int64_t angle, std::int64_t difference) const {
    return wrapped_sum(low_, inside(wrapped_difference(wrapped_sum(angle, difference), low_)));
  }

 private:
  /// Take in phi of jets from one place on, for as many, at most a block, from another one on.
  void take(std::size_t from, std::size_t to, std::size_t count, const std::int64_t* phi) {
    const Directions::Unit* const units = directions();
    const Products times;
    const auto per_turn = static_cast<double>(turn_);
    const std::int64_t low = low_;
    double x[block], y[block], pt[block], later[block], steps[block], length[block];
    for (std::size_t i = count; i < block; ++i) x[i] = y[i] = pt[i] = later[i] = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
      // below 2^52 and divided by less than 2^40: the quotient of doubles is never rounded up to a whole number
      const auto turned = static_cast<double>(inside(wrapped_difference(phi[from + i], low_)) * turn_steps);
      const Directions::Unit unit = units[static_cast<std::int64_t>(turned / per_turn)];
      x[i] = x_[from + i] + times(pt_[from + i], unit.cosine);
      y[i] = y_[from + i] + times(pt_[from + i], unit.sine);
      pt[i] = pt_[to + i];
      later[i] = later_[to + i];
    }
    double left[block], down[block];
    for (std::size_t i = 0; i < block; ++i) {
      left[i] = -x[i];
      down[i] = -y[i];
    }
    direction(left, down, steps);
    std::int64_t angle[block];
    std::int32_t share[block], rest[block];
    for (std::size_t i = 0; i < block; ++i) {
      // the product is below 2^52, so exact, and so is its quotient by 2^12
      angle[i] = wrapped_sum(low, integer_of_small(floor_of_small(times(steps[i], per_turn) * 0x1p-12)));
    }
    for (std::size_t i = 0; i < block; ++i) length[i] = times(x[i], x[i]) + times(y[i], y[i]);
    square_roots(length);
    for (std::size_t i = 0; i < block; ++i) {
      const double both = length[i] + pt[i], everything = both + later[i];
      share[i] = static_cast<std::int32_t>(length[i] / chosen_if_negative(1e-30 - both, both, 1e-30) * 32768.0);
      rest[i] = static_cast<std::int32_t>(later[i] / chosen_if_negative(1e-30 - everything, everything, 1e-30) * 32768.0);
    }
    std::copy(x, x + count, x_.data() + to);
    std::copy(y, y + count, y_.data() + to);
    std::copy(angle, angle + count, angle_.data() + to);
    std::copy(share, share + count, share_.data() + to);
    std::copy(rest, rest + count, rest_.data() + to);
  }

  /// An integer modulo a turn, from 0 on.
  std::int64_t inside(std::int64_t value) const {
    if (value >= turn_ && value - turn_ < turn_) return value - turn_;
    if (value >= 0 && value < turn_) return value;
    const std::int64_t rest = value % turn_;
    return rest < 0 ? rest + turn_ : rest;
  }

  const Ranks& ranks_;
  std::int64_t low_, turn_;
  Buffer<double> pt_, x_, y_, later_;
  Buffer<std::int64_t> angle_;
  Buffer<std::int32_t> share_, rest_;
};

}  // namespace detail
}  // namespace hepae

#endif
