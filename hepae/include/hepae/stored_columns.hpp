/// The columns that were not coded: ROOT reads them as it reads any TTree or RNTuple.
#ifndef HEPAE_STORED_COLUMNS_HPP
#define HEPAE_STORED_COLUMNS_HPP

#include <ROOT/InternalTreeUtils.hxx>
#include <ROOT/RDF/RColumnReaderBase.hxx>
#include <ROOT/RDataSource.hxx>
#include <ROOT/RNTupleDS.hxx>
#include <ROOT/RTTreeDS.hxx>
#include <TChain.h>
#include <TTreeReader.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "hepae/error.hpp"

namespace hepae {

using ColumnReader = ROOT::Detail::RDF::RColumnReaderBase;
using EntryRange = std::pair<ULong64_t, ULong64_t>;

/// A file of a chain, and its entries.
struct ChainedFile {
  std::string path;
  std::int64_t entries;
};

/// Reads the events' tree of several files, entry by entry in each slot.
class StoredColumns {
 public:
  virtual ~StoredColumns() = default;

  /// ROOT's own data source: it knows names and types.
  virtual ROOT::RDF::RDataSource& source() = 0;

  virtual void set_slots(unsigned slots) = 0;
  virtual std::unique_ptr<ColumnReader> reader(unsigned slot, std::string_view field, const std::type_info& type) = 0;
  virtual void set_entry(unsigned slot, ULong64_t entry) = 0;
  virtual void finish() = 0;
};

/// A TTree. Each slot has a chain of its own, so that an entry has the same number for all slots: ROOT's multi-threaded
/// processing of trees gives out tasks in which the number of an entry says nothing.
class TreeColumns final : public StoredColumns {
 public:
  TreeColumns(const std::string& tree, const std::vector<ChainedFile>& files)
      : tree_(tree), files_(files), source_(std::shared_ptr<TTree>(chain())) {}

  ROOT::RDF::RDataSource& source() override { return source_; }
  void set_slots(unsigned slots) override { slots_.resize(slots); }

  std::unique_ptr<ColumnReader> reader(unsigned slot, std::string_view field, const std::type_info& type) override {
    Slot& own = slots_[slot];
    if (!own.reader) {
      own.chain = chain();
      own.reader = std::make_unique<TTreeReader>(own.chain.get());
    }
    return ROOT::Internal::RDF::CreateColumnReader(source_, slot, field, type, own.reader.get());
  }

  void set_entry(unsigned slot, ULong64_t entry) override {
    auto& reader = slots_[slot].reader;
    if (reader && reader->SetEntry(static_cast<Long64_t>(entry)) != TTreeReader::kEntryValid) {
      throw Error("cannot read event " + std::to_string(entry) + " of tree " + quoted(tree_) + ": the file is damaged");
    }
  }

  /// A reader takes new columns only before its first entry.
  void finish() override {
    for (auto& slot : slots_) {
      if (slot.reader) slot.reader->Restart();
    }
  }

 private:
  struct Slot {
    std::unique_ptr<TChain> chain;
    std::unique_ptr<TTreeReader> reader;
  };

  std::unique_ptr<TChain> chain() const {
    auto made = ROOT::Internal::TreeUtils::MakeChainForMT(tree_);
    for (const auto& file : files_) made->AddFile(file.path.c_str(), file.entries, tree_.c_str());
    return made;
  }

  std::string tree_;
  std::vector<ChainedFile> files_;
  ROOT::Internal::RDF::RTTreeDS source_;
  std::vector<Slot> slots_;
};

/// An RNTuple: ROOT's own data source reads it, and says which ranges of entries go to a slot.
class TupleColumns final : public StoredColumns {
 public:
  TupleColumns(const std::string& tree, const std::vector<std::string>& files) : source_(tree, files) {}

  ROOT::RDF::RDataSource& source() override { return source_; }
  void set_slots(unsigned slots) override { source_.SetNSlots(slots); }

  std::unique_ptr<ColumnReader> reader(unsigned slot, std::string_view field, const std::type_info& type) override {
    return source_.GetColumnReaders(slot, field, type);
  }

  void set_entry(unsigned slot, ULong64_t entry) override { source_.SetEntry(slot, entry); }
  void finish() override {}

 private:
  ROOT::RDF::RNTupleDS source_;
};

}  // namespace hepae

#endif
