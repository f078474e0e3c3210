/// The columns that were coded, as RDataFrame reads them: an event's jets at a time.
#ifndef HEPAE_CODED_COLUMNS_HPP
#define HEPAE_CODED_COLUMNS_HPP

#include <ROOT/RDF/RColumnReaderBase.hxx>
#include <ROOT/RDF/Utils.hxx>
#include <ROOT/RVec.hxx>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "hepae/compressed_file.hpp"
#include "hepae/decoded_clusters.hpp"
#include "hepae/error.hpp"
#include "hepae/header.hpp"
#include "hepae/stored_columns.hpp"
#include "hepae/values.hpp"

namespace hepae {

/// Compressed files that are read as one, in order, and the clusters of theirs that were decoded last.
class CompressedChain {
 public:
  /// Throws Error where a file is damaged, or is not like the first one.
  explicit CompressedChain(const std::vector<std::string>& paths) {
    if (paths.empty()) throw Error("no file to read: name at least one compressed file");
    for (const auto& path : paths) {
      files_.push_back(std::make_unique<CompressedFile>(path));
      const auto what = differences(header(), files_.back()->header());
      if (!what.empty()) {
        throw Error(paths.front() + " and " + path + " cannot be read together: their " + what + " differ");
      }
      firsts_.push_back(events_);
      events_ += files_.back()->events();
    }
  }

  const Header& header() const { return files_.front()->header(); }
  std::size_t size() const { return files_.size(); }
  CompressedFile& file(std::size_t number) { return *files_[number]; }
  std::int64_t first(std::size_t number) const { return firsts_[number]; }
  std::int64_t events() const { return events_; }

  /// Number of the file that has this event.
  std::size_t file_of(std::int64_t event) const {
    return static_cast<std::size_t>(std::upper_bound(firsts_.begin(), firsts_.end(), event) - firsts_.begin()) - 1;
  }

  /// A cluster of a file.
  std::shared_ptr<DecodedCluster> decoded(std::size_t file, std::size_t collection, std::size_t cluster) {
    keep_open(file);
    return clusters_.get(*files_[file], collection, cluster);
  }

 private:
  /// Close the files that were read before the last ones.
  void keep_open(std::size_t file) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::find(open_.begin(), open_.end(), file) != open_.end()) return;
    open_.push_back(file);
    if (open_.size() > most_open) {
      files_[open_.front()]->close();
      open_.pop_front();
    }
  }

  static constexpr std::size_t most_open = 32;

  std::vector<std::unique_ptr<CompressedFile>> files_;
  std::vector<std::int64_t> firsts_;
  std::int64_t events_ = 0;
  DecodedClusters clusters_;
  std::deque<std::size_t> open_;
  std::mutex mutex_;
};

/// A coded column: its collection by number, its name in the payload and its type.
struct CodedColumn {
  std::size_t collection;
  std::string name;
  Type type;
  bool jagged;

  /// Type of an event's value, as RDataFrame names it.
  std::string type_name() const {
    static const char* const names[] = {"float",   "double",  "Char_t",   "Short_t", "Int_t", "Long64_t",
                                        "UChar_t", "UShort_t", "UInt_t", "ULong64_t", "bool"};
    const std::string element = names[static_cast<int>(type)];
    return jagged ? "ROOT::VecOps::RVec<" + element + ">" : element;
  }
};

namespace detail {

/// Values of a coded column around an event; `T` is the column's type, or one of the same representation.
template <class T>
class CodedValues {
 public:
  CodedValues(std::shared_ptr<CompressedChain> chain, CodedColumn column)
      : chain_(std::move(chain)), column_(std::move(column)) {}

  /// First value of an event, and the value behind its last one.
  std::pair<T*, T*> of(std::int64_t event) {
    if (event < first_ || event >= end_) move(event);
    const auto place = static_cast<std::size_t>(event - first_);
    if (!offsets_) return {data_ + place, data_ + place + 1};
    return {data_ + (*offsets_)[place], data_ + (*offsets_)[place + 1]};
  }

 private:
  void move(std::int64_t event) {
    const auto number = chain_->file_of(event);
    const std::int64_t before = chain_->first(number);
    const auto& clusters =
        chain_->file(number).clusters(chain_->header().collections[column_.collection].name);
    const auto next = std::upper_bound(clusters.begin(), clusters.end(), event - before,
                                       [](std::int64_t one, const StoredCluster& other) { return one < other.first; });
    const auto& cluster = *std::prev(next);
    auto decoded = chain_->decoded(number, column_.collection, static_cast<std::size_t>(std::prev(next) - clusters.begin()));
    values_ = decoded->values(column_.name);
    if (values_.kind() != column_.type) {
      throw Error(chain_->file(number).path() + " is damaged: column " + quoted(column_.name) + " is of type " +
                  values_.type() + ", not " + hepae::type_name(column_.type));
    }
    offsets_ = decoded->offsets();
    data_ = static_cast<T*>(static_cast<void*>(values_.bytes()));  // RDataFrame takes a pointer to what it only reads
    first_ = before + cluster.first;
    end_ = before + cluster.end();
  }

  std::shared_ptr<CompressedChain> chain_;
  CodedColumn column_;
  Values values_;
  std::shared_ptr<const std::vector<std::int64_t>> offsets_;
  T* data_ = nullptr;
  std::int64_t first_ = 0, end_ = 0;
};

/// Gives an event's values as an RVec that shares the memory of the cluster.
template <class T>
class RVecReader final : public ColumnReader {
 public:
  explicit RVecReader(CodedValues<T> values) : values_(std::move(values)) {}

 private:
  void* GetImpl(Long64_t entry) final {
    const auto [begin, end] = values_.of(entry);
    return &jets_.emplace(begin, static_cast<std::size_t>(end - begin));
  }

  CodedValues<T> values_;
  std::optional<ROOT::VecOps::RVec<T>> jets_;
};

/// Gives an event's values as a vector.
template <class T>
class VectorReader final : public ColumnReader {
 public:
  explicit VectorReader(CodedValues<T> values) : values_(std::move(values)) {}

 private:
  void* GetImpl(Long64_t entry) final {
    const auto [begin, end] = values_.of(entry);
    jets_.assign(begin, end);
    return &jets_;
  }

  CodedValues<T> values_;
  std::vector<T> jets_;
};

/// Gives the value of a flat file's row.
template <class T>
class ScalarReader final : public ColumnReader {
 public:
  explicit ScalarReader(CodedValues<T> values) : values_(std::move(values)) {}

 private:
  void* GetImpl(Long64_t entry) final { return values_.of(entry).first; }

  CodedValues<T> values_;
};

template <class T>
std::unique_ptr<ColumnReader> coded_reader(const std::shared_ptr<CompressedChain>& chain, const CodedColumn& column,
                                           const std::type_info& type, bool any) {
  if (column.jagged) {
    if (any || type == typeid(ROOT::VecOps::RVec<T>)) return std::make_unique<RVecReader<T>>(CodedValues<T>(chain, column));
    if (type == typeid(std::vector<T>)) return std::make_unique<VectorReader<T>>(CodedValues<T>(chain, column));
  } else if (any || type == typeid(T)) {
    return std::make_unique<ScalarReader<T>>(CodedValues<T>(chain, column));
  }
  return nullptr;
}

/// The same for any of the types that stand for the column's; the first one is RDataFrame's.
template <class... T>
std::unique_ptr<ColumnReader> coded_reader_as(const std::shared_ptr<CompressedChain>& chain, const CodedColumn& column,
                                              const std::type_info& type) {
  std::unique_ptr<ColumnReader> made;
  bool any = type == typeid(void);
  ((made = made ? std::move(made) : coded_reader<T>(chain, column, type, any)), ...);
  return made;
}

}  // namespace detail

/// A reader of a coded column. Throws Error where it is asked for in another type.
inline std::unique_ptr<ColumnReader> coded_reader(const std::shared_ptr<CompressedChain>& chain,
                                                  const CodedColumn& column, const std::type_info& type) {
  std::unique_ptr<ColumnReader> made;
  switch (column.type) {
    case Type::float32: made = detail::coded_reader_as<float>(chain, column, type); break;
    case Type::float64: made = detail::coded_reader_as<double>(chain, column, type); break;
    case Type::int8: made = detail::coded_reader_as<char, signed char>(chain, column, type); break;
    case Type::int16: made = detail::coded_reader_as<short>(chain, column, type); break;
    case Type::int32: made = detail::coded_reader_as<int>(chain, column, type); break;
    case Type::int64: made = detail::coded_reader_as<long long, long>(chain, column, type); break;
    case Type::uint8: made = detail::coded_reader_as<unsigned char>(chain, column, type); break;
    case Type::uint16: made = detail::coded_reader_as<unsigned short>(chain, column, type); break;
    case Type::uint32: made = detail::coded_reader_as<unsigned>(chain, column, type); break;
    case Type::uint64: made = detail::coded_reader_as<unsigned long long, unsigned long>(chain, column, type); break;
    case Type::boolean: made = detail::coded_reader_as<bool>(chain, column, type); break;
  }
  if (!made) {
    throw Error("column " + quoted(column.name) + " is of type " + column.type_name() + ", not " +
                ROOT::Internal::RDF::TypeID2TypeName(type));
  }
  return made;
}

}  // namespace hepae

#endif
