/// Clusters: columns of consecutive events, decoded where they are asked for.
#ifndef HEPAE_CLUSTER_HPP
#define HEPAE_CLUSTER_HPP

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hepae/error.hpp"
#include "hepae/rows.hpp"
#include "hepae/values.hpp"

namespace hepae {

/// One cluster of a collection. Give it the rows of the columns that are wanted and of their ancestors (`check_row` comes
/// first), and ask for values: each column is decoded once. It belongs to one thread at a time.
class Cluster {
 public:
  /// A cluster of events with so many jets each. Throws Error where they contradict `events` and `jets`.
  Cluster(std::int64_t events, std::int64_t jets, std::uint64_t seed, std::vector<std::int64_t> counts);

  /// A cluster of a flat file, in which each row is a jet.
  Cluster(std::int64_t jets, std::uint64_t seed);

  Cluster(Cluster&&) noexcept;
  Cluster& operator=(Cluster&&) noexcept;
  ~Cluster();

  /// Take in a column: the names of its parents, and the content of its row.
  void add(const std::string& column, std::vector<std::string> parents, std::vector<std::uint8_t> blob);

  /// Whether the column was taken in.
  bool has(const std::string& column) const;

  /// Values of a column, one for each jet in the order of the file. Throws Error where it is damaged or not there.
  const Values& values(const std::string& column);

  std::int64_t events() const;
  std::int64_t jets() const;

 private:
  class Decoder;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace hepae

#endif
