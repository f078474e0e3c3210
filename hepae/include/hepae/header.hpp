/// The header of a compressed file: what a reader needs of it, every field checked.
#ifndef HEPAE_HEADER_HPP
#define HEPAE_HEADER_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hepae/bytes.hpp"
#include "hepae/error.hpp"
#include "hepae/json.hpp"

namespace hepae {

/// A number of a jet: its name in the payload, the branch of the original and its type as numpy has it (`<f4`).
struct Column {
  std::string name, branch, dtype;
};

/// A collection that was coded.
struct CodedCollection {
  std::string name;
  std::vector<Column> columns;         ///< all columns, those that were coded and those that stand in the tree as they are
  std::optional<std::string> counter;  ///< branch with the number of jets an event; none where a row is a jet
  bool counted = true;                 ///< whether the original had the counter itself
  std::string unit;                    ///< GeV or MeV
  std::vector<std::string> coded;      ///< names of the coded columns
  std::vector<std::string> latents;    ///< branches with latents; none without a model
  bool bounded = false;                ///< whether bounds are promised: then the coded columns are in the payload
  std::int64_t jets = 0;

  bool is_coded(const std::string& column) const;
};

/// What the original holds under one name.
struct Branch {
  std::string name;
  std::optional<std::string> dtype;  ///< element type as numpy has it; none for texts, lists in lists and the like
  bool jagged = false;
  std::optional<std::string> counter;
  std::vector<std::int64_t> shape;  ///< of a fixed-size element
  std::string type;                 ///< awkward's datashape where there is no dtype
};

/// One row of the tree `hepae`.
struct Header {
  std::string codec;    ///< bounded or latent
  std::string tree;     ///< the events' tree
  std::string storage;  ///< ttree or rntuple
  std::string format, layout;
  std::int64_t events = 0;
  std::vector<CodedCollection> collections;  ///< in the header's order
  std::vector<Branch> branches;              ///< of the original, in its order; those that were coded are not in the tree
  std::map<std::string, std::string> fields;  ///< names in the file of branches that an RNTuple calls otherwise
  std::map<std::string, std::vector<std::uint32_t>> checksums;  ///< of each branch of the tree, one a range of entries
  std::int64_t payload_rows = 0;
  std::uint32_t payload_checksum = 0;
};

/// CRC-32 of a row of the tree `hepae`: compare it with the row's `crc`.
std::uint32_t part_checksum(std::int64_t entries, const std::vector<std::uint8_t>& header,
                            const std::vector<std::uint8_t>& model);

/// The header of its JSON. Throws Error where it is malformed, or of a newer version: "its header is malformed (...)".
Header read_header(const std::string& json);

/// A row of the tree `hepae` of the file `where`, after its checksum. Throws Error where it is damaged or of a newer version.
Header read_part(std::int64_t entries, std::uint32_t crc, const std::vector<std::uint8_t>& header,
                 const std::vector<std::uint8_t>& model, const std::string& where);

namespace detail {

/// A value of JSON, and what its fields have to be: an Error where they are not that.
class Record {
 public:
  explicit Record(const Json& value, std::string name = "header") : value_(value), name_(std::move(name)) {}

  const Json& object() const {
    if (value_.kind != Json::Kind::object) throw Error(name_ + " is not an object");
    return value_;
  }

  const Json& get(const char* key, Json::Kind kind, const char* what) const {
    const Json* const found = object().find(key);
    if (found == nullptr) throw Error(name_ + " has no " + quoted(key));
    if (found->kind != kind) throw Error(quoted(key) + " of " + name_ + " is not " + what);
    return *found;
  }

  std::string text(const char* key) const { return get(key, Json::Kind::text, "a text").text; }

  std::optional<std::string> optional_text(const char* key) const {
    const Json* const found = object().find(key);
    if (found != nullptr && found->kind == Json::Kind::null) return std::nullopt;
    return text(key);
  }

  std::string choice(const char* key, const std::vector<std::string>& choices) const {
    const std::string found = text(key);
    if (std::find(choices.begin(), choices.end(), found) != choices.end()) return found;
    std::string all;
    for (const std::string& one : choices) all += (all.empty() ? "" : ", ") + one;
    throw Error(quoted(key) + " of " + name_ + " is none of " + all);
  }

  bool boolean(const char* key) const { return get(key, Json::Kind::boolean, "true or false").truth; }

  std::int64_t count(const char* key) const {
    const Json* const found = object().find(key);
    if (found != nullptr && found->kind == Json::Kind::number &&
        found->text.find_first_of(".eE") == std::string::npos) {
      throw Error(quoted(key) + " of " + name_ + " is not a count");
    }
    const std::int64_t number = get(key, Json::Kind::whole, "a whole number").whole;
    if (number < 0) throw Error(quoted(key) + " of " + name_ + " is not a count");
    return number;
  }

  std::vector<std::string> texts(const char* key) const {
    return texts_of(get(key, Json::Kind::list, "a list"), quoted(key));
  }

  /// The value itself as a list of so many texts.
  std::vector<std::string> texts(std::size_t count) const {
    const std::string number = std::to_string(count);
    if (value_.kind != Json::Kind::list || value_.items.size() != count) refuse_texts(number);
    return texts_of(value_, number);
  }

  const std::vector<Json>& items(const char* key) const { return get(key, Json::Kind::list, "a list").items; }

  const std::vector<std::pair<std::string, Json>>& fields(const char* key) const {
    return get(key, Json::Kind::object, "an object").fields;
  }

 private:
  [[noreturn]] void refuse_texts(const std::string& key) const {
    throw Error(key + " of " + name_ + " is not a list of texts");
  }

  std::vector<std::string> texts_of(const Json& list, const std::string& key) const {
    std::vector<std::string> found;
    for (const Json& item : list.items) {
      if (item.kind != Json::Kind::text) refuse_texts(key);
      found.push_back(item.text);
    }
    return found;
  }

  const Json& value_;
  std::string name_;
};

/// Refuse what is no type of numbers of at most 8 bytes.
inline void check_dtype(const std::string& text) {
  static const char* const known[] = {"<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1",
                                      "<u2", "<u4", "<u8", "|b1", ">f2", ">f4", ">f8", ">i2",
                                      ">i4", ">i8", ">u2", ">u4", ">u8"};
  static const char* const names[] = {"float16", "float32", "float64", "int8",   "int16",  "int32",
                                      "int64",   "uint8",   "uint16",  "uint32", "uint64", "bool"};
  const auto is = [&](const char* one) { return text == one; };
  if (std::none_of(std::begin(known), std::end(known), is) && std::none_of(std::begin(names), std::end(names), is)) {
    throw Error(quoted(text) + " is not a type of numbers");
  }
}

inline Branch read_branch(const Json& value) {
  const std::vector<Json>& values = value.items;
  if (value.kind != Json::Kind::list || values.size() < 5 || values.size() > 6) {
    throw Error("a branch is not described by five or six values");
  }
  const auto optional = [](const Json& one) { return one.kind == Json::Kind::null || one.kind == Json::Kind::text; };
  bool right = values[0].kind == Json::Kind::text && optional(values[1]) && values[2].kind == Json::Kind::boolean &&
               optional(values[3]) && values[4].kind == Json::Kind::list && values[4].items.size() <= 8 &&
               (values.size() == 5 || values[5].kind == Json::Kind::text);
  Branch branch;
  if (right) {
    for (const Json& size : values[4].items) {
      right = right && size.kind == Json::Kind::whole && size.whole >= 0 && size.whole < std::int64_t{1} << 31;
      branch.shape.push_back(size.whole);
    }
  }
  if (!right) {
    const std::string name = values[0].kind == Json::Kind::text ? quoted(values[0].text) : "a name that is no text";
    throw Error("branch " + name + " is described by values of the wrong type");
  }
  branch.name = values[0].text;
  if (values[1].kind == Json::Kind::text) {
    check_dtype(values[1].text);
    branch.dtype = values[1].text;
  }
  branch.jagged = values[2].truth;
  if (values[3].kind == Json::Kind::text) branch.counter = values[3].text;
  if (values.size() == 6) branch.type = values[5].text;
  return branch;
}

inline CodedCollection read_collection(const Json& value, const std::string& name) {
  const Record record(value, "collections." + name);
  CodedCollection found;
  for (const Json& item : record.items("columns")) {
    const std::vector<std::string> texts = Record(item, "'columns'").texts(3);
    check_dtype(texts[2]);
    found.columns.push_back({texts[0], texts[1], texts[2]});
  }
  found.name = record.text("name");
  found.counter = record.optional_text("counter");
  found.counted = record.boolean("counted");
  found.unit = record.choice("unit", {"MeV", "GeV"});
  found.coded = record.texts("coded");
  const auto known = [&](const std::string& column) {
    return std::any_of(found.columns.begin(), found.columns.end(), [&](const Column& one) { return one.name == column; });
  };
  if (found.coded.empty() || !std::all_of(found.coded.begin(), found.coded.end(), known)) {
    throw Error("collection " + quoted(found.name) + " codes columns that it does not have");
  }
  for (const auto& bound : record.fields("bounds")) {
    if (bound.second.kind != Json::Kind::text) throw Error("'bounds' of collections." + name + " holds something other than texts");
    found.bounded = true;
  }
  record.fields("edges");
  found.latents = record.texts("latents");
  found.jets = record.count("jets");
  return found;
}

/// Compare what several fields say together.
inline void check_header(const Header& header, const std::vector<std::string>& names) {
  if (header.collections.empty()) throw Error("it has no collection");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const CodedCollection& coded = header.collections[i];
    if (coded.name != names[i]) throw Error("collection " + quoted(names[i]) + " has another name inside");
    for (const Column& column : coded.columns) {
      const bool given = std::any_of(header.branches.begin(), header.branches.end(),
                                     [&](const Branch& branch) { return branch.name == column.branch; });
      if (coded.is_coded(column.name) && !given) {
        throw Error("collection " + quoted(names[i]) + " codes branches that the file does not give back");
      }
    }
    if ((header.codec == "latent") != !coded.latents.empty()) {
      throw Error("collection " + quoted(names[i]) + " has latents without a model, or the reverse");
    }
    if (header.codec == "bounded" && !coded.bounded) {
      throw Error("collection " + quoted(names[i]) + " has neither latents nor bounds");
    }
  }
}

inline Header header_of(const Json& value) {
  const Record record(value);
  const Json* const version = record.object().find("format_version");
  if (version == nullptr || version->kind != Json::Kind::whole || version->whole != 1) {
    const std::string found = version == nullptr ? "None" : version->kind == Json::Kind::whole ? std::to_string(version->whole) : version->text;
    throw Error("it has format version " + found + ", this hepae reads 1; upgrade hepae");
  }
  Header header;
  header.codec = record.choice("codec", {"bounded", "latent"});
  header.tree = record.text("tree");
  header.storage = record.choice("storage", {"ttree", "rntuple"});
  header.format = record.text("format");
  header.layout = record.text("layout");
  header.events = record.count("events");
  std::vector<std::string> names;
  for (const auto& field : record.fields("collections")) {
    names.push_back(field.first);
    header.collections.push_back(read_collection(field.second, field.first));
  }
  for (const Json& item : record.items("branches")) header.branches.push_back(read_branch(item));
  for (const auto& field : record.fields("fields")) {
    if (field.second.kind != Json::Kind::text) throw Error("'fields' of header holds something other than texts");
    header.fields[field.first] = field.second.text;
  }
  for (const auto& field : record.fields("checksums")) {
    std::vector<std::uint32_t>& checksums = header.checksums[field.first];
    bool right = field.second.kind == Json::Kind::list;
    for (const Json& item : field.second.items) {
      right = right && item.kind == Json::Kind::whole && item.whole >= 0;
      if (right && item.whole >> 32 != 0) {
        throw Error(quoted(field.first) + " in 'checksums' of header holds a number that is no checksum");
      }
      checksums.push_back(static_cast<std::uint32_t>(item.whole));
    }
    if (!right) throw Error(quoted(field.first) + " in 'checksums' of header is not a list of counts");
  }
  header.payload_rows = record.count("payload_rows");
  const std::int64_t checksum = record.count("payload_checksum");
  if (checksum >> 32 != 0) throw Error("'payload_checksum' of header is no checksum");
  header.payload_checksum = static_cast<std::uint32_t>(checksum);
  check_header(header, names);
  return header;
}

}  // namespace detail

inline bool CodedCollection::is_coded(const std::string& column) const {
  return std::find(coded.begin(), coded.end(), column) != coded.end();
}

inline std::uint32_t part_checksum(std::int64_t entries, const std::vector<std::uint8_t>& header,
                                   const std::vector<std::uint8_t>& model) {
  const std::uint32_t crc = crc32(&entries, sizeof entries);
  return crc32(model.data(), model.size(), crc32(header.data(), header.size(), crc));
}

inline Header read_header(const std::string& json) {
  const std::string version = "it has format version";
  try {
    return detail::header_of(detail::JsonReader(json).read());
  } catch (const Error& error) {
    if (std::string(error.what()).compare(0, version.size(), version) == 0) throw;
    throw Error(std::string("its header is malformed (") + error.what() + ")");
  }
}

inline Header read_part(std::int64_t entries, std::uint32_t crc, const std::vector<std::uint8_t>& header,
                        const std::vector<std::uint8_t>& model, const std::string& where) {
  if (part_checksum(entries, header, model) != crc) throw Error(where + " is damaged: checksum mismatch in its header");
  Header found;
  try {
    found = read_header(std::string(header.begin(), header.end()));
  } catch (const Error& error) {
    const std::string what = error.what();
    throw Error(where + (what.compare(0, 3, "it ") == 0 ? what.substr(2) : " is damaged: " + what));
  }
  if (found.events != entries) throw Error(where + " is damaged: its header does not cover the entries it says");
  return found;
}

}  // namespace hepae

#endif
