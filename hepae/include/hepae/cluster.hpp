/// Clusters: columns of consecutive events, decoded where they are asked for.
#ifndef HEPAE_CLUSTER_HPP
#define HEPAE_CLUSTER_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hepae/buffer.hpp"
#include "hepae/bytes.hpp"
#include "hepae/error.hpp"
#include "hepae/fourvectors.hpp"
#include "hepae/jet_order.hpp"
#include "hepae/prediction.hpp"
#include "hepae/quantization.hpp"
#include "hepae/rows.hpp"
#include "hepae/values.hpp"

namespace hepae {

/// Memory that clusters which are decoded one after the other use again. A copy is the same memory; it belongs to one thread
/// at a time.
class Memory {
 public:
  Memory() : pool_(std::make_shared<detail::Pool>()) {}

 private:
  friend class Cluster;
  std::shared_ptr<detail::Pool> pool_;
};

/// One cluster of a collection. Give it the rows of the columns that are wanted and of their ancestors (`check_row` comes
/// first), and ask for values: each column is decoded once. It belongs to one thread at a time.
class Cluster {
 public:
  /// A cluster of events with so many jets each. Throws Error where they contradict `events` and `jets`.
  Cluster(std::int64_t events, std::int64_t jets, std::uint64_t seed, std::vector<std::int64_t> counts,
          Memory memory = Memory());

  /// A cluster of a flat file, in which each row is a jet.
  Cluster(std::int64_t jets, std::uint64_t seed, Memory memory = Memory());

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

/// The columns of a cluster, each decoded once.
class Cluster::Decoder {
 public:
  Decoder(std::shared_ptr<detail::Pool> pool, std::int64_t events, std::uint64_t seed, detail::Ranks ranks)
      : pool_(std::move(pool)), events_(events), seed_(seed), ranks_(std::move(ranks)) {}

  std::int64_t events() const { return events_; }
  std::int64_t jets() const { return static_cast<std::int64_t>(ranks_.jets()); }

  void add(const std::string& name, std::vector<std::string> parents, std::vector<std::uint8_t> blob) {
    Entry entry;
    entry.parents = std::move(parents);
    entry.blob = std::move(blob);
    columns_[name] = std::move(entry);
  }

  bool has(const std::string& name) const { return columns_.count(name) > 0; }

  const Values& values(const std::string& name) {
    Entry& entry = find(name);
    if (!entry.restored) {
      detail::Reader in(entry.blob.data(), entry.blob.size());
      if (kind_of(in) == derived) {
        derive(name, entry, in);
      } else {
        decode(name);
        restore(entry);
      }
      entry.restored = true;
    }
    return entry.values;
  }

 private:
  enum Kind : std::uint64_t { coded, derived };
  static constexpr std::uint64_t version = 1, most_columns = 1 << 20;
  static constexpr std::size_t most_parents = 4;

  struct Entry {
    std::vector<std::string> parents;
    std::vector<std::uint8_t> blob;
    bool decoded = false, restored = false;
    std::uint64_t number = 0;  ///< for the dither
    detail::Quantized quantized;
    detail::Integers integers;
    Values values;
    std::vector<double> before;  ///< what the exceptions' integers restore to
  };

  Entry& find(const std::string& name) {
    const auto found = columns_.find(name);
    if (found == columns_.end()) throw Error("damaged payload: it has no column " + quoted(name));
    return found->second;
  }

  static std::uint64_t kind_of(detail::Reader& in) {
    const std::uint64_t found = in.varint();
    if (found != version) {
      throw Error("payload of version " + std::to_string(found) + ", this hepae reads " + std::to_string(version) +
                  "; upgrade hepae");
    }
    return in.varint(derived);
  }

  /// Decode the integers of a column, after those of all that it is predicted from.
  void decode(const std::string& wanted) {
    std::vector<std::string> names{wanted};
    while (!names.empty()) {
      const std::string name = names.back();
      Entry& entry = find(name);
      if (entry.decoded) {
        names.pop_back();
        continue;
      }
      const auto missing = std::find_if(entry.parents.begin(), entry.parents.end(),
                                        [&](const std::string& parent) { return !find(parent).decoded; });
      if (missing == entry.parents.end()) {
        read(name, entry);
        names.pop_back();
        continue;
      }
      if (entry.parents.size() > most_parents) refuse_parent(name);
      if (std::find(names.begin(), names.end(), *missing) != names.end()) {
        throw Error("damaged payload: it contradicts itself (" + quoted(*missing) + " is predicted from itself)");
      }
      names.push_back(*missing);
    }
  }

  [[noreturn]] static void refuse_parent(const std::string& name) {
    throw Error("damaged payload: " + quoted(name) + " is not a column that others are predicted from");
  }

  /// Read the integers of a column whose parents are decoded.
  void read(const std::string& name, Entry& entry) {
    detail::Reader in(entry.blob.data(), entry.blob.size());
    if (kind_of(in) != coded || entry.parents.size() > most_parents) refuse_parent(name);
    const std::string header = in.text();
    entry.number = in.varint(most_columns);
    if (in.varint() != 0) {
      throw Error("column " + quoted(name) + " is predicted by a model, which this reader does not evaluate: " +
                  "hepae decompress restores it");
    }
    entry.quantized = detail::Quantized::read(*pool_, in, ranks_.jets(), header);
    std::vector<detail::Parent> parents;
    for (const std::string& parent : entry.parents) {
      Entry& known = find(parent);
      parents.push_back({&known.integers, [this, &known] { return ordered_values(known); }});
    }
    detail::Decoded decoded = detail::read_stream(*pool_, in, header, ranks_, parents);
    if (decoded.floats) from_floats(entry.quantized, decoded);
    entry.integers = detail::Integers(*pool_, ranks_, std::move(decoded.numbers), decoded.by_rank);
    entry.decoded = true;
  }

  /// The integers of an exact column that floats stand for.
  static void from_floats(const detail::Quantized& quantized, detail::Decoded& decoded) {
    const Type type = decoded.type == detail::RunType::float32 ? Type::float32 : Type::float64;
    if (quantized.grid.kind != 0 || quantized.type != type) {
      const auto name = [](Type of) {
        const std::string text = type_name(of);
        return of == Type::float32 ? "float32" : of == Type::float64 ? "float64" : text;
      };
      throw Error("damaged payload: " + name(type) + " in a column of " + name(quantized.type));
    }
    for (std::size_t i = 0; i < decoded.numbers.size(); ++i) {
      decoded.numbers[i] = detail::ordered_of_bits(decoded.numbers[i], type) >> quantized.shift;
    }
  }

  /// Restore the values of a column whose integers are decoded.
  void restore(Entry& entry) {
    const detail::Dither dither(seed_, entry.number);
    const detail::Integers& integers = entry.integers;
    entry.values = Values(entry.quantized.type, ranks_.jets());
    detail::with_type(entry.quantized.type, [&](auto sample) {
      using T = decltype(sample);
      T* const out = entry.values.template writable<T>();
      entry.quantized.restore(integers.numbers(), integers.size(), integers.by_rank() ? ranks_.order() : nullptr, &dither,
                              out);
      entry.before = entry.quantized.complete(out);
    });
  }

  /// Values as float64, one for each jet in the order of the file.
  detail::Buffer<double> doubles(const Values& values) {
    detail::Buffer<double> found(*pool_, values.size());
    detail::with_type(values.kind(), [&](auto sample) {
      using T = decltype(sample);
      const T* const data = values.template data<T>();
      for (std::size_t i = 0; i < values.size(); ++i) found[i] = static_cast<double>(data[i]);
    });
    return found;
  }

  /// Restored values of a column in the order of the ranks, exceptions apart, and 0 for those that are not finite.
  detail::Buffer<double> ordered_values(Entry& entry) {
    if (!entry.restored) {
      restore(entry);
      entry.restored = true;
    }
    detail::Buffer<double> found = doubles(entry.values);
    for (std::size_t i = 0; i < entry.before.size(); ++i) found[entry.quantized.exceptions[i]] = entry.before[i];
    for (std::size_t i = 0; i < found.size(); ++i) {
      found[i] = detail::size_of(found[i]) < 1e300 ? found[i] : 0.0;
    }
    if (ranks_.flat()) return found;
    detail::Buffer<double> ordered(*pool_, found.size());
    for (std::size_t i = 0; i < found.size(); ++i) ordered[i] = found[ranks_.order()[i]];
    return ordered;
  }

  /// A column that is computed from pt, eta, phi and mass.
  void derive(const std::string& name, Entry& entry, detail::Reader& in) {
    const std::string header = in.text();
    const std::vector<std::string>& replaced =
        detail::replaced_columns(static_cast<std::size_t>(in.varint(detail::coordinate_kinds - 1)));
    if (std::find(replaced.begin(), replaced.end(), name) == replaced.end() ||
        entry.parents != detail::source_columns(name)) {
      throw Error("damaged payload: " + quoted(name) + " is computed from other columns");
    }
    const std::vector<std::uint32_t> rows = detail::read_rows(*pool_, in, ranks_.jets(), header);
    const detail::Quantized exact = detail::Quantized::read(*pool_, in, rows.size(), header);
    if (!detail::is_float(exact.type)) {
      throw Error("damaged payload: " + quoted(name) + " is of type " + type_name(exact.type));
    }
    const detail::Run stored = detail::read_integers(*pool_, in, rows.size(), header);
    if (stored.size() != rows.size()) throw Error("damaged payload: exceptions without their values");
    std::vector<detail::Buffer<double>> sources;
    std::vector<const double*> pointers;
    for (const std::string& source : entry.parents) {
      sources.push_back(doubles(values(source)));
      pointers.push_back(sources.back().data());
    }
    detail::Buffer<double> computed(*pool_, ranks_.jets());
    detail::compute(name, pointers, ranks_.jets(), computed.data());
    entry.values = Values(exact.type, ranks_.jets());
    detail::with_type(exact.type, [&](auto sample) {
      using T = decltype(sample);
      T* const out = entry.values.template writable<T>();
      for (std::size_t i = 0; i < ranks_.jets(); ++i) out[i] = static_cast<T>(computed[i]);
      std::unique_ptr<T[]> own(new T[rows.size()]);
      exact.restore(stored.numbers.data(), rows.size(), nullptr, nullptr, own.get());
      exact.complete(own.get());
      for (std::size_t i = 0; i < rows.size(); ++i) out[rows[i]] = own[i];
    });
  }

  std::shared_ptr<detail::Pool> pool_;  // before all that holds memory of it
  std::int64_t events_;
  std::uint64_t seed_;
  detail::Ranks ranks_;
  std::map<std::string, Entry> columns_;
};

namespace detail {

inline const std::vector<std::int64_t>& checked_counts(std::int64_t events, std::int64_t jets,
                                                       const std::vector<std::int64_t>& counts) {
  std::int64_t left = jets;
  bool fits = events >= 0 && static_cast<std::uint64_t>(events) == counts.size();
  for (const std::int64_t count : counts) {
    fits = fits && count >= 0 && count <= left;
    left -= fits ? count : 0;
  }
  if (!fits || left != 0) {
    throw Error("damaged payload: the number of jets in the cluster is not that of its events");
  }
  return counts;
}

}  // namespace detail

inline Cluster::Cluster(std::int64_t events, std::int64_t jets, std::uint64_t seed, std::vector<std::int64_t> counts,
                        Memory memory)
    : decoder_(std::make_unique<Decoder>(
          memory.pool_, events, seed,
          detail::Ranks(*memory.pool_, jets, detail::checked_counts(events, jets, counts)))) {}
inline Cluster::Cluster(std::int64_t jets, std::uint64_t seed, Memory memory)
    : decoder_(std::make_unique<Decoder>(memory.pool_, jets, seed, detail::Ranks(*memory.pool_, jets))) {}
inline Cluster::Cluster(Cluster&&) noexcept = default;
inline Cluster& Cluster::operator=(Cluster&&) noexcept = default;
inline Cluster::~Cluster() = default;

inline void Cluster::add(const std::string& column, std::vector<std::string> parents, std::vector<std::uint8_t> blob) {
  decoder_->add(column, std::move(parents), std::move(blob));
}
inline bool Cluster::has(const std::string& column) const { return decoder_->has(column); }
inline const Values& Cluster::values(const std::string& column) { return decoder_->values(column); }
inline std::int64_t Cluster::events() const { return decoder_->events(); }
inline std::int64_t Cluster::jets() const { return decoder_->jets(); }

}  // namespace hepae

#endif
