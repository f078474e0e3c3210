/// Four-momenta in other columns than pt, eta, phi and mass, computed from these.
#ifndef HEPAE_FOURVECTORS_HPP
#define HEPAE_FOURVECTORS_HPP

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "hepae/exact_math.hpp"

namespace hepae {
namespace detail {

/// Columns of a file that stand for pt, eta, phi and mass; a payload names them by their number.
inline const std::vector<std::string>& replaced_columns(std::size_t coordinates) {
  static const std::vector<std::string> names[] = {{"E"}, {"px", "py", "pz", "E"}, {"px", "py", "pz"}};
  return names[coordinates];
}
constexpr std::size_t coordinate_kinds = 3;

/// Columns that such a one is computed from.
inline std::vector<std::string> source_columns(const std::string& name) {
  if (name == "E") return {"pt", "eta", "mass"};
  return {"pt", name == "pz" ? "eta" : "phi"};
}

/// Compute px, py, pz or E of its sources, each with so many values.
inline void compute(const std::string& name, const std::vector<const double*>& sources, std::size_t count, double* out) {
  const ExactMath math;
  const Products times;
  const double* const pt = sources[0];
  for (std::size_t i = 0; i < count; ++i) {
    double first, second;
    if (name == "px" || name == "py") {
      math.sin_cos(sources[1][i], first, second);
      out[i] = pt[i] * (name == "px" ? second : first);
    } else {
      math.sinh_cosh(sources[1][i], first, second);
      if (name == "pz") {
        out[i] = pt[i] * first;
      } else {
        const double mass = sources[2][i], p = pt[i] * second;
        const double square = times(p, p) + times(mass, size_of(mass));
        out[i] = std::sqrt(square < 0.0 ? 0.0 : square);
      }
    }
  }
}

}  // namespace detail
}  // namespace hepae

#endif
