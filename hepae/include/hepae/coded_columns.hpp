/// The columns that were coded, as RDataFrame reads them: an event's jets at a time.
#ifndef HEPAE_CODED_COLUMNS_HPP
#define HEPAE_CODED_COLUMNS_HPP

#include <ROOT/RDF/RColumnReaderBase.hxx>
#include <ROOT/RDF/Utils.hxx>
#include <ROOT/RVec.hxx>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
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

/// Reads a coded column. One class serves all types, as ROOT's own readers of arrays do: an RVec that shares memory knows where it
/// begins and how many elements it has, and both are stored alike whatever they are.
class CodedReader final : public ColumnReader {
 public:
  CodedReader(std::shared_ptr<CompressedChain> chain, CodedColumn column)
      : chain_(std::move(chain)), column_(std::move(column)), width_(type_size(column_.type)) {}

 private:
  void* GetImpl(Long64_t entry) final {
    if (entry < first_ || entry >= end_) move(entry);
    const auto place = static_cast<std::size_t>(entry - first_);
    if (!column_.jagged) return values_.bytes() + place * width_;
    const auto begin = static_cast<std::size_t>(offsets_[place]), end = static_cast<std::size_t>(offsets_[place + 1]);
    return &jets_.emplace(static_cast<std::byte*>(static_cast<void*>(values_.bytes() + begin * width_)), end - begin);
  }

  /// Go to the cluster that has this event.
  void move(std::int64_t event) {
    const auto number = chain_->file_of(event);
    auto& file = chain_->file(number);
    const auto& clusters = file.clusters(chain_->header().collections[column_.collection].name);
    const auto next = std::upper_bound(clusters.begin(), clusters.end(), event - chain_->first(number),
                                       [](std::int64_t one, const StoredCluster& other) { return one < other.first; });
    const auto cluster = static_cast<std::size_t>(next - clusters.begin()) - 1;
    auto decoded = chain_->decoded(number, column_.collection, cluster);
    values_ = decoded->values(column_.name);
    if (values_.kind() != column_.type) {
      throw Error(file.path() + " is damaged: column " + quoted(column_.name) + " is of type " + values_.type() + ", not " +
                  hepae::type_name(column_.type));
    }
    offsets_ = decoded->offsets();
    decoded_ = std::move(decoded);
    first_ = chain_->first(number) + clusters[cluster].first;
    end_ = first_ + clusters[cluster].events;
  }

  std::shared_ptr<CompressedChain> chain_;
  CodedColumn column_;
  std::size_t width_;
  std::shared_ptr<DecodedCluster> decoded_;
  Values values_;
  const std::int64_t* offsets_ = nullptr;
  std::int64_t first_ = 0, end_ = 0;
  std::optional<ROOT::VecOps::RVec<std::byte>> jets_;
};

/// Whether a column's values can be read as this type: its own, or one of the same representation.
inline bool readable_as(const CodedColumn& column, const std::type_info& type) {
  using ROOT::VecOps::RVec;
  const bool lists = column.jagged;
  switch (column.type) {
    case Type::float32: return type == (lists ? typeid(RVec<float>) : typeid(float));
    case Type::float64: return type == (lists ? typeid(RVec<double>) : typeid(double));
    case Type::int8:
      return type == (lists ? typeid(RVec<char>) : typeid(char)) ||
             type == (lists ? typeid(RVec<signed char>) : typeid(signed char));
    case Type::int16: return type == (lists ? typeid(RVec<short>) : typeid(short));
    case Type::int32: return type == (lists ? typeid(RVec<int>) : typeid(int));
    case Type::int64:
      return type == (lists ? typeid(RVec<long long>) : typeid(long long)) ||
             type == (lists ? typeid(RVec<long>) : typeid(long));
    case Type::uint8: return type == (lists ? typeid(RVec<unsigned char>) : typeid(unsigned char));
    case Type::uint16: return type == (lists ? typeid(RVec<unsigned short>) : typeid(unsigned short));
    case Type::uint32: return type == (lists ? typeid(RVec<unsigned>) : typeid(unsigned));
    case Type::uint64:
      return type == (lists ? typeid(RVec<unsigned long long>) : typeid(unsigned long long)) ||
             type == (lists ? typeid(RVec<unsigned long>) : typeid(unsigned long));
    case Type::boolean: return type == (lists ? typeid(RVec<bool>) : typeid(bool));
  }
  return false;
}

}  // namespace detail

/// A reader of a coded column. Throws Error where it is asked for in another type.
inline std::unique_ptr<ColumnReader> coded_reader(const std::shared_ptr<CompressedChain>& chain,
                                                  const CodedColumn& column, const std::type_info& type) {
  if (type != typeid(void) && !detail::readable_as(column, type)) {
    throw Error("column " + quoted(column.name) + " is of type " + column.type_name() + ", not " +
                ROOT::Internal::RDF::TypeID2TypeName(type));
  }
  return std::make_unique<detail::CodedReader>(chain, column);
}

}  // namespace hepae

#endif
