/// Bytes in order: checksums, integers and floats as the payload has them.
#ifndef HEPAE_BYTES_HPP
#define HEPAE_BYTES_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "hepae/error.hpp"

namespace hepae {

/// CRC-32 as zlib has it, of `size` bytes, continued from `before`.
std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t before = 0);

namespace detail {

/// Tables for eight bytes at a time (Kounavis and Berry 2008).
inline const std::array<std::array<std::uint32_t, 256>, 8>& crc_tables() {
  static const auto tables = [] {
    std::array<std::array<std::uint32_t, 256>, 8> made{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      std::uint32_t crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
      made[0][byte] = crc;
    }
    for (std::size_t table = 1; table < 8; ++table) {
      for (std::size_t byte = 0; byte < 256; ++byte) {
        const std::uint32_t crc = made[table - 1][byte];
        made[table][byte] = (crc >> 8) ^ made[0][crc & 0xFF];
      }
    }
    return made;
  }();
  return tables;
}

/// Little-endian number at an address that need not be aligned.
template <class T>
T load(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace detail

inline std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t before) {
  const auto& tables = detail::crc_tables();
  const auto* at = static_cast<const std::uint8_t*>(data);
  std::uint32_t crc = ~before;
  for (; size >= 8; size -= 8, at += 8) {
    const std::uint32_t low = detail::load<std::uint32_t>(at) ^ crc;
    const std::uint32_t high = detail::load<std::uint32_t>(at + 4);
    crc = tables[7][low & 0xFF] ^ tables[6][(low >> 8) & 0xFF] ^ tables[5][(low >> 16) & 0xFF] ^ tables[4][low >> 24] ^
          tables[3][high & 0xFF] ^ tables[2][(high >> 8) & 0xFF] ^ tables[1][(high >> 16) & 0xFF] ^ tables[0][high >> 24];
  }
  for (; size > 0; --size, ++at) crc = (crc >> 8) ^ tables[0][(crc ^ *at) & 0xFF];
  return ~crc;
}

namespace detail {

/// A number below 2^70 in decimals.
inline std::string decimal(std::uint64_t high, std::uint64_t low) {
  std::string digits;  // of high * 2^64 + low, by long division of four parts of 32 bits
  std::uint32_t parts[] = {static_cast<std::uint32_t>(high >> 32), static_cast<std::uint32_t>(high),
                           static_cast<std::uint32_t>(low >> 32), static_cast<std::uint32_t>(low)};
  do {
    std::uint64_t rest = 0;
    for (std::uint32_t& part : parts) {
      const std::uint64_t value = (rest << 32) | part;
      part = static_cast<std::uint32_t>(value / 10);
      rest = value % 10;
    }
    digits.insert(digits.begin(), static_cast<char>('0' + rest));
  } while ((parts[0] | parts[1] | parts[2] | parts[3]) != 0);
  return digits;
}

/// Inverse of zigzag: 0, 1, 2, 3 ... are 0, -1, 1, -2 ...
inline std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1) ^ (0 - (value & 1)));
}

/// Reads bytes in order; an Error where they end too early. It does not own them.
class Reader {
 public:
  Reader(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

  /// An unsigned integer up to `most`, seven bits a byte, the lowest first.
  std::uint64_t varint(std::uint64_t most = ~std::uint64_t{0}) {
    std::uint64_t low = 0, high = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      const std::uint64_t byte = *raw(1);
      low |= (byte & 0x7F) << shift;
      if (shift == 63) high = (byte & 0x7F) >> 1;
      if (byte < 0x80) {
        if (high != 0 || low > most) {
          throw Error("damaged payload: " + decimal(high, low) + " where at most " + std::to_string(most) +
                      " makes sense");
        }
        return low;
      }
    }
    throw Error("damaged payload: an integer does not end");
  }

  double float64() { return load<double>(raw(8)); }

  /// So many bytes.
  const std::uint8_t* raw(std::uint64_t length) {
    if (length > left()) throw Error("damaged payload: it ends too early");
    const std::uint8_t* start = at_;
    at_ += length;
    return start;
  }

  /// A length and so many bytes.
  std::string text() {
    const std::uint64_t length = varint();
    const std::uint8_t* start = raw(length);
    return std::string(start, start + length);
  }

  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

}  // namespace detail
}  // namespace hepae

#endif
