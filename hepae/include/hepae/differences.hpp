/// What files that are read as one have to agree on.
#ifndef HEPAE_DIFFERENCES_HPP
#define HEPAE_DIFFERENCES_HPP

#include <algorithm>
#include <string>
#include <vector>

#include "hepae/header.hpp"

namespace hepae {

namespace detail {

inline bool same(const Column& one, const Column& other) {
  return one.name == other.name && one.branch == other.branch && one.dtype == other.dtype;
}

inline bool same(const Branch& one, const Branch& other) {
  return one.name == other.name && one.dtype == other.dtype && one.jagged == other.jagged &&
         one.counter == other.counter && one.shape == other.shape && one.type == other.type;
}

inline bool same(const CodedCollection& one, const CodedCollection& other);

template <class T>
bool same(const std::vector<T>& one, const std::vector<T>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const T& first, const T& second) { return same(first, second); });
}

inline bool same(const CodedCollection& one, const CodedCollection& other) {
  return one.name == other.name && same(one.columns, other.columns) && one.counter == other.counter &&
         one.counted == other.counted && one.unit == other.unit && one.coded == other.coded &&
         one.latents == other.latents && one.bounded == other.bounded;
}

}  // namespace detail

/// What two files, or two parts of a joined one, do not agree on, though they have to. Empty where they agree.
inline std::string differences(const Header& one, const Header& other) {
  if (one.codec != other.codec) return "codec";
  if (one.tree != other.tree) return "tree";
  if (one.storage != other.storage) return "storage";
  if (!detail::same(one.branches, other.branches)) return "branches";
  if (one.fields != other.fields) return "fields";
  if (!detail::same(one.collections, other.collections)) return "collections";
  return "";
}

}  // namespace hepae

#endif
