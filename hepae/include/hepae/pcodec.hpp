/// Runs of numbers: pcodec's wrapped format, the part of it that PAYLOAD.md allows (all modes; no delta, or consecutive ones).
///
/// A run is one chunk of one page. Each number is one or two *latents*, unsigned integers; each latent variable has *bins*,
/// ranges of values that are coded by four interleaved states of a tANS table, and offsets within the bin as plain bits.
#ifndef HEPAE_PCODEC_HPP
#define HEPAE_PCODEC_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "hepae/buffer.hpp"
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

/// Sums of sums of differences: `moments` are the first value of each order, `latents` are shorter by as many.
template <class L>
void sum_up(std::vector<L>& moments, L* latents, std::size_t count) {
  const L middle = static_cast<L>(L{1} << (Latents<L>::width - 1));
  for (std::size_t i = 0; i < count; ++i) latents[i] = static_cast<L>(latents[i] ^ middle);
  for (std::size_t order = moments.size(); order-- > 0;) {
    L sum = moments[order];
    for (std::size_t i = 0; i < count; ++i) {
      const L difference = latents[i];
      latents[i] = sum;
      sum = static_cast<L>(sum + difference);
    }
  }
}

enum class Mode { classic, int_mult, float_mult, float_quant, dictionary };

/// How latents make a number of the latent type L.
template <class L>
struct Joining {
  Mode mode = Mode::classic;
  L base = 0;         ///< of int_mult, and of float_mult as an ordered integer
  unsigned shift = 0;  ///< of float_quant
  std::vector<L> dictionary;
};

/// A float's bits as an unsigned integer of the same order, and back.
template <class L>
L to_ordered_latent(L bits) {
  const L sign = static_cast<L>(L{1} << (Latents<L>::width - 1));
  return (bits & sign) != 0 ? static_cast<L>(~bits) : static_cast<L>(bits ^ sign);
}
template <class L>
L from_ordered_latent(L ordered) {
  const L sign = static_cast<L>(L{1} << (Latents<L>::width - 1));
  return (ordered & sign) != 0 ? static_cast<L>(ordered ^ sign) : static_cast<L>(~ordered);
}

template <class F, class L>
F float_of(L bits) {
  F value;
  static_assert(sizeof value == sizeof bits, "a float and its bits");
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <class L, class F>
L bits_of(F value) {
  L bits;
  static_assert(sizeof value == sizeof bits, "a float and its bits");
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// The whole float that a latent of float_mult counts: beyond 2^24 or 2^53 each latent is the next float.
template <class F, class L>
F whole_float(L latent) {
  const L middle = static_cast<L>(L{1} << (Latents<L>::width - 1));
  const bool negative = latent < middle;
  const L size = static_cast<L>(negative ? middle - 1 - latent : latent - middle);
  const L limit = static_cast<L>(L{1} << std::numeric_limits<F>::digits);
  const F value = size < limit ? static_cast<F>(size)
                               : float_of<F>(static_cast<L>(bits_of<L>(static_cast<F>(limit)) + (size - limit)));
  return negative ? -value : value;
}

template <class L>
struct FloatOf;
template <> struct FloatOf<std::uint16_t> { using type = void; };
template <> struct FloatOf<std::uint32_t> { using type = float; };
template <> struct FloatOf<std::uint64_t> { using type = double; };

/// Ordered latent of a number, of its primary and secondary latent; `classic` and `dictionary` have no second one.
template <class L>
L joined(const Joining<L>& how, L first, L second) {
  const L middle = static_cast<L>(L{1} << (Latents<L>::width - 1));
  if (how.mode == Mode::int_mult) {
    return static_cast<L>(std::uint64_t{first} * std::uint64_t{how.base} + std::uint64_t{second});
  }
  if (how.mode == Mode::float_quant) {
    const L lowest = static_cast<L>((L{1} << how.shift) - 1);
    const L last = first >= static_cast<L>(middle >> how.shift) ? second : static_cast<L>(lowest - second);
    return static_cast<L>((std::uint64_t{first} << how.shift) + last);
  }
  if constexpr (!std::is_void_v<typename FloatOf<L>::type>) {
    if (how.mode == Mode::float_mult) {
      using F = typename FloatOf<L>::type;
      const F product = whole_float<F>(first) * float_of<F>(from_ordered_latent(how.base));
      return static_cast<L>((to_ordered_latent(bits_of<L>(product)) + second) ^ middle);
    }
  }
  return first;
}

/// Give what a number of a run is as an integer of 64 bits: integers as they are, floats as their bits with the sign extended.
template <class L>
std::int64_t number_of(L ordered, bool floats) {
  using Signed = std::make_signed_t<L>;
  const L middle = static_cast<L>(L{1} << (Latents<L>::width - 1));
  return static_cast<Signed>(floats ? from_ordered_latent(ordered) : static_cast<L>(ordered ^ middle));
}

template <class L, class P>
void read_page(Pool& pool, BitReader& in, const Joining<L>& how, bool floats, unsigned order, std::int64_t* out, std::size_t count) {
  Latents<P> primary(in);
  const bool two = how.mode == Mode::int_mult || how.mode == Mode::float_mult || how.mode == Mode::float_quant;
  std::vector<Latents<L>> secondary;
  if (two) secondary.emplace_back(in);
  in.align();

  std::vector<P> moments(order);
  for (P& moment : moments) moment = static_cast<P>(in.bits(Latents<P>::width));
  primary.start(in);
  if (two) secondary[0].start(in);
  in.align();
  const std::size_t coded = count > order ? count - order : 0;
  if ((primary.empty() && coded > 0) || (two && secondary[0].empty())) {
    throw Error("damaged payload: a stream without bins");
  }

  Buffer<P> firsts(pool, order > 0 ? count : batch);
  Buffer<L> seconds(pool, two ? (order > 0 ? count : batch) : 0);
  const auto join = [&](std::size_t start, std::size_t size, const P* some, const L* others) {
    for (std::size_t i = 0; i < size; ++i) {
      L ordered;
      if (how.mode == Mode::dictionary) {
        if (some[i] >= how.dictionary.size()) throw Error("damaged payload: a number beyond its dictionary");
        ordered = how.dictionary[static_cast<std::size_t>(some[i])];
      } else {
        ordered = joined<L>(how, static_cast<L>(some[i]), others != nullptr ? others[i] : L{0});
      }
      out[start + i] = number_of<L>(ordered, floats);
    }
  };
  for (std::size_t start = 0; start < count; start += batch) {
    const std::size_t size = std::min(batch, count - start);
    P* const some = firsts.data() + (order > 0 ? start : 0);
    L* const others = two ? seconds.data() + (order > 0 ? start : 0) : nullptr;
    primary.read(in, some, start < coded ? std::min(batch, coded - start) : 0);
    if (two) secondary[0].read(in, others, size);
    if (order > 0) continue;
    if (how.mode == Mode::classic && !floats) {
      const P middle = static_cast<P>(P{1} << (Latents<P>::width - 1));
      for (std::size_t i = 0; i < size; ++i) {
        out[start + i] = static_cast<std::make_signed_t<P>>(static_cast<P>(some[i] ^ middle));
      }
    } else {
      join(start, size, some, others);
    }
  }
  if (order > 0) {
    for (std::size_t i = coded; i < count; ++i) firsts[i] = 0;
    sum_up(moments, firsts.data(), count);
    join(0, count, firsts.data(), two ? seconds.data() : nullptr);
  }
  in.align();
  if (!in.ended()) {
    throw Error("damaged payload: a stream of " + std::to_string(count) + " integers does not end with its bytes");
  }
}

template <class L>
void read_chunk(Pool& pool, BitReader& in, bool floats, std::int64_t* out, std::size_t count) {
  const auto refuse = [] { throw Error("damaged payload: a stream that uses what its format does not allow"); };
  Joining<L> how;
  const auto mode = in.bits(4);
  if (mode > 4) refuse();
  how.mode = static_cast<Mode>(mode);
  const bool wants_floats = how.mode == Mode::float_mult || how.mode == Mode::float_quant;
  if ((wants_floats && !floats) || (how.mode == Mode::int_mult && floats)) refuse();
  if (how.mode == Mode::int_mult || how.mode == Mode::float_mult) {
    how.base = static_cast<L>(in.bits(Latents<L>::width));
    bool sensible = how.base != 0;
    if constexpr (!std::is_void_v<typename FloatOf<L>::type>) {
      if (floats) {
        const auto base = float_of<typename FloatOf<L>::type>(from_ordered_latent(how.base));
        sensible = base != 0 && base - base == 0;
      }
    }
    if (!sensible) refuse();
  } else if (how.mode == Mode::float_quant) {
    how.shift = static_cast<unsigned>(in.bits(8));
    if (how.shift == 0 || how.shift > (sizeof(L) == 4 ? 23u : 52u)) refuse();
  } else if (how.mode == Mode::dictionary) {
    const auto length = static_cast<std::size_t>(in.bits(25));
    in.align();
    std::vector<L> numbers;
    for (std::size_t i = 0; i < length; ++i) numbers.push_back(static_cast<L>(in.bits(Latents<L>::width)));
    how.dictionary = std::move(numbers);
  }
  unsigned order = 0;
  const auto delta = in.bits(4);
  if (delta > 1) refuse();
  if (delta == 1) {
    order = static_cast<unsigned>(in.bits(3));
    if (order == 0 || in.bits(1) != 0) refuse();
  }
  if (how.mode == Mode::dictionary) {
    read_page<L, std::uint32_t>(pool, in, how, floats, order, out, count);
  } else {
    read_page<L, L>(pool, in, how, floats, order, out, count);
  }
}

/// What the numbers of a run are.
enum class RunType { int16, int32, int64, float32, float64 };

/// A run of numbers. Floats are their bits as signed integers, the sign extended.
struct Run {
  RunType type = RunType::int64;
  Buffer<std::int64_t> numbers;

  std::size_t size() const { return numbers.size(); }
  bool floats() const { return type == RunType::float32 || type == RunType::float64; }
};

/// pcodec's header, once a column: the version of its format.
inline bool is_known_header(const std::string& header) { return header.size() == 2 && header[0] == 4; }

/// Read the next run into memory of the caller, who says how much there is; gives its type and length.
struct RunStart {
  std::size_t length = 0;
  RunType type = RunType::int64;
  const std::uint8_t* bytes = nullptr;
  std::size_t size = 0;
};

inline RunStart start_run(Reader& in, std::uint64_t most) {
  RunStart run;
  run.length = static_cast<std::size_t>(in.varint(most));
  if (run.length == 0) return run;
  const std::uint64_t value = in.varint();
  run.type = static_cast<RunType>(value % 5);
  run.bytes = in.raw(value / 5);
  run.size = static_cast<std::size_t>(value / 5);
  return run;
}

inline void finish_run(Pool& pool, const RunStart& run, const std::string& header, std::int64_t* out) {
  if (run.length == 0) return;
  if (!is_known_header(header)) {
    throw Error("damaged payload: a stream that uses what its format does not allow");
  }
  BitReader in(run.bytes, run.size);
  switch (run.type) {
    case RunType::int16: return read_chunk<std::uint16_t>(pool, in, false, out, run.length);
    case RunType::int32: return read_chunk<std::uint32_t>(pool, in, false, out, run.length);
    case RunType::int64: return read_chunk<std::uint64_t>(pool, in, false, out, run.length);
    case RunType::float32: return read_chunk<std::uint32_t>(pool, in, true, out, run.length);
    case RunType::float64: return read_chunk<std::uint64_t>(pool, in, true, out, run.length);
  }
}

/// Up to `most` integers or floats.
inline Run read_values(Pool& pool, Reader& in, std::uint64_t most, const std::string& header) {
  const RunStart start = start_run(in, most);
  Run run;
  run.type = start.type;
  run.numbers = Buffer<std::int64_t>(pool, start.length);
  finish_run(pool, start, header, run.numbers.data());
  return run;
}

/// Up to `most` integers.
inline Run read_integers(Pool& pool, Reader& in, std::uint64_t most, const std::string& header) {
  Run run = read_values(pool, in, most, header);
  if (run.floats()) throw Error("damaged payload: floats where integers have to be");
  return run;
}

}  // namespace detail
}  // namespace hepae

#endif
