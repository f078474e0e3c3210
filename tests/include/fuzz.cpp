/// Damages payload rows and headers: what is read of them is an Error, or what was written.
///
///     fuzz CLUSTERS HEADERS COUNT SEED
///
/// CLUSTERS is a file of analysis/benchmarks/cpp.py, HEADERS one of JSON texts, COUNT how many mutations there are. Half of the damaged rows
/// get the checksum of their damage, so that the decoder is attacked and not only the checksum. Compiled with
/// -fsanitize=address,undefined by test_fuzz.py, which runs 20 000 mutations; more:
///
///     python tests/include/test_fuzz.py --count 100000
#include <cstdio>
#include <cstdlib>
#include <random>

#include "clusters.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

class Mutations {
 public:
  explicit Mutations(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t end) { return end == 0 ? 0 : static_cast<std::size_t>(random_() % end); }

  /// Change some bytes, cut some out, or put some of another text in.
  void damage(Bytes& bytes, const Bytes& other) {
    for (std::size_t times = 1 + below(3); times > 0; --times) {
      // the front of a row holds lengths and numbers, and the rest bits that mean less: half of the damage is there
      const std::size_t reach = below(2) == 0 ? std::min<std::size_t>(bytes.size(), 64) : bytes.size();
      const std::size_t at = below(reach);
      switch (below(7)) {
        case 0:
          if (!bytes.empty()) bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ 1u << below(8));
          break;
        case 1:
          if (!bytes.empty()) bytes[at] = static_cast<std::uint8_t>(random_());
          break;
        case 2: bytes.resize(at); break;
        case 3:
          bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                      bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), at + 1 + below(8))));
          break;
        case 4: {
          const std::uint8_t value = below(2) == 0 ? 0xFF : static_cast<std::uint8_t>(random_());
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), 1 + below(10), value);
          break;
        }
        case 5: {
          const std::size_t from = below(other.size()), size = std::min(other.size() - from, 1 + below(40));
          for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i) bytes[at + i] = other[from + i];
          break;
        }
        default:
          if (at + 8 <= bytes.size()) {
            static const std::uint64_t numbers[] = {0, 1, ~0ull, 1ull << 63, (1ull << 63) - 1, 0x7FF0000000000000, 1ull << 31};
            std::memcpy(bytes.data() + at, &numbers[below(7)], 8);
          }
      }
    }
  }

  std::int64_t number(std::int64_t given) {
    static const std::int64_t numbers[] = {0, 1, -1, 2, 63, 1000, 1 << 20, (1 << 20) + 1, INT64_MAX, INT64_MIN};
    return below(3) == 0 ? given + 1 : numbers[below(10)];
  }

 private:
  std::mt19937_64 random_;
};

/// A row as it stands in the tree.
struct Row {
  Bytes names, blob;
  std::int64_t events, jets;
  std::uint64_t seed;
  std::uint32_t crc;

  void seal() { crc = hepae::row_checksum(names, events, jets, seed, blob.data(), blob.size()); }
};

Row row_of(const benchmarks::Cluster& cluster, const benchmarks::Column& column) {
  Row row{{}, column.blob, cluster.events, cluster.jets, cluster.seed, 0};
  std::string names = std::string("Jet") + '\0' + column.name;
  for (const std::string& parent : column.parents) names += '\0' + parent;
  row.names.assign(names.begin(), names.end());
  row.seal();
  return row;
}

Bytes bytes_of(const hepae::Values& values) {
  return Bytes(values.bytes(), values.bytes() + values.size() * hepae::type_size(values.kind()));
}

/// Values of the column of a row that takes the place of another one, and of a column that may be predicted from it.
Bytes read(const benchmarks::Cluster& given, std::size_t changed, const Row& row, std::size_t asked) {
  const hepae::Row found = hepae::read_row(row.names, row.events, row.jets, row.seed, row.crc);
  hepae::check_row(found, row.names, row.blob.data(), row.blob.size());
  hepae::Cluster cluster = given.flat ? hepae::Cluster(found.jets, found.seed)
                                      : hepae::Cluster(found.events, found.jets, found.seed, given.counts);
  for (std::size_t i = 0; i < given.columns.size(); ++i) {
    if (i != changed) cluster.add(given.columns[i].name, given.columns[i].parents, given.columns[i].blob);
  }
  cluster.add(found.column, found.parents, row.blob);
  Bytes values = bytes_of(cluster.values(found.column));
  const hepae::Values& other = cluster.values(given.columns[asked].name);
  if (other.size() != static_cast<std::size_t>(found.jets)) std::abort();
  return values;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) return 2;
  const std::vector<benchmarks::Cluster> clusters = benchmarks::read_clusters(arguments[1]);
  std::vector<std::string> headers;
  benchmarks::File file(arguments[2]);
  for (std::int64_t left = file.number(); left > 0; --left) headers.push_back(file.text());
  Mutations random(std::strtoull(arguments[4], nullptr, 10));
  long errors = 0, same = 0, others = 0, read_headers = 0;
  for (long mutation = 0; mutation < std::atol(arguments[3]); ++mutation) {
    if (mutation % 8 == 7) {
      const std::string& text = headers[random.below(headers.size())];
      Bytes json(text.begin(), text.end());
      random.damage(json, json);
      try {
        hepae::read_header(std::string(json.begin(), json.end()));
        ++read_headers;
      } catch (const hepae::Error&) {
        ++errors;
      }
      continue;
    }
    const benchmarks::Cluster& given = clusters[random.below(clusters.size())];
    const std::size_t changed = random.below(given.columns.size());
    const Row before = row_of(given, given.columns[changed]);
    Row row = before;
    const std::size_t what = random.below(20);
    if (what == 0) random.damage(row.names, row.names);
    if (what == 1) row.events = random.number(row.events);
    if (what == 2) row.jets = random.number(row.jets);
    if (what == 3) row.seed ^= std::uint64_t{1} << random.below(64);
    if (what > 3) random.damage(row.blob, given.columns[random.below(given.columns.size())].blob);
    const bool sealed = mutation % 2 == 0;
    if (sealed) row.seal();
    try {
      const Bytes values = read(given, changed, row, random.below(given.columns.size()));
      if (values == bytes_of(given.opened().values(given.columns[changed].name))) {
        ++same;
      } else if (sealed) {
        ++others;
      } else {
        std::fprintf(stderr, "mutation %ld gives other values, and no checksum notices\n", mutation);
        return 1;
      }
    } catch (const hepae::Error&) {
      ++errors;
    }
  }
  std::printf("%ld errors, %ld times the values that were written, %ld others below a checksum made anew, %ld headers\n",
              errors, same, others, read_headers);
  return 0;
}
