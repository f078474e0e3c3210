/// Runs of numbers: pcodec's wrapped format, the part of it that PAYLOAD.md allows (all modes; no delta, or consecutive ones).
///
/// A run is one chunk of one page. Each number is one or two *latents*, which `pcodec_latents.hpp` reads.
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
#include "hepae/pcodec_latents.hpp"

namespace hepae {
namespace detail {

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
