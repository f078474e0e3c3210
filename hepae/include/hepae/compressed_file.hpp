/// A compressed file opened with ROOT: its headers and the index of its payload are checked, rows and counters read on demand.
#ifndef HEPAE_COMPRESSED_FILE_HPP
#define HEPAE_COMPRESSED_FILE_HPP

#include <TBranch.h>
#include <TError.h>
#include <TLeaf.h>
#include <TTree.h>
#include <TTreeReader.h>
#include <TTreeReaderArray.h>
#include <TTreeReaderValue.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "hepae/branch_checksums.hpp"
#include "hepae/differences.hpp"
#include "hepae/error.hpp"
#include "hepae/header.hpp"
#include "hepae/root_file.hpp"
#include "hepae/rows.hpp"
#include "hepae/values.hpp"

namespace hepae {

/// Consecutive events of a collection, and the row of each of its columns.
struct StoredCluster {
  std::int64_t first = 0, events = 0, jets = 0;
  std::uint64_t seed = 0;
  std::map<std::string, std::size_t> rows;

  std::int64_t end() const { return first + events; }
};

/// An open compressed file. Threads may share it.
class CompressedFile {
 public:
  /// Throws Error where the file is missing, damaged, no compressed one, or holds latents.
  explicit CompressedFile(const std::string& path);

  const std::string& path() const { return path_; }

  /// Number of events.
  std::int64_t events() const { return events_; }

  /// The header; that of the first part where hadd joined several.
  const Header& header() const { return parts_.front().header; }

  /// Clusters of a collection in the order of the events.
  const std::vector<StoredCluster>& clusters(const std::string& collection) const { return clusters_.at(collection); }

  const Row& row(std::size_t number) const { return rows_[number]; }

  /// Content of a row. Throws Error where its checksum is another one.
  std::vector<std::uint8_t> content(std::size_t number);

  /// Number of jets of each event of this range, after the checksums of `counter`.
  std::vector<std::int64_t> counts(const std::string& counter, std::int64_t first, std::int64_t end);

  /// Close the file until it is read again: a chain may have more files than a process may open.
  void close();

 private:
  struct Part {
    Header header;
    std::int64_t first = 0, entries = 0;
  };

  /// Call something that reads the file. Throws Error where ROOT, or memory, throws anything.
  template <class Read>
  auto guarded(Read read) {
    try {
      return read();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      throw root_.unreadable(error.what());
    }
  }

  std::vector<std::uint8_t> bytes_of_row(std::size_t number);
  void read_parts();
  void read_index();
  void take(std::size_t number);
  void check_counts();
  void check_memory();
  void append_counts(const Part& part, const std::string& counter, const std::string& dtype, std::int64_t begin,
                     std::int64_t end, std::vector<std::int64_t>& found);

  /// Name of a branch in the file.
  std::string field_of(const std::string& branch) const {
    const auto found = header().fields.find(branch);
    return found == header().fields.end() ? branch : found->second;
  }

  Error damaged(const std::string& what) const { return Error(path_ + " is damaged: " + what); }
  Error damaged_payload(const std::string& what) const {
    return damaged("in its tree 'hepae_payload', " + what);
  }

  std::string path_;
  RootFile root_;
  std::int64_t events_ = 0;
  std::vector<Part> parts_;
  std::vector<Row> rows_;
  std::map<std::string, std::vector<StoredCluster>> clusters_;
  std::mutex mutex_;
};

namespace detail {

/// Keeps ROOT from printing what becomes an Error.
class Quiet {
 public:
  Quiet() : before_(gErrorIgnoreLevel) { gErrorIgnoreLevel = kFatal; }
  ~Quiet() { gErrorIgnoreLevel = before_; }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  Int_t before_;
};

inline std::vector<std::uint8_t> bytes_of(TTreeReaderArray<UChar_t>& array) {
  const std::size_t size = array.GetSize();
  return size == 0 ? std::vector<std::uint8_t>() : std::vector<std::uint8_t>(&array.At(0), &array.At(0) + size);
}

/// Whether a list has a length that was read, and memory for it: TTreeReaderArray looks at neither.
inline bool has_length(TTreeReader& reader, const std::string& branch, Long64_t row) {
  auto* leaf = reader.GetTree()->GetLeaf(branch.c_str());
  auto* counter = leaf == nullptr ? nullptr : leaf->GetLeafCount();
  if (counter == nullptr || counter->GetBranch()->GetEntry(row) <= 0) return false;
  const double length = counter->GetValue();
  return length >= 0 && length <= counter->GetMaximum();  // ROOT has memory for the longest list
}

inline std::string megabytes(double bytes, int digits) {
  std::ostringstream text;
  text.setf(std::ios::fixed);
  text.precision(digits);
  text << bytes / 1e6;
  return text.str();
}

}  // namespace detail

inline CompressedFile::CompressedFile(const std::string& path) : path_(path), root_(path) {
  const detail::Quiet quiet;
  guarded([this] {
    read_parts();
    read_index();
    check_counts();
    check_memory();
  });
  close();
}

inline void CompressedFile::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  root_.close();
}

inline void CompressedFile::read_parts() {
  if (!root_.has("hepae")) throw Error(path_ + " is not a compressed file: it has no tree 'hepae'");
  TTreeReader reader(root_.tree("hepae", {"entries", "crc", "header", "model"}));
  TTreeReaderValue<Long64_t> entries(reader, "entries");
  TTreeReaderValue<UInt_t> crc(reader, "crc");
  TTreeReaderArray<UChar_t> header(reader, "header"), model(reader, "model");
  for (Long64_t row = 0; row < reader.GetEntries(); ++row) {
    if (reader.SetEntry(row) != TTreeReader::kEntryValid || entries.GetSetupStatus() < 0 || crc.GetSetupStatus() < 0 ||
        header.GetSetupStatus() < 0 || model.GetSetupStatus() < 0 || !detail::has_length(reader, "header", row) ||
        !detail::has_length(reader, "model", row)) {
      throw root_.unreadable("its tree 'hepae' is malformed");
    }
    Part part{read_part(*entries, *crc, detail::bytes_of(header), detail::bytes_of(model), path_), events_, *entries};
    if (part.header.codec != "bounded") {
      throw Error(path_ + " holds latents, and jets are restored from them by the network in Python; run: hepae decompress " +
                  path_ + " -o restored.root");
    }
    if (!parts_.empty()) {
      const auto what = differences(parts_.front().header, part.header);
      if (!what.empty()) {
        throw Error(path_ + " was made from files whose " + what + " differ; decompress them one by one");
      }
    }
    events_ += part.entries;
    parts_.push_back(std::move(part));
  }
  if (parts_.empty()) throw damaged("its tree 'hepae' is empty");
}

inline void CompressedFile::read_index() {
  TTreeReader reader(root_.tree("hepae_payload", {"events", "jets", "seed", "crc", "names", "blob"}));
  TTreeReaderValue<Long64_t> events(reader, "events"), jets(reader, "jets");
  TTreeReaderValue<ULong64_t> seed(reader, "seed");
  TTreeReaderValue<UInt_t> crc(reader, "crc");
  TTreeReaderArray<UChar_t> names(reader, "names");
  std::int64_t expected = 0;
  for (const auto& part : parts_) expected += part.header.payload_rows;
  if (reader.GetEntries() != expected) throw damaged_payload("its number of rows is not the one in the header");
  Long64_t number = 0;
  for (const auto& part : parts_) {
    std::uint32_t checksum = 0;
    std::vector<Row> rows;
    std::string wrong;
    for (std::int64_t i = 0; i < part.header.payload_rows; ++i, ++number) {
      if (reader.SetEntry(number) != TTreeReader::kEntryValid || events.GetSetupStatus() < 0 ||
          jets.GetSetupStatus() < 0 || seed.GetSetupStatus() < 0 || crc.GetSetupStatus() < 0 ||
          names.GetSetupStatus() < 0 || !detail::has_length(reader, "names", number)) {
        throw damaged_payload("row " + std::to_string(number) + " cannot be read");
      }
      const auto texts = detail::bytes_of(names);
      checksum = index_checksum(texts, *events, *jets, *seed, *crc, checksum);
      try {
        rows.push_back(read_row(texts, *events, *jets, *seed, *crc));
      } catch (const Error& error) {  // the checksum comes first
        if (wrong.empty()) wrong = error.what();
      }
    }
    if (checksum != part.header.payload_checksum) throw damaged_payload("checksum mismatch in its index");
    if (!wrong.empty()) throw damaged_payload(wrong);
    rows_.insert(rows_.end(), rows.begin(), rows.end());
  }
  for (const auto& collection : header().collections) clusters_[collection.name];
  for (std::size_t row = 0; row < rows_.size(); ++row) take(row);
}

/// Add a row to its cluster: a column that the last cluster has already begins the next one.
inline void CompressedFile::take(std::size_t number) {
  const Row& row = rows_[number];
  auto& clusters = clusters_[row.collection];
  if (clusters.empty() || clusters.back().rows.count(row.column) > 0) {
    const std::int64_t first = clusters.empty() ? 0 : clusters.back().end();
    if (row.events > events_ - first) throw damaged_payload("its clusters have more events than the header covers");
    clusters.push_back({first, row.events, row.jets, row.seed, {}});
  }
  auto& cluster = clusters.back();
  if (row.events != cluster.events || row.jets != cluster.jets || row.seed != cluster.seed) {
    throw damaged_payload("the columns of a cluster of " + quoted(row.collection) + " contradict each other");
  }
  for (const auto& parent : row.parents) {
    if (cluster.rows.count(parent) == 0) {
      throw damaged_payload(quoted(row.column) + " refers to a column that does not exist");
    }
  }
  cluster.rows[row.column] = number;
}

/// Compare what the tree and the payload hold with the headers.
inline void CompressedFile::check_counts() {
  const auto& first = header();
  std::int64_t entries = 0;
  if (first.storage == "ttree") {
    entries = root_.tree(first.tree, {})->GetEntries();
  } else {
    entries = static_cast<std::int64_t>(root_.tuple(first.tree).GetNEntries());
  }
  bool wrong = entries != events_;
  for (const auto& collection : first.collections) {
    std::int64_t promised = 0, jets = 0;
    for (const auto& part : parts_) {
      for (const auto& other : part.header.collections) {
        if (other.name == collection.name) promised += other.jets;
      }
    }
    const auto& clusters = clusters_.at(collection.name);
    for (const auto& cluster : clusters) jets += cluster.jets;
    wrong = wrong || (clusters.empty() ? 0 : clusters.back().end()) != events_ || jets != promised;
  }
  if (wrong) {
    throw damaged("tree " + quoted(first.tree) + " or the payload does not have the " + std::to_string(events_) +
                  " events and their jets that the header covers");
  }
}

/// Refuse a small file that claims more values than it can hold: as the Python program does, with the same limit.
inline void CompressedFile::check_memory() {
  const char* text = std::getenv("HEPAE_MAX_EXPANSION");
  char* end = nullptr;
  const double factor = text == nullptr ? 200.0 : std::strtod(text, &end);
  if (text != nullptr && (end == text || *end != '\0')) {
    throw Error("HEPAE_MAX_EXPANSION must be a number, got " + quoted(text));
  }
  const double stored = static_cast<double>(root_.size()), limit = 1e8 + factor * stored;
  double values = 0;
  for (const auto& row : rows_) values += static_cast<double>(row.jets);
  if (8 * values > limit) {
    throw Error("cannot read " + path_ + ": it has " + detail::megabytes(stored, 2) +
                " MB, but its values would take more than " + detail::megabytes(limit, 0) +
                " MB of memory; if you trust the file, set HEPAE_MAX_EXPANSION=1000 or higher");
  }
}

inline std::vector<std::uint8_t> CompressedFile::content(std::size_t number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return guarded([this, number] { return bytes_of_row(number); });
}

inline std::vector<std::uint8_t> CompressedFile::bytes_of_row(std::size_t number) {
  const Row& row = rows_[number];
  TTreeReader reader(root_.tree("hepae_payload", {"blob"}));
  TTreeReaderArray<UChar_t> bytes(reader, "blob");
  const auto entry = static_cast<Long64_t>(number);
  if (reader.SetEntry(entry) != TTreeReader::kEntryValid || bytes.GetSetupStatus() < 0 ||
      !detail::has_length(reader, "blob", entry)) {
    throw damaged_payload("row " + std::to_string(number) + " cannot be read");
  }
  auto blob = detail::bytes_of(bytes);
  std::string names = row.collection + '\0' + row.column;
  for (const auto& parent : row.parents) names += '\0' + parent;
  try {
    check_row(row, {names.begin(), names.end()}, blob.data(), blob.size());
  } catch (const Error& error) {
    throw damaged_payload(error.what());
  }
  return blob;
}

inline std::vector<std::int64_t> CompressedFile::counts(const std::string& counter, std::int64_t first,
                                                        std::int64_t end) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return guarded([&] {
    const auto dtype = root_.type(header().storage, header().tree, field_of(counter));
    std::vector<std::int64_t> found;
    found.reserve(static_cast<std::size_t>(end - first));
    for (const auto& part : parts_) {
      const std::int64_t begin = std::max(first, part.first), stop = std::min(end, part.first + part.entries);
      if (begin < stop) append_counts(part, counter, dtype, begin, stop, found);
    }
    return found;
  });
}

/// Counts of events of one part; the ranges that hold them are read and checked as a whole.
inline void CompressedFile::append_counts(const Part& part, const std::string& counter, const std::string& dtype,
                                          std::int64_t begin, std::int64_t end, std::vector<std::int64_t>& found) {
  const auto& checksums = part.header.checksums;
  const auto expected = checksums.find(counter);
  const std::size_t width = type_size(type_of(dtype));
  for (std::int64_t range = (begin - part.first) / checksum_range; part.first + range * checksum_range < end; ++range) {
    const std::int64_t start = part.first + range * checksum_range;
    const std::int64_t stop = std::min(start + checksum_range, part.first + part.entries);
    const auto bytes = root_.bytes(header().storage, header().tree, field_of(counter), width, start, stop);
    BranchChecksum checksum;
    checksum.values(dtype, bytes.data(), bytes.size());
    const auto number = static_cast<std::size_t>(range);
    if (expected == checksums.end() || number >= expected->second.size() ||
        checksum.checksum() != expected->second[number]) {
      throw damaged("checksum mismatch in branch " + quoted(counter) + " of events " + std::to_string(start) + " to " +
                    std::to_string(stop));
    }
    for (auto entry = std::max(begin, start); entry < std::min(end, stop); ++entry) {
      found.push_back(detail::integer(bytes.data() + static_cast<std::size_t>(entry - start) * width, dtype));
    }
  }
}

}  // namespace hepae

#endif
