/// Decodes every column of some clusters: writes for each its type and bytes, or `error` and what the error says.
///
///     decode CLUSTERS VALUES ROUNDS
///
/// Decodes them again ROUNDS times, and prints the least processor time of a round in seconds, without reading and writing.
/// cpp.py writes the clusters, compiles this and runs it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "clusters.hpp"

namespace {

void write(std::ofstream& out, const void* data, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  out.write(reinterpret_cast<const char*>(&length), sizeof length);
  out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
}

void write(std::ofstream& out, const std::string& text) { write(out, text.data(), text.size()); }

/// Each column is decoded with the others, and alone with its ancestors: both have to be the same.
void write_values(std::ofstream& out, const benchmarks::Cluster& given, const hepae::Memory& memory) {
  std::optional<hepae::Cluster> all;
  for (const benchmarks::Column& column : given.columns) {
    try {
      if (!all) all = given.opened(memory);
      const hepae::Values& values = all->values(column.name);
      const std::size_t size = values.size() * hepae::type_size(values.kind());
      hepae::Cluster alone = given.opened();
      if (size > 0 && std::memcmp(values.bytes(), alone.values(column.name).bytes(), size) != 0) {
        throw hepae::Error("a column has other values where it is decoded alone");
      }
      write(out, values.type());
      write(out, values.bytes(), size);
    } catch (const hepae::Error& error) {
      write(out, "error");
      write(out, error.what());
    }
  }
}

double seconds(const std::vector<benchmarks::Cluster>& clusters, const hepae::Memory& memory) {
  const std::clock_t start = std::clock();
  for (const benchmarks::Cluster& given : clusters) {
    hepae::Cluster cluster = given.opened(memory);
    for (const benchmarks::Column& column : given.columns) cluster.values(column.name);
  }
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const std::vector<benchmarks::Cluster> clusters = benchmarks::read_clusters(arguments[1]);
  const hepae::Memory memory;
  std::ofstream out(arguments[2], std::ios::binary);
  for (const benchmarks::Cluster& given : clusters) write_values(out, given, memory);
  if (!out.good()) return 1;
  double least = 1e9;
  for (int round = 0; round < std::atoi(arguments[3]); ++round) least = std::min(least, seconds(clusters, memory));
  std::printf("%.6f\n", least);
  return 0;
}
