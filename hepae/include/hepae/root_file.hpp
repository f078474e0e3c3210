/// A ROOT file that is opened when it is read, and what a reader of compressed files needs of it.
#ifndef HEPAE_ROOT_FILE_HPP
#define HEPAE_ROOT_FILE_HPP

#include <ROOT/RNTupleReader.hxx>
#include <TBranch.h>
#include <TDirectory.h>
#include <TFile.h>
#include <TLeaf.h>
#include <TSystem.h>
#include <TTree.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hepae/error.hpp"
#include "hepae/values.hpp"

namespace hepae {

/// A ROOT file. It belongs to one thread at a time.
class RootFile {
 public:
  explicit RootFile(const std::string& path) : path_(path) {}

  /// Close the file until it is read again: a chain may have more files than a process may open.
  void close() {
    tuple_.reset();
    file_.reset();
  }

  bool has(const std::string& name) { return file().GetKey(name.c_str()) != nullptr; }

  /// Bytes of the file.
  std::int64_t size() { return file().GetSize(); }

  /// A TTree that has these branches. Throws Error where it is not there.
  TTree* tree(const std::string& name, const std::vector<std::string>& branches);

  /// An RNTuple. Throws Error where it is not there.
  ROOT::RNTupleReader& tuple(const std::string& name);

  /// Type of a field that holds integers, as numpy has it, of a tree that is stored as `ttree` or `rntuple`.
  std::string type(const std::string& storage, const std::string& tree, const std::string& field);

  /// Bytes of a field of numbers, `width` of each entry.
  std::vector<std::uint8_t> bytes(const std::string& storage, const std::string& tree, const std::string& field,
                                  std::size_t width, std::int64_t first, std::int64_t end);

  Error unreadable(const std::string& what) const {
    return Error("cannot read " + path_ + ": it is damaged or incomplete (" + what + ")");
  }

 private:
  TFile& file();

  std::string path_;
  std::unique_ptr<TFile> file_;
  std::unique_ptr<ROOT::RNTupleReader> tuple_;
};

namespace detail {

/// The integer of this type that is stored here.
inline std::int64_t integer(const std::uint8_t* bytes, const std::string& dtype) {
  std::uint64_t value = 0;
  const std::size_t width = type_size(type_of(dtype));
  std::memcpy(&value, bytes, width);  // little-endian
  const std::uint64_t sign = std::uint64_t{1} << (8 * width - 1);
  return static_cast<std::int64_t>(dtype[1] == 'i' ? (value ^ sign) - sign : value);
}

}  // namespace detail

inline TFile& RootFile::file() {
  if (!file_) {
    const TDirectory::TContext context;  // gDirectory stays what it is
    file_.reset(TFile::Open(path_.c_str(), "READ_WITHOUT_GLOBALREGISTRATION"));
    if (!file_ || file_->IsZombie()) {
      file_.reset();
      if (gSystem->AccessPathName(path_.c_str())) throw Error("no such file: " + path_);
      throw Error(path_ + " is no ROOT file, or a damaged one, not a compressed file; hepae compress makes one");
    }
  }
  return *file_;
}

inline TTree* RootFile::tree(const std::string& name, const std::vector<std::string>& branches) {
  auto* found = file().Get<TTree>(name.c_str());
  if (found == nullptr) throw unreadable("it has no tree " + quoted(name));
  for (const auto& branch : branches) {
    if (found->GetBranch(branch.c_str()) == nullptr) {
      throw unreadable("its tree " + quoted(name) + " has no branch " + quoted(branch));
    }
  }
  return found;
}

inline ROOT::RNTupleReader& RootFile::tuple(const std::string& name) {
  if (!tuple_) tuple_ = ROOT::RNTupleReader::Open(name, path_);
  return *tuple_;
}

inline std::string RootFile::type(const std::string& storage, const std::string& tree_name, const std::string& field) {
  static const std::map<std::string, std::string> types{
      {"Char_t", "|i1"},       {"Short_t", "<i2"},       {"Int_t", "<i4"},         {"Long64_t", "<i8"},
      {"UChar_t", "|u1"},      {"UShort_t", "<u2"},      {"UInt_t", "<u4"},        {"ULong64_t", "<u8"},
      {"std::int8_t", "|i1"},  {"std::int16_t", "<i2"},  {"std::int32_t", "<i4"},  {"std::int64_t", "<i8"},
      {"std::uint8_t", "|u1"}, {"std::uint16_t", "<u2"}, {"std::uint32_t", "<u4"}, {"std::uint64_t", "<u8"}};
  std::string name;
  if (storage == "ttree") {
    auto* branch = tree(tree_name, {field})->GetBranch(field.c_str());  // `bytes` has room for one number
    auto* leaf = branch->IsA() == TBranch::Class() && branch->GetNleaves() == 1
                     ? static_cast<TLeaf*>(branch->GetListOfLeaves()->At(0))
                     : nullptr;
    if (leaf != nullptr && leaf->GetLeafCount() == nullptr && leaf->GetLenStatic() == 1) name = leaf->GetTypeName();
  } else {
    const auto& descriptor = tuple(tree_name).GetDescriptor();
    const auto id = descriptor.FindFieldId(field);
    if (id != ROOT::kInvalidDescriptorId) name = descriptor.GetFieldDescriptor(id).GetTypeName();
  }
  const auto found = types.find(name);
  if (found == types.end()) throw unreadable("its counter " + quoted(field) + " is no branch of one integer an event");
  return found->second;
}

inline std::vector<std::uint8_t> RootFile::bytes(const std::string& storage, const std::string& tree_name,
                                                 const std::string& field, std::size_t width, std::int64_t first,
                                                 std::int64_t end) {
  std::vector<std::uint8_t> found(static_cast<std::size_t>(end - first) * width);
  std::uint8_t* at = found.data();
  std::uint64_t value = 0;
  if (storage == "rntuple") {
    auto& reader = tuple(tree_name);
    const auto& descriptor = reader.GetDescriptor();
    const auto type = descriptor.GetFieldDescriptor(descriptor.FindFieldId(field)).GetTypeName();
    auto view = reader.GetView(field, static_cast<void*>(&value), type);
    for (auto entry = first; entry < end; ++entry, at += width) {
      view(static_cast<ROOT::NTupleSize_t>(entry));
      std::memcpy(at, &value, width);
    }
    return found;
  }
  auto* branch = tree(tree_name, {field})->GetBranch(field.c_str());
  branch->SetAddress(&value);
  bool complete = true;
  for (auto entry = first; complete && entry < end; ++entry, at += width) {
    complete = branch->GetEntry(entry) > 0;
    std::memcpy(at, &value, width);
  }
  branch->ResetAddress();
  if (!complete) throw unreadable("branch " + quoted(field) + " has no entry for some of its events");
  return found;
}

}  // namespace hepae

#endif
