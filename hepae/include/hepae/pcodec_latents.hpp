/// Latent variables of pcodec's runs: their bits, bins and tables.
///
/// A latent is an unsigned integer. Each latent variable has *bins*, ranges of values that are coded by four interleaved states of a
/// tANS table, and offsets within the bin as plain bits.
#ifndef HEPAE_PCODEC_LATENTS_HPP
#define HEPAE_PCODEC_LATENTS_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "hepae/bytes.hpp"
#include "hepae/error.hpp"

namespace hepae {
namespace detail {

/// Numbers of a page that are coded together.
constexpr std::size_t batch = 256;

/// Bits in order, the lowest of each byte first.
class BitReader {
 public:
  BitReader(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  /// Up to 64 bits.
  std::uint64_t bits(unsigned count) {
    if (count > 8 * std::uint64_t{size_} - at_) throw Error("damaged payload: it ends too early");
    std::uint64_t value = 0;
    for (unsigned done = 0; done < count;) {
      const unsigned inside = static_cast<unsigned>(at_ & 7), some = std::min(8 - inside, count - done);
      const std::uint64_t byte = (data_[at_ >> 3] >> inside) & ((1u << some) - 1);
      value |= byte << done;
      done += some;
      at_ += some;
    }
    return value;
  }

  /// Skip to the next whole byte; the bits between are zeros.
  void align() {
    if (bits(static_cast<unsigned>(-at_ & 7)) != 0) throw Error("damaged payload: bits behind the end of a stream");
  }

  /// Bytes from the current one on, all `wanted` of them readable, and those beyond the end zero.
  const std::uint8_t* window(std::size_t wanted, std::uint8_t* room) const {
    const std::size_t here = static_cast<std::size_t>(at_ >> 3), left = size_ - here;
    if (left >= wanted) return data_ + here;
    std::memcpy(room, data_ + here, left);
    std::memset(room + left, 0, wanted - left);
    return room;
  }

  std::uint64_t at() const { return at_; }
  bool ended() const { return at_ == 8 * std::uint64_t{size_}; }

  /// Take bits that were read from the window.
  void advance(std::uint64_t count) {
    if (count > 8 * std::uint64_t{size_} - at_) throw Error("damaged payload: it ends too early");
    at_ += count;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::uint64_t at_ = 0;
};

/// One latent variable of a chunk, of type L: std::uint16_t, 32 or 64.
template <class L>
class Latents {
 public:
  static constexpr unsigned width = std::numeric_limits<L>::digits;

  /// The bins, from the chunk's metadata.
  explicit Latents(BitReader& in) {
    size_log_ = static_cast<unsigned>(in.bits(4));
    const auto count = static_cast<std::size_t>(in.bits(15));
    if (size_log_ > 14 || count > (std::size_t{1} << size_log_) || (count < 2 && size_log_ > 0)) {
      throw Error("damaged payload: a table of " + std::to_string(count) + " bins and 2^" +
                  std::to_string(size_log_) + " states");
    }
    bins_ = count;
    std::vector<Bin> bins(std::max<std::size_t>(count, 1));
    std::size_t total = count == 0 ? 1 : 0;
    for (std::size_t i = 0; i < count; ++i) {
      Bin& bin = bins[i];
      bin.weight = static_cast<std::uint32_t>(in.bits(size_log_)) + 1;
      bin.lower = static_cast<L>(in.bits(width));
      bin.offset_bits = static_cast<std::uint8_t>(in.bits(width == 16 ? 5 : width == 32 ? 6 : 7));
      if (bin.offset_bits > width) throw Error("damaged payload: a bin of more bits than its type");
      widest_ = std::max<unsigned>(widest_, bin.offset_bits);
      total += bin.weight;
    }
    if (total != std::size_t{1} << size_log_) throw Error("damaged payload: a table whose weights do not fill it");
    fill(bins);
  }

  /// The states at the start of a page.
  void start(BitReader& in) {
    for (unsigned& state : states_) state = static_cast<unsigned>(in.bits(size_log_));
  }

  bool empty() const { return bins_ == 0; }

  /// The next numbers, at most a batch of them.
  void read(BitReader& in, L* out, std::size_t count) {
    if (count == 0) return;
    if (widest_ == 0 && bins_ < 2) {
      std::fill(out, out + count, nodes_[0].lower);
      return;
    }
    std::uint8_t room[window_bytes];
    const std::uint8_t* data = in.window(window_bytes, room);
    const std::uint64_t begin = in.at() & 7;
    std::uint32_t starts[batch + 4];
    std::uint8_t widths[batch + 4];
    std::uint64_t at = begin;
    std::uint32_t offset = 0;
    if (bins_ < 2) {
      const Node& node = nodes_[0];
      for (std::size_t i = 0; i < count; ++i) {
        out[i] = node.lower;
        widths[i] = node.offset_bits;
        starts[i] = offset;
        offset += node.offset_bits;
      }
    } else {
      at = symbols(data, at, out, count, starts, widths, offset);
    }
    if (widest_ <= 57) {
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t bit = at + starts[i];
        const std::uint64_t bits = load<std::uint64_t>(data + (bit >> 3)) >> (bit & 7);
        out[i] = static_cast<L>(out[i] + static_cast<L>(bits & ((std::uint64_t{1} << widths[i]) - 1)));
      }
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t bit = at + starts[i], inside = bit & 7;
        std::uint64_t bits = load<std::uint64_t>(data + (bit >> 3)) >> inside;
        if (inside > 0) bits |= std::uint64_t{data[(bit >> 3) + 8]} << (64 - inside);
        if (widths[i] < 64) bits &= (std::uint64_t{1} << widths[i]) - 1;
        out[i] = static_cast<L>(out[i] + static_cast<L>(bits));
      }
    }
    in.advance(at + offset - begin);
  }

 private:
  struct Bin {
    std::uint32_t weight = 1;
    L lower = 0;
    std::uint8_t offset_bits = 0;
  };

  /// A state of the table: the number that it adds to, and how the next state follows.
  struct Node {
    L lower = 0;
    std::uint16_t next = 0;
    std::uint8_t bits = 0, offset_bits = 0;
  };

  /// Of each number at most 14 bits of a state and 64 of an offset, and what loads of 8 bytes read beyond.
  static constexpr std::size_t window_bytes = batch * (14 + 64) / 8 + 24;

  /// Spread the bins over the states, in steps of about 3/5 of the table.
  void fill(const std::vector<Bin>& bins) {
    const std::uint32_t size = 1u << size_log_;
    const std::uint32_t stride = (3 * size / 5) | 1u;
    std::vector<std::uint16_t> spread(size);
    std::uint32_t state = 0;
    for (std::size_t bin = 0; bin < bins.size(); ++bin) {
      for (std::uint32_t i = 0; i < bins[bin].weight; ++i) {
        spread[state] = static_cast<std::uint16_t>(bin);
        state = (state + stride) & (size - 1);
      }
    }
    std::vector<std::uint32_t> seen(bins.size());
    for (std::size_t bin = 0; bin < bins.size(); ++bin) seen[bin] = bins[bin].weight;
    nodes_.resize(size);
    for (std::uint32_t i = 0; i < size; ++i) {
      const Bin& bin = bins[spread[i]];
      std::uint32_t next = seen[spread[i]]++;
      Node& node = nodes_[i];
      node.lower = bin.lower;
      node.offset_bits = bin.offset_bits;
      while (next < size) {
        next <<= 1;
        ++node.bits;
      }
      node.next = static_cast<std::uint16_t>(next - size);
    }
  }

  /// The bins of a batch: lower ends, widths of offsets and where these start. Gives the bit behind the states.
  std::uint64_t symbols(const std::uint8_t* data, std::uint64_t at, L* out, std::size_t count, std::uint32_t* starts,
                        std::uint8_t* widths, std::uint32_t& offset) {
    const Node* const nodes = nodes_.data();
    std::uint32_t start = 0;
    unsigned s0 = states_[0], s1 = states_[1], s2 = states_[2], s3 = states_[3];
    std::uint64_t packed = 0;
    const auto step = [&](unsigned& state, std::size_t i) {
      const Node node = nodes[state];
      out[i] = node.lower;
      widths[i] = node.offset_bits;
      starts[i] = start;
      start += node.offset_bits;
      state = node.next + static_cast<unsigned>(packed & ((1u << node.bits) - 1));
      packed >>= node.bits;
      at += node.bits;
    };
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      packed = load<std::uint64_t>(data + (at >> 3)) >> (at & 7);
      step(s0, i);
      step(s1, i + 1);
      step(s2, i + 2);
      step(s3, i + 3);
    }
    packed = load<std::uint64_t>(data + (at >> 3)) >> (at & 7);
    if (i < count) step(s0, i);
    if (i + 1 < count) step(s1, i + 1);
    if (i + 2 < count) step(s2, i + 2);
    states_[0] = s0;
    states_[1] = s1;
    states_[2] = s2;
    states_[3] = s3;
    offset = start;
    return at;
  }

  unsigned size_log_ = 0, widest_ = 0;
  std::size_t bins_ = 0;
  std::vector<Node> nodes_;
  unsigned states_[4] = {0, 0, 0, 0};
};

}  // namespace detail
}  // namespace hepae

#endif
