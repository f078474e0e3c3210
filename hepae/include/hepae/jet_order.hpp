/// Jets in the order in which they are coded: the first ones of all events, the second ones, and so on.
#ifndef HEPAE_JET_ORDER_HPP
#define HEPAE_JET_ORDER_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "hepae/buffer.hpp"
#include "hepae/error.hpp"

namespace hepae {
namespace detail {

/// Places of consecutive jets.
struct Places {
  std::size_t begin = 0, end = 0;
  std::size_t size() const { return end - begin; }
};

/// The order of a cluster's jets, and where in it the jets of each rank lie.
class Ranks {
 public:
  static constexpr std::int64_t longest = 256;

  /// A flat cluster: all jets are first ones, in their order.
  Ranks(Pool& pool, std::int64_t jets) : pool_(&pool), jets_(checked(jets)), flat_(true) { ranks_.push_back({0, jets_}); }

  /// Jets of events with so many each.
  Ranks(Pool& pool, std::int64_t jets, const std::vector<std::int64_t>& counts)
      : pool_(&pool), jets_(checked(jets)), order_(pool, jets_) {
    std::vector<std::size_t> pieces(longest + 2);  // how many have each length
    for (const std::int64_t count : counts) {
      pieces[longest] += static_cast<std::size_t>(count / longest);
      ++pieces[static_cast<std::size_t>(count % longest)];
    }
    pieces[0] = 0;
    std::vector<std::size_t> next(longest + 2);  // where the next piece of each length stands
    for (std::size_t length = longest; length > 0; --length) next[length - 1] = next[length] + pieces[length];
    Buffer<std::uint32_t> starts(pool, next[0]);
    std::uint32_t jet = 0;
    for (std::int64_t count : counts) {
      for (; count > 0; count -= longest) {
        const std::int64_t length = std::min(count, longest);
        starts[next[static_cast<std::size_t>(length)]++] = jet;
        jet += static_cast<std::uint32_t>(length);
      }
    }
    // behind the pieces of each length stand those that are shorter
    std::size_t place = 0;
    for (std::size_t rank = 0; rank < longest && next[rank + 1] > 0; ++rank) {
      const std::size_t size = next[rank + 1];
      for (std::size_t i = 0; i < size; ++i) order_[place + i] = starts[i] + static_cast<std::uint32_t>(rank);
      ranks_.push_back({place, place + size});
      place += size;
    }
    if (ranks_.empty()) ranks_.push_back({0, 0});
  }

  std::size_t jets() const { return jets_; }

  /// Whether the order is that of the file.
  bool flat() const { return flat_; }

  /// The jet at a place; not of a flat cluster.
  const std::uint32_t* order() const { return order_.data(); }

  const std::vector<Places>& ranks() const { return ranks_; }

  /// How many jets of its event come before each jet.
  const std::int32_t* before() const {
    if (!before_) {
      before_ = Buffer<std::int32_t>(*pool_, jets_);
      for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        for (std::size_t i = ranks_[rank].begin; i < ranks_[rank].end; ++i) before_[i] = static_cast<std::int32_t>(rank);
      }
    }
    return before_.data();
  }

  /// How many come after.
  const std::int32_t* after() const {
    if (!after_) {
      after_ = Buffer<std::int32_t>(*pool_, jets_);
      for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        std::size_t done = 0;  // the longest events come first
        for (std::size_t last = ranks_.size(); last-- > rank;) {
          for (; done < ranks_[last].size(); ++done) {
            after_[ranks_[rank].begin + done] = static_cast<std::int32_t>(last - rank);
          }
        }
      }
    }
    return after_.data();
  }

 private:
  static std::size_t checked(std::int64_t jets) {
    if (jets < 0 || jets > std::numeric_limits<std::int32_t>::max()) {
      throw Error("a cluster of " + std::to_string(jets) + " jets is more than this reader takes");
    }
    return static_cast<std::size_t>(jets);
  }

  Pool* pool_;
  std::size_t jets_;
  bool flat_ = false;
  Buffer<std::uint32_t> order_;
  std::vector<Places> ranks_;
  mutable Buffer<std::int32_t> before_, after_;
};

}  // namespace detail
}  // namespace hepae

#endif
