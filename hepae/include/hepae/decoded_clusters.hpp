/// Clusters of compressed files that were decoded last: what several threads need is decoded once.
#ifndef HEPAE_DECODED_CLUSTERS_HPP
#define HEPAE_DECODED_CLUSTERS_HPP

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "hepae/cluster.hpp"
#include "hepae/compressed_file.hpp"
#include "hepae/error.hpp"
#include "hepae/header.hpp"
#include "hepae/values.hpp"

namespace hepae {

/// Memory of clusters that went, for those that come.
class SpareMemory {
 public:
  Memory take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (spare_.empty()) return Memory();
    Memory memory = spare_.back();
    spare_.pop_back();
    return memory;
  }

  void give_back(Memory memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    spare_.push_back(std::move(memory));
  }

 private:
  std::vector<Memory> spare_;
  std::mutex mutex_;
};

/// A cluster of a file: each column is read and decoded when it is first asked for. Threads may share it.
class DecodedCluster {
 public:
  DecodedCluster(CompressedFile& file, const CodedCollection& collection, const StoredCluster& stored,
                 std::shared_ptr<SpareMemory> spare)
      : file_(file), collection_(collection), stored_(stored), spare_(std::move(spare)), memory_(spare_->take()) {}

  ~DecodedCluster() {
    cluster_.reset();
    spare_->give_back(std::move(memory_));
  }

  DecodedCluster(const DecodedCluster&) = delete;
  DecodedCluster& operator=(const DecodedCluster&) = delete;

  /// Where the jets of each event begin, and where those of the last one end, as long as this lives; of a flat file null.
  const std::int64_t* offsets() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open();
    return collection_.counter ? offsets_.data() : nullptr;
  }

  /// Values of a column. Throws Error where it is damaged.
  Values values(const std::string& column) {
    const std::lock_guard<std::mutex> lock(mutex_);
    open();
    try {
      add(column);
      return cluster_->values(column);
    } catch (const Error& error) {
      throw Error(collection_.name + " of events " + std::to_string(stored_.first) + " to " +
                  std::to_string(stored_.end()) + " of " + file_.path() + " are damaged (" + error.what() +
                  "); the others are readable");
    }
  }

  /// Memory that it takes.
  std::int64_t bytes() const { return bytes_; }

 private:
  void open() {
    if (cluster_) return;
    if (!collection_.counter) {
      cluster_.emplace(stored_.jets, stored_.seed, memory_);
      return;
    }
    auto counts = file_.counts(*collection_.counter, stored_.first, stored_.end());
    offsets_.assign(1, 0);
    offsets_.reserve(counts.size() + 1);
    for (const auto count : counts) offsets_.push_back(offsets_.back() + count);
    cluster_.emplace(stored_.events, stored_.jets, stored_.seed, std::move(counts), memory_);
    bytes_ += 16 * stored_.events;
  }

  /// Read a column and its ancestors; parents come first.
  void add(const std::string& column) {
    if (cluster_->has(column)) return;
    const auto found = stored_.rows.find(column);
    if (found == stored_.rows.end()) throw Error("damaged payload: it has no column " + quoted(column));
    const Row& row = file_.row(found->second);
    for (const auto& parent : row.parents) add(parent);
    cluster_->add(column, row.parents, file_.content(found->second));
    bytes_ += 16 * stored_.jets;  // the values, and the integers that stand for them
  }

  CompressedFile& file_;
  const CodedCollection& collection_;
  const StoredCluster& stored_;
  std::shared_ptr<SpareMemory> spare_;
  Memory memory_;
  std::mutex mutex_;
  std::optional<Cluster> cluster_;
  std::vector<std::int64_t> offsets_;
  std::atomic<std::int64_t> bytes_{0};
};

/// Decoded clusters of several files; those that were not asked for longest go first. Threads may share it.
class DecodedClusters {
 public:
  /// `most_bytes`: memory of the clusters that are kept beside those in use.
  explicit DecodedClusters(std::int64_t most_bytes = 256'000'000) : most_bytes_(most_bytes) {}

  /// A cluster of a collection, by their numbers in the file.
  std::shared_ptr<DecodedCluster> get(CompressedFile& file, std::size_t collection, std::size_t cluster) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Key key{&file, collection, cluster};
    for (auto kept = kept_.begin(); kept != kept_.end(); ++kept) {
      if (kept->first == key) {
        kept_.splice(kept_.begin(), kept_, kept);
        return kept_.front().second;
      }
    }
    const auto& coded = file.header().collections[collection];
    auto made = std::make_shared<DecodedCluster>(file, coded, file.clusters(coded.name)[cluster], spare_);
    kept_.emplace_front(key, made);
    forget();
    return made;
  }

  /// Forget all clusters.
  void clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_.clear();
  }

 private:
  using Key = std::tuple<CompressedFile*, std::size_t, std::size_t>;

  void forget() {
    std::int64_t bytes = 0;
    for (const auto& kept : kept_) bytes += kept.second->bytes();
    while (bytes > most_bytes_ && kept_.size() > 1) {
      bytes -= kept_.back().second->bytes();
      kept_.pop_back();
    }
  }

  std::int64_t most_bytes_;
  std::shared_ptr<SpareMemory> spare_ = std::make_shared<SpareMemory>();
  std::list<std::pair<Key, std::shared_ptr<DecodedCluster>>> kept_;
  std::mutex mutex_;
};

}  // namespace hepae

#endif
