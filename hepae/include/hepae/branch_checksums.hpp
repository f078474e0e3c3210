/// Checksums of the branches of the events' tree: one for each range of consecutive entries.
#ifndef HEPAE_BRANCH_CHECKSUMS_HPP
#define HEPAE_BRANCH_CHECKSUMS_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "hepae/bytes.hpp"

namespace hepae {

/// Entries that one checksum covers; ranges begin anew in each part of a joined file, and the last one may be shorter.
constexpr std::int64_t checksum_range = 10000;

/// Checksum of one branch over one range of entries, while they arrive in order, entry by entry or in chunks.
/// Compare with `Header::checksums.at(branch)[range]`.
class BranchChecksum {
 public:
  /// Lengths of the next lists at a level of lists (0: the entries themselves are lists; a number needs none).
  void lengths(std::size_t level, const std::int64_t* lengths, std::size_t count) {
    if (levels_.size() <= level) levels_.resize(level + 1, 0);
    levels_[level] = crc32(lengths, count * sizeof *lengths, levels_[level]);
  }

  /// The next values; `dtype` as numpy has it (`<f4`, `<i4`, `|b1` ...), `bytes` of all `count` values of so many bytes.
  void values(const std::string& dtype, const void* data, std::size_t bytes) {
    if (bytes > 0) dtype_ = dtype;
    values_ = crc32(data, bytes, values_);
  }

  /// The checksum of all that arrived.
  std::uint32_t checksum() const {
    std::vector<std::uint32_t> parts(levels_);
    while (!parts.empty() && parts.back() == 0) parts.pop_back();
    parts.push_back(values_);
    return crc32(parts.data(), parts.size() * sizeof parts[0], crc32(dtype_.data(), dtype_.size()));
  }

 private:
  std::vector<std::uint32_t> levels_;
  std::string dtype_;
  std::uint32_t values_ = 0;
};

}  // namespace hepae

#endif
