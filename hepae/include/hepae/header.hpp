/// The header of a compressed file: what a reader needs of it, every field checked.
#ifndef HEPAE_HEADER_HPP
#define HEPAE_HEADER_HPP

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hepae/bytes.hpp"
#include "hepae/error.hpp"

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

/// The header of its JSON. Throws Error where it is malformed, or of a newer version.
Header read_header(const std::string& json);

}  // namespace hepae

#endif
