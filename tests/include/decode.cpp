/// Decodes every column of some clusters: for each its type and bytes, or `error` and what the error says.
///
///     decode CLUSTERS VALUES
#include <cstdint>
#include <fstream>
#include <string>

#include "clusters.hpp"

namespace {

void write(std::ofstream& out, const void* data, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  out.write(reinterpret_cast<const char*>(&length), sizeof length);
  out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
}

void write(std::ofstream& out, const std::string& text) { write(out, text.data(), text.size()); }

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  std::ofstream out(arguments[2], std::ios::binary);
  for (const tests::Cluster& given : tests::read_clusters(arguments[1])) {
    try {
      hepae::Cluster cluster = given.opened();
      for (const tests::Column& column : given.columns) {
        try {
          const hepae::Values& values = cluster.values(column.name);
          write(out, values.type());
          write(out, values.bytes(), values.size() * hepae::type_size(values.kind()));
        } catch (const hepae::Error& error) {
          write(out, "error");
          write(out, error.what());
        }
      }
    } catch (const hepae::Error& error) {
      for (std::size_t i = 0; i < given.columns.size(); ++i) {
        write(out, "error");
        write(out, error.what());
      }
    }
  }
  return out.good() ? 0 : 1;
}
