/// Clusters in the simple binary form in which cpp.py hands them over: 64-bit numbers and texts with a length.
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "hepae.hpp"

namespace benchmarks {

struct Column {
  std::string name;
  std::vector<std::string> parents;
  std::vector<std::uint8_t> blob;
};

struct Cluster {
  std::int64_t events = 0, jets = 0;
  std::uint64_t seed = 0;
  bool flat = false;
  std::vector<std::int64_t> counts;
  std::vector<Column> columns;

  hepae::Cluster opened(const hepae::Memory& memory = hepae::Memory()) const {
    hepae::Cluster cluster = flat ? hepae::Cluster(jets, seed, memory) : hepae::Cluster(events, jets, seed, counts, memory);
    for (const Column& column : columns) cluster.add(column.name, column.parents, column.blob);
    return cluster;
  }
};

class File {
 public:
  explicit File(const char* path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }

  std::int64_t number() {
    std::int64_t value;
    take(&value, sizeof value);
    return value;
  }

  std::vector<std::uint8_t> bytes() {
    std::vector<std::uint8_t> found(static_cast<std::size_t>(number()));
    take(found.data(), found.size());
    return found;
  }

  std::string text() {
    const std::vector<std::uint8_t> found = bytes();
    return std::string(found.begin(), found.end());
  }

 private:
  void take(void* out, std::size_t size) {
    if (size > bytes_.size() - at_) throw std::runtime_error("the file of clusters ends too early");
    if (size > 0) std::memcpy(out, bytes_.data() + at_, size);
    at_ += size;
  }

  std::vector<char> bytes_;
  std::size_t at_ = 0;
};

inline std::vector<Cluster> read_clusters(const char* path) {
  File file(path);
  std::vector<Cluster> clusters(static_cast<std::size_t>(file.number()));
  for (Cluster& cluster : clusters) {
    cluster.events = file.number();
    cluster.jets = file.number();
    cluster.seed = static_cast<std::uint64_t>(file.number());
    cluster.flat = file.number() != 0;
    cluster.counts.resize(static_cast<std::size_t>(file.number()));
    for (std::int64_t& count : cluster.counts) count = file.number();
    cluster.columns.resize(static_cast<std::size_t>(file.number()));
    for (Column& column : cluster.columns) {
      column.name = file.text();
      column.parents.resize(static_cast<std::size_t>(file.number()));
      for (std::string& parent : column.parents) parent = file.text();
      column.blob = file.bytes();
    }
  }
  return clusters;
}

}  // namespace benchmarks
