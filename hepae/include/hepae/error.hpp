/// What hepae throws.
#ifndef HEPAE_ERROR_HPP
#define HEPAE_ERROR_HPP

#include <stdexcept>
#include <string>

namespace hepae {

/// One line that says what is wrong, in the words of the Python program.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The text in quotes, as errors name things.
inline std::string quoted(const std::string& text) { return "'" + text + "'"; }
inline std::string quoted(std::string& text) { return "'" + text + "'"; }  // else std::quoted of <iomanip> is nearer

}  // namespace hepae

#endif
