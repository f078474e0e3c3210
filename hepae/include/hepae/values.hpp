/// A decoded column in its own type.
#ifndef HEPAE_VALUES_HPP
#define HEPAE_VALUES_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "hepae/error.hpp"

namespace hepae {

/// Type of a column's values.
enum class Type { float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64, boolean };

/// Name of a type as `Values::type` gives it: float, double, int8 ... uint64, bool.
inline const char* type_name(Type type) {
  static const char* const names[] = {"float", "double", "int8",   "int16",  "int32", "int64",
                                      "uint8", "uint16", "uint32", "uint64", "bool"};
  return names[static_cast<int>(type)];
}

/// Bytes of a value.
inline std::size_t type_size(Type type) {
  static const std::size_t sizes[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1};
  return sizes[static_cast<int>(type)];
}

/// Type of the numpy type `text`, such as `<f4` or `|b1`. Throws Error where it is none that is coded.
Type type_of(const std::string& text);

namespace detail {
template <class T>
struct TypeOf;
template <> struct TypeOf<float> { static constexpr Type value = Type::float32; };
template <> struct TypeOf<double> { static constexpr Type value = Type::float64; };
template <> struct TypeOf<std::int8_t> { static constexpr Type value = Type::int8; };
template <> struct TypeOf<std::int16_t> { static constexpr Type value = Type::int16; };
template <> struct TypeOf<std::int32_t> { static constexpr Type value = Type::int32; };
template <> struct TypeOf<std::int64_t> { static constexpr Type value = Type::int64; };
template <> struct TypeOf<std::uint8_t> { static constexpr Type value = Type::uint8; };
template <> struct TypeOf<std::uint16_t> { static constexpr Type value = Type::uint16; };
template <> struct TypeOf<std::uint32_t> { static constexpr Type value = Type::uint32; };
template <> struct TypeOf<std::uint64_t> { static constexpr Type value = Type::uint64; };
template <> struct TypeOf<bool> { static constexpr Type value = Type::boolean; };
}  // namespace detail

/// Values of a column, one for each jet. A copy shares them.
class Values {
 public:
  Values() = default;

  /// `size` values that are not yet set.
  Values(Type type, std::size_t size)
      : type_(type), size_(size), data_(new std::uint64_t[(size * type_size(type) + 7) / 8 + 1]) {}

  /// float, double, int8, int16, int32, int64, uint8, uint16, uint32, uint64 or bool.
  std::string type() const { return type_name(type_); }
  Type kind() const { return type_; }

  /// Number of values.
  std::size_t size() const { return size_; }

  /// The values. Throws Error where they are of another type than T.
  template <class T>
  const T* data() const {
    return const_cast<Values*>(this)->writable<T>();
  }

  /// The same, to be set.
  template <class T>
  T* writable() {
    if (detail::TypeOf<T>::value != type_) {
      throw Error("the column has values of type " + type() + ", not " + type_name(detail::TypeOf<T>::value));
    }
    return static_cast<T*>(static_cast<void*>(data_.get()));
  }

  /// The values' bytes, `size() * type_size(kind())` of them.
  const std::uint8_t* bytes() const { return static_cast<const std::uint8_t*>(static_cast<const void*>(data_.get())); }
  std::uint8_t* bytes() { return static_cast<std::uint8_t*>(static_cast<void*>(data_.get())); }

 private:
  Type type_ = Type::float32;
  std::size_t size_ = 0;
  std::shared_ptr<std::uint64_t[]> data_;
};

inline Type type_of(const std::string& text) {
  static const char* const names[] = {"<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"};
  for (int i = 0; i < 11; ++i) {
    if (text == names[i]) return static_cast<Type>(i);
  }
  throw Error("damaged payload: a column of type " + quoted(text));
}

}  // namespace hepae

#endif
