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

}  // namespace hepae

#endif
