/// Arithmetic of IEEE doubles with the same bits whatever the compiler and its options: no product is fused with a sum.
///
/// Compilers contract a * b + c to one operation where the processor has it (g++ by default). `times` gives a product that is
/// rounded before anything is added to it: where a compiler could contract, it adds -0, which changes no product and which the
/// compiler does not know. So no option (-march=native, -ffp-contract=fast) and no pragma is needed. -ffast-math is refused.
#ifndef HEPAE_EXACT_MATH_HPP
#define HEPAE_EXACT_MATH_HPP

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "hepae/buffer.hpp"

#if defined(__SSE2__) && !defined(__CLING__)
#include <emmintrin.h>
#endif

#if defined(__FAST_MATH__)
#error "hepae: -ffast-math changes the bits of restored jets; leave it out (-O3 -march=native is fine)"
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "hepae: doubles have to be evaluated as doubles; on 32-bit x86 compile with -msse2 -mfpmath=sse"
#endif

namespace hepae {
namespace detail {

static_assert(std::numeric_limits<double>::is_iec559 && std::numeric_limits<float>::is_iec559,
              "hepae: floats have to be those of IEEE 754");

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__FMA__) && !defined(__FMA4__)
/// Products: this processor has no operation that fuses.
struct Products {
  double operator()(double a, double b) const { return a * b; }
};
#else
/// Products that are rounded before anything else happens to them. Make one outside of a loop.
class Products {
 public:
  double operator()(double a, double b) const { return a * b + zero_; }

 private:
  static double negative_zero() {
    volatile double zero = -0.0;
    return zero;
  }
  double zero_ = negative_zero();
};
#endif

inline std::uint64_t bits_of_double(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline double double_of_bits(std::uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;

/// The size of one number and the sign of another.
inline double with_sign(double size, double sign) {
  return double_of_bits((bits_of_double(size) & ~sign_bit) | (bits_of_double(sign) & sign_bit));
}
inline double size_of(double value) { return double_of_bits(bits_of_double(value) & ~sign_bit); }

/// a where a number has the sign bit, else b: a choice of which compilers make vector instructions even without those for
/// comparisons. The difference of two equal numbers is +0, so x - y chooses a where x < y.
inline double chosen_if_negative(double number, double a, double b) {
  const std::uint64_t mask = 0 - (bits_of_double(number) >> 63);
  return double_of_bits((bits_of_double(a) & mask) | (bits_of_double(b) & ~mask));
}

constexpr double whole_size = 0x1.8p52;  ///< doubles of this size have the last digit of their whole part in their last bit

/// The nearest whole number of one below 2^51, of two the even one.
inline double nearest_of_small(double x) { return (x + whole_size) - whole_size; }

/// The whole number not above one below 2^51.
inline double floor_of_small(double x) {
  const double nearby = nearest_of_small(x);
  return nearby - chosen_if_negative(x - nearby, 1.0, 0.0);
}

/// The integer of a whole number below 2^51.
inline std::int64_t integer_of_small(double whole) {
  return static_cast<std::int64_t>(bits_of_double(whole + whole_size) - bits_of_double(whole_size));
}

/// The nearest whole number, of two the even one, with the sign of x: for |x| < 2^51, larger ones stay as they are.
inline double nearest(double x) {
  return size_of(x) < 0x1p51 ? with_sign(nearest_of_small(x), x) : x;
}

/// An integer of what has been rounded or is cut off; -2^63 of what is no number or too large, as on x86-64.
inline std::int64_t to_int64(double x) {
  return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? static_cast<std::int64_t>(x)
                                                                  : std::numeric_limits<std::int64_t>::min();
}

/// Square roots of a block of numbers that are not negative, in place. IEEE rounds them alike everywhere; std::sqrt is slower
/// because it has to say of a negative number that it is one.
inline void square_roots(double* numbers) {
#if defined(__SSE2__) && !defined(__CLING__)
  for (std::size_t i = 0; i < block; i += 2) _mm_storeu_pd(numbers + i, _mm_sqrt_pd(_mm_loadu_pd(numbers + i)));
#else
  for (std::size_t i = 0; i < block; ++i) numbers[i] = std::sqrt(numbers[i]);
#endif
}

/// 1/n! for exp, the alternating ones of even and odd n for cos and sin.
struct Series {
  double exp[14], cos[9], sin[9];
  Series() {
    static const double factorials[] = {1.0, 1.0, 2.0, 6.0, 24.0, 120.0, 720.0, 5040.0, 40320.0, 362880.0, 3628800.0,
                                        39916800.0, 479001600.0, 6227020800.0, 87178291200.0, 1307674368000.0,
                                        20922789888000.0, 355687428096000.0};
    for (int n = 0; n < 14; ++n) exp[n] = 1.0 / factorials[n];
    for (int n = 0; n < 9; ++n) {
      const double sign = n % 2 == 0 ? 1.0 : -1.0;
      cos[n] = sign / factorials[2 * n];
      sin[n] = sign / factorials[2 * n + 1];
    }
  }
};
inline const Series& series() {
  static const Series made;
  return made;
}

/// exp, sinh, cosh, sin and cos as exact_math.py has them.
class ExactMath {
 public:
  /// e^x; arguments beyond +-708 are taken for these.
  double exp(double x) const {
    x = x > 708.0 ? 708.0 : x;
    x = x < -708.0 ? -708.0 : x;
    double turns;
    const double rest = reduced(x, 1.4426950408889634, ln2_high, ln2_low, turns);
    const double power = polynomial(series_.exp, 14, rest);
    return power * double_of_bits(static_cast<std::uint64_t>(static_cast<std::int64_t>(turns) + 1023) << 52);
  }

  void sinh_cosh(double x, double& sinh, double& cosh) const {
    const double growing = exp(x), falling = 1.0 / growing;
    sinh = (growing - falling) / 2.0;
    cosh = (growing + falling) / 2.0;
  }

  void sin_cos(double x, double& sin, double& cos) const {
    double turns;
    const double rest = reduced(x, 0.6366197723675814, half_pi_high, half_pi_low, turns);
    const double square = rest * rest;
    const double sine = times_(polynomial(series_.sin, 9, square), rest), cosine = polynomial(series_.cos, 9, square);
    const auto quarter = static_cast<std::int64_t>(turns) & 3;
    const double first = (quarter & 1) != 0 ? cosine : sine, second = (quarter & 1) != 0 ? sine : cosine;
    sin = quarter >= 2 ? -first : first;
    cos = quarter == 1 || quarter == 2 ? -second : second;
  }

 private:
  static constexpr double ln2_high = 0x1.62e42fefap-1, ln2_low = 0x1.cf79abc9e3b3ap-40;
  static constexpr double half_pi_high = 0x1.921fb54400000p+0, half_pi_low = 0x1.0b4611a626331p-34;

  /// Nearest multiple of a period in two parts, and what is left of x.
  double reduced(double x, double per_period, double high, double low, double& turns) const {
    turns = nearest(times_(x, per_period));
    turns = size_of(turns) < 1048576.0 ? turns : 0.0;
    return (x - times_(turns, high)) - times_(turns, low);
  }

  /// Horner's scheme, the coefficients rising.
  double polynomial(const double* coefficients, int count, double x) const {
    double total = coefficients[count - 1];
    for (int i = count - 2; i >= 0; --i) total = times_(total, x) + coefficients[i];
    return total;
  }

  Products times_;
  const Series& series_ = series();
};

}  // namespace detail
}  // namespace hepae

#endif
