/// Processor time to decode all columns of some clusters, without reading them: the least of several rounds.
///
///     decode CLUSTERS ROUNDS
///
/// prints the seconds and the number of jets. cpp.py writes the clusters, compiles this and runs it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "clusters.hpp"

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const std::vector<tests::Cluster> clusters = tests::read_clusters(arguments[1]);
  const hepae::Memory memory;
  double least = 1e9;
  long long jets = 0;
  for (int round = 0; round < std::atoi(arguments[2]); ++round) {
    jets = 0;
    const std::clock_t start = std::clock();
    for (const tests::Cluster& given : clusters) {
      hepae::Cluster cluster = given.opened(memory);
      for (const tests::Column& column : given.columns) cluster.values(column.name);
      jets += given.jets;
    }
    least = std::min(least, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  std::printf("%.6f %lld\n", least, jets);
}
