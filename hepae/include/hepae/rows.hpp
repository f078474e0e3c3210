/// Rows of the tree `hepae_payload`: their names, and their checksums.
#ifndef HEPAE_ROWS_HPP
#define HEPAE_ROWS_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "hepae/bytes.hpp"
#include "hepae/error.hpp"

namespace hepae {

/// Jets that a cluster of several events has at most.
constexpr std::int64_t most_jets = std::int64_t{1} << 20;

/// A row without its content.
struct Row {
  std::string collection, column;
  std::vector<std::string> parents;
  std::int64_t events = 0, jets = 0;
  std::uint64_t seed = 0;
  std::uint32_t crc = 0;
};

/// A row of the branches of the tree. Throws Error where the numbers or names make no sense.
Row read_row(const std::vector<std::uint8_t>& names, std::int64_t events, std::int64_t jets, std::uint64_t seed,
             std::uint32_t crc);

/// CRC-32 of all that a row holds.
std::uint32_t row_checksum(const std::vector<std::uint8_t>& names, std::int64_t events, std::int64_t jets,
                           std::uint64_t seed, const std::uint8_t* blob, std::size_t size);

/// CRC-32 of the rows' index, continued by one row.
std::uint32_t index_checksum(const std::vector<std::uint8_t>& names, std::int64_t events, std::int64_t jets,
                             std::uint64_t seed, std::uint32_t crc, std::uint32_t before = 0);

/// Throws Error where a row's checksum is another one.
void check_row(const Row& row, const std::vector<std::uint8_t>& names, const std::uint8_t* blob, std::size_t size);

namespace detail {
inline std::uint32_t numbers_checksum(std::int64_t events, std::int64_t jets, std::uint64_t seed, std::uint32_t before) {
  const std::uint64_t numbers[] = {static_cast<std::uint64_t>(events), static_cast<std::uint64_t>(jets), seed};
  return crc32(numbers, sizeof numbers, before);
}
}  // namespace detail

inline Row read_row(const std::vector<std::uint8_t>& names, std::int64_t events, std::int64_t jets, std::uint64_t seed,
                    std::uint32_t crc) {
  std::vector<std::string> texts(1);
  for (const std::uint8_t byte : names) {
    if (byte == 0) {
      texts.emplace_back();
    } else {
      texts.back().push_back(static_cast<char>(byte));
    }
  }
  if (texts.size() < 2) throw Error("damaged payload: a row without names");
  Row row;
  row.collection = texts[0];
  row.column = texts[1];
  row.parents.assign(texts.begin() + 2, texts.end());
  row.events = events;
  row.jets = jets;
  row.seed = seed;
  row.crc = crc;
  if (events < 0 || jets < 0) throw Error(quoted(row.column) + " refers to a column that does not exist");
  if (jets > most_jets && events != 1) {
    throw Error("a cluster of " + quoted(row.collection) + " claims " + std::to_string(jets) + " jets, more than " +
                std::to_string(most_jets));
  }
  return row;
}

inline std::uint32_t row_checksum(const std::vector<std::uint8_t>& names, std::int64_t events, std::int64_t jets,
                                  std::uint64_t seed, const std::uint8_t* blob, std::size_t size) {
  return crc32(blob, size, detail::numbers_checksum(events, jets, seed, crc32(names.data(), names.size())));
}

inline std::uint32_t index_checksum(const std::vector<std::uint8_t>& names, std::int64_t events, std::int64_t jets,
                                    std::uint64_t seed, std::uint32_t crc, std::uint32_t before) {
  const std::uint32_t numbers = detail::numbers_checksum(events, jets, seed, crc32(names.data(), names.size(), before));
  return crc32(&crc, sizeof crc, numbers);
}

inline void check_row(const Row& row, const std::vector<std::uint8_t>& names, const std::uint8_t* blob,
                      std::size_t size) {
  if (row_checksum(names, row.events, row.jets, row.seed, blob, size) != row.crc) {
    throw Error("checksum mismatch in column " + quoted(row.column));
  }
}

}  // namespace hepae

#endif
