/// Compressed files in RDataFrame: the columns are those of the original file.
///
///     auto df = hepae::FromFile("small.root");
#ifndef HEPAE_RDATASOURCE_HPP
#define HEPAE_RDATASOURCE_HPP

#include <ROOT/RDF/RSampleInfo.hxx>
#include <ROOT/RDataFrame.hxx>
#include <ROOT/RDataSource.hxx>
#include <RVersion.h>

#if ROOT_VERSION_CODE < ROOT_VERSION(6, 40, 0)
#error "hepae::FromFile needs ROOT 6.40 or later"
#endif

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <typeinfo>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hepae/coded_columns.hpp"
#include "hepae/compressed_file.hpp"
#include "hepae/error.hpp"
#include "hepae/header.hpp"
#include "hepae/stored_columns.hpp"
#include "hepae/values.hpp"

#ifdef __CLING__
// cling compiles a function where it is first used, and hardly optimises it. Here the decoder becomes twice as fast. (Optimised,
// cling 6.40 aborts where a constructor with a std::string by value throws: such constructors take references here.)
#pragma cling optimize(3)
#define HEPAE_COMPILED_HERE __attribute__((used))
#else
#define HEPAE_COMPILED_HERE
#endif

namespace hepae {

/// Compressed files as a data source of RDataFrame. `FromFile` makes it.
class DataSource final : public ROOT::RDF::RDataSource {
 public:
  /// Throws Error where a file is damaged, holds latents, or is not like the first one.
  explicit DataSource(const std::vector<std::string>& paths);

  void SetNSlots(unsigned slots) final;
  std::size_t GetNFiles() const final { return chain_->size(); }
  const std::vector<std::string>& GetColumnNames() const final { return names_; }
  bool HasColumn(std::string_view name) const final { return types_.count(std::string(name)) > 0; }
  std::string GetTypeName(std::string_view name) const final { return GetTypeNameWithOpts(name, true); }
  std::unique_ptr<ColumnReader> GetColumnReaders(unsigned slot, std::string_view name, const std::type_info& type) final;
  std::vector<EntryRange> GetEntryRanges() final;
  bool SetEntry(unsigned slot, ULong64_t entry) final;
  void Initialize() final;
  void InitSlot(unsigned slot, ULong64_t first) final;
  void FinalizeSlot(unsigned slot) final;
  void Finalize() final;
  void SetGlobalEntryRange(EntryRange range) final;
  std::string GetLabel() final { return "hepae"; }

 protected:
  Record_t GetColumnReadersImpl(std::string_view, const std::type_info&) final { return {}; }
  std::string GetTypeNameWithOpts(std::string_view name, bool vector_to_rvec) const final;
  ROOT::RDF::RSampleInfo CreateSampleInfo(
      unsigned slot, const std::unordered_map<std::string, ROOT::RDF::Experimental::RSample*>& samples) const final;
  std::string DescribeDataset() final;
  std::string AsString() final { return "compressed files of hepae"; }

 private:
  /// What stands behind a column: a coded one, or a field of the tree.
  struct Origin {
    bool coded = false;
    CodedColumn column{};
    std::string field;
  };

  void find_columns();
  void plan_ranges();
  std::vector<std::int64_t> borders(std::size_t file) const;
  void add_ranges(std::size_t file, std::int64_t pieces);
  bool tree() const { return chain_->header().storage == "ttree"; }
  const Origin& origin(std::string_view name) const;

  std::shared_ptr<CompressedChain> chain_;
  std::unique_ptr<StoredColumns> stored_;
  std::vector<std::string> names_;
  std::map<std::string, Origin> types_;
  std::vector<std::vector<EntryRange>> ranges_;  // each is what one call of GetEntryRanges gives
  std::size_t given_ = 0;
  std::vector<EntryRange> current_;  // by slot
};

/// An RDataFrame of compressed files in order, with the columns of the original.
///
/// Throws Error where a file is missing, damaged, no compressed one, or holds latents.
HEPAE_COMPILED_HERE inline ROOT::RDataFrame FromFile(const std::vector<std::string>& paths) {
  return ROOT::RDataFrame(std::make_unique<DataSource>(paths));
}

/// The same of one file.
inline ROOT::RDataFrame FromFile(std::string_view path) { return FromFile(std::vector<std::string>{std::string(path)}); }

inline ROOT::RDataFrame FromFile(std::initializer_list<std::string> paths) {
  return FromFile(std::vector<std::string>(paths));
}

inline DataSource::DataSource(const std::vector<std::string>& paths) : chain_(std::make_shared<CompressedChain>(paths)) {
  const auto& header = chain_->header();
  if (tree()) {
    std::vector<ChainedFile> files;
    for (std::size_t file = 0; file < paths.size(); ++file) files.push_back({paths[file], chain_->file(file).events()});
    stored_ = std::make_unique<TreeColumns>(header.tree, files);
  } else {
    stored_ = std::make_unique<TupleColumns>(header.tree, paths);
  }
  find_columns();
}

/// The original's columns in its order.
inline void DataSource::find_columns() {
  const auto& header = chain_->header();
  std::map<std::string, CodedColumn> coded;
  for (std::size_t number = 0; number < header.collections.size(); ++number) {
    const auto& collection = header.collections[number];
    for (const auto& column : collection.columns) {
      if (!collection.is_coded(column.name)) continue;
      coded.insert({column.branch, {number, column.name, type_of(column.dtype), collection.counter.has_value()}});
    }
  }
  const auto& source = stored_->source();
  for (const auto& branch : header.branches) {
    Origin origin;
    if (const auto found = coded.find(branch.name); found != coded.end()) {
      origin = {true, found->second, ""};
    } else {
      const auto field = header.fields.find(branch.name);
      origin.field = field == header.fields.end() ? branch.name : field->second;
      if (!source.HasColumn(origin.field)) {
        throw Error(chain_->file(0).path() + " is damaged: tree " + quoted(header.tree) + " has no branch " +
                    quoted(origin.field));
      }
    }
    if (types_.emplace(branch.name, std::move(origin)).second) names_.push_back(branch.name);
  }
}

inline const DataSource::Origin& DataSource::origin(std::string_view name) const {
  const auto found = types_.find(std::string(name));
  if (found == types_.end()) throw Error("no column " + quoted(std::string(name)) + " in " + chain_->file(0).path());
  return found->second;
}

inline std::string DataSource::GetTypeNameWithOpts(std::string_view name, bool vector_to_rvec) const {
  const Origin& from = origin(name);
  if (from.coded) return from.column.type_name();
  return ROOT::Internal::RDF::GetTypeNameWithOpts(stored_->source(), from.field, vector_to_rvec);
}

inline void DataSource::SetNSlots(unsigned slots) {
  RDataSource::SetNSlots(slots);
  stored_->set_slots(slots);
  current_.resize(slots);
}

inline std::unique_ptr<ColumnReader> DataSource::GetColumnReaders(unsigned slot, std::string_view name,
                                                                  const std::type_info& type) {
  const Origin& from = origin(name);
  return from.coded ? coded_reader(chain_, from.column, type) : stored_->reader(slot, from.field, type);
}

inline void DataSource::Initialize() {
  if (tree()) {
    plan_ranges();
  } else {
    stored_->source().Initialize();
  }
}

/// Ranges of a TTree's entries: one file after the other, or with several threads all at once.
inline void DataSource::plan_ranges() {
  ranges_.clear();
  given_ = 0;
  std::int64_t clusters = 0;
  for (std::size_t file = 0; file < chain_->size(); ++file) {
    clusters += static_cast<std::int64_t>(borders(file).size()) - 1;
  }
  // Threads that share a cluster wait for each other while it is decoded, so that a cluster is cut only where there are few.
  const std::int64_t wanted = fNSlots > 1 ? 2 * static_cast<std::int64_t>(fNSlots) : 1;
  const std::int64_t pieces = fNSlots > 1 ? std::max<std::int64_t>(1, (wanted + clusters - 1) / std::max<std::int64_t>(clusters, 1)) : 1;
  for (std::size_t file = 0; file < chain_->size(); ++file) {
    if (fNSlots == 1 || ranges_.empty()) ranges_.emplace_back();
    add_ranges(file, pieces);
    if (ranges_.back().empty()) ranges_.pop_back();
  }
}

/// Where the clusters of a file begin, and the end of the last one: of the collection that has most of them.
inline std::vector<std::int64_t> DataSource::borders(std::size_t file) const {
  std::vector<std::int64_t> most{0, chain_->file(file).events()};
  for (const auto& collection : chain_->header().collections) {
    std::vector<std::int64_t> found{0};
    for (const auto& cluster : chain_->file(file).clusters(collection.name)) {
      if (cluster.end() > found.back()) found.push_back(cluster.end());
    }
    if (found.size() > most.size()) most = std::move(found);
  }
  return most;
}

inline void DataSource::add_ranges(std::size_t file, std::int64_t pieces) {
  const auto ends = borders(file);
  const ULong64_t first = fGlobalEntryRange ? fGlobalEntryRange->first : 0;
  const ULong64_t last = fGlobalEntryRange ? fGlobalEntryRange->second : static_cast<ULong64_t>(chain_->events());
  for (std::size_t cluster = 0; cluster + 1 < ends.size(); ++cluster) {
    const std::int64_t events = ends[cluster + 1] - ends[cluster];
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      const std::int64_t start = chain_->first(file) + ends[cluster];
      const auto begin = std::max(static_cast<ULong64_t>(start + events * piece / pieces), first);
      const auto end = std::min(static_cast<ULong64_t>(start + events * (piece + 1) / pieces), last);
      if (begin < end) ranges_.back().emplace_back(begin, end);
    }
  }
}

inline std::vector<EntryRange> DataSource::GetEntryRanges() {
  if (!tree()) return stored_->source().GetEntryRanges();
  if (given_ == ranges_.size()) return {};
  if (fNSlots == 1) current_[0] = {ranges_[given_].front().first, ranges_[given_].back().second};
  return ranges_[given_++];
}

inline bool DataSource::SetEntry(unsigned slot, ULong64_t entry) {
  stored_->set_entry(slot, entry);
  return true;
}

inline void DataSource::InitSlot(unsigned slot, ULong64_t first) {
  if (!tree()) {
    stored_->source().InitSlot(slot, first);
    return;
  }
  for (const auto& range : ranges_.empty() ? std::vector<EntryRange>() : ranges_.front()) {
    if (fNSlots > 1 && range.first == first) current_[slot] = range;
  }
}

inline void DataSource::FinalizeSlot(unsigned slot) {
  if (!tree()) stored_->source().FinalizeSlot(slot);
}

inline void DataSource::Finalize() {
  if (!tree()) stored_->source().Finalize();
  stored_->finish();
}

inline void DataSource::SetGlobalEntryRange(EntryRange range) {
  RDataSource::SetGlobalEntryRange(range);
  if (!tree()) stored_->source().SetGlobalEntryRange(range);
}

inline ROOT::RDF::RSampleInfo DataSource::CreateSampleInfo(
    unsigned slot, const std::unordered_map<std::string, ROOT::RDF::Experimental::RSample*>& samples) const {
  if (!tree()) return ROOT::Internal::RDF::CreateSampleInfo(stored_->source(), slot, samples);
  const auto [begin, end] = current_[slot];
  if (begin >= end) return {};
  const auto file = chain_->file_of(static_cast<std::int64_t>(begin));
  const auto first = static_cast<ULong64_t>(chain_->first(file));
  const auto id = chain_->file(file).path() + "/" + chain_->header().tree;
  return {id, {begin - first, end - first}, nullptr, static_cast<ULong64_t>(chain_->file(file).events())};
}

inline std::string DataSource::DescribeDataset() {
  std::string text = "Dataframe from compressed events " + chain_->header().tree + " in";
  for (std::size_t file = 0; file < chain_->size(); ++file) text += (file == 0 ? " " : ", ") + chain_->file(file).path();
  return text;
}

}  // namespace hepae

#undef HEPAE_COMPILED_HERE

#endif
