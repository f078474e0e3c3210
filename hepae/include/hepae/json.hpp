/// A small reader of JSON: strict, with a limit to the depth, so that nothing that a file holds takes more than its own size.
#ifndef HEPAE_JSON_HPP
#define HEPAE_JSON_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "hepae/error.hpp"

namespace hepae {
namespace detail {

/// A value of JSON. Whole numbers that fit 64 bits are counts; any other number is only known to be one.
struct Json {
  enum class Kind { null, boolean, whole, number, text, list, object };

  Kind kind = Kind::null;
  bool truth = false;
  std::int64_t whole = 0;
  std::string text;
  std::vector<Json> items;                           ///< of a list
  std::vector<std::pair<std::string, Json>> fields;  ///< of an object, in its order; of a name that is there twice the last

  /// The field of this name; none where it is not there.
  const Json* find(const std::string& name) const {
    const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.first == name; });
    return found == fields.end() ? nullptr : &found->second;
  }
};

class JsonReader {
 public:
  explicit JsonReader(const std::string& text) : at_(text.data()), end_(text.data() + text.size()) {}

  Json read() {
    Json value = read_value(0);
    skip_space();
    if (at_ != end_) fail();
    return value;
  }

 private:
  static constexpr int deepest = 64;

  [[noreturn]] static void fail() { throw Error("it is no JSON"); }

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  }

  char next() {
    if (at_ == end_) fail();
    return *at_++;
  }

  void expect(const char* word) {
    for (; *word != 0; ++word) {
      if (next() != *word) fail();
    }
  }

  Json read_value(int depth) {
    if (depth > deepest) throw Error("its JSON is too deep");
    skip_space();
    Json value;
    if (at_ == end_) fail();
    switch (*at_) {
      case '{': read_object(value, depth); break;
      case '[': read_list(value, depth); break;
      case '"':
        value.kind = Json::Kind::text;
        value.text = read_text();
        break;
      case 't':
        expect("true");
        value.kind = Json::Kind::boolean;
        value.truth = true;
        break;
      case 'f':
        expect("false");
        value.kind = Json::Kind::boolean;
        break;
      case 'n': expect("null"); break;
      default: read_number(value);
    }
    return value;
  }

  void read_object(Json& value, int depth) {
    value.kind = Json::Kind::object;
    ++at_;
    skip_space();
    if (at_ != end_ && *at_ == '}') {
      ++at_;
      return;
    }
    while (true) {
      skip_space();
      if (at_ == end_ || *at_ != '"') fail();
      std::string name = read_text();
      skip_space();
      if (next() != ':') fail();
      value.fields.emplace_back(std::move(name), read_value(depth + 1));
      skip_space();
      const char last = next();
      if (last == '}') break;
      if (last != ',') fail();
    }
    keep_last(value);
  }

  /// Of fields of the same name keep the last, in the place of the first, as Python does.
  static void keep_last(Json& value) {
    std::vector<std::size_t> order(value.fields.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto name = [&](std::size_t i) -> const std::string& { return value.fields[i].first; };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return name(a) < name(b); });
    std::vector<bool> dropped(order.size());
    bool any = false;
    for (std::size_t i = 0; i < order.size();) {
      std::size_t end = i + 1;
      while (end < order.size() && name(order[end]) == name(order[i])) ++end;
      if (end - i > 1) std::swap(value.fields[order[i]].second, value.fields[order[end - 1]].second);
      for (std::size_t j = i + 1; j < end; ++j) dropped[order[j]] = any = true;
      i = end;
    }
    if (!any) return;
    std::vector<std::pair<std::string, Json>> kept;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (!dropped[i]) kept.push_back(std::move(value.fields[i]));
    }
    value.fields = std::move(kept);
  }

  void read_list(Json& value, int depth) {
    value.kind = Json::Kind::list;
    ++at_;
    skip_space();
    if (at_ != end_ && *at_ == ']') {
      ++at_;
      return;
    }
    while (true) {
      value.items.push_back(read_value(depth + 1));
      skip_space();
      const char last = next();
      if (last == ']') return;
      if (last != ',') fail();
    }
  }

  std::string read_text() {
    std::string text;
    ++at_;
    while (true) {
      const char c = next();
      if (c == '"') return text;
      if (static_cast<unsigned char>(c) < 0x20) fail();
      if (c != '\\') {
        text.push_back(c);
        continue;
      }
      switch (next()) {
        case '"': text.push_back('"'); break;
        case '\\': text.push_back('\\'); break;
        case '/': text.push_back('/'); break;
        case 'b': text.push_back('\b'); break;
        case 'f': text.push_back('\f'); break;
        case 'n': text.push_back('\n'); break;
        case 'r': text.push_back('\r'); break;
        case 't': text.push_back('\t'); break;
        case 'u': read_escaped(text); break;
        default: fail();
      }
    }
  }

  /// A character by its number in hexadecimal digits, of two numbers where it is beyond 16 bits, as UTF-8.
  void read_escaped(std::string& text) {
    std::uint32_t code = read_hexadecimal();
    if (code >= 0xD800 && code < 0xDC00 && end_ - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u') {
      const char* const before = at_;
      at_ += 2;
      const std::uint32_t low = read_hexadecimal();
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else {
        at_ = before;
      }
    }
    const auto put = [&](std::uint32_t byte) { text.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6);
      put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12);
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    }
  }

  std::uint32_t read_hexadecimal() {
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = next();
      std::uint32_t digit = 0;
      if (c >= '0' && c <= '9') {
        digit = static_cast<std::uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<std::uint32_t>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<std::uint32_t>(c - 'A' + 10);
      } else {
        fail();
      }
      code = 16 * code + digit;
    }
    return code;
  }

  std::size_t read_digits() {
    std::size_t count = 0;
    for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) ++count;
    if (count == 0) fail();
    return count;
  }

  void read_number(Json& value) {
    const char* const start = at_;
    const bool negative = *at_ == '-';
    if (negative) ++at_;
    const char* const digits = at_;
    const std::size_t count = read_digits();
    if (count > 1 && *digits == '0') fail();
    bool whole = true;
    if (at_ != end_ && *at_ == '.') {
      whole = false;
      ++at_;
      read_digits();
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      whole = false;
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      read_digits();
    }
    value.kind = Json::Kind::number;
    value.text.assign(start, at_);
    if (!whole || count > 19) return;
    std::uint64_t size = 0;
    for (const char* digit = digits; digit != digits + count; ++digit) {
      size = 10 * size + static_cast<std::uint64_t>(*digit - '0');
    }
    if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return;
    value.kind = Json::Kind::whole;
    value.whole = negative ? -static_cast<std::int64_t>(size) : static_cast<std::int64_t>(size);
  }

  const char* at_;
  const char* end_;
};

}  // namespace detail
}  // namespace hepae

#endif
