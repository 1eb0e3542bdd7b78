#include "common/json.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace edgeflow {
namespace {

constexpr size_t kMaxDepth = 200;
// A double tells apart any two numbers of 15 digits (the tiniest, which are less precise, do not), and 17 digits tell apart any two doubles (less the first one).
constexpr int kSafeDecimals = 14;
constexpr int kMaxDecimals = 16;
constexpr size_t kMaxDigits = 20;  // nothing here needs more than 64 bits

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json document() {
    Json value = this->value(0);
    skip_space();
    if (at_ != text_.size()) fail("text after the value");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw JsonError(std::string(what) + " at byte " + std::to_string(at_));
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }

  bool take(char wanted) {
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json value(size_t depth) {
    if (depth > kMaxDepth) fail("values nested too deeply");
    skip_space();
    if (at_ >= text_.size()) fail("the text ends where a value belongs");
    switch (text_[at_]) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return string();
      case 't': if (take_word("true")) return true; break;
      case 'f': if (take_word("false")) return false; break;
      case 'n': if (take_word("null")) return nullptr; break;
      default: return number();
    }
    fail("not a value");
  }

  Json object(size_t depth) {
    Json::Object members;
    ++at_;
    skip_space();
    if (take('}')) return members;
    do {
      skip_space();
      if (at_ >= text_.size() || text_[at_] != '"') fail("a key must be a string");
      std::string key = string();
      skip_space();
      if (!take(':')) fail("expected ':'");
      members.insert_or_assign(std::move(key), value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take('}')) fail("expected ',' or '}'");
    return members;
  }

  Json array(size_t depth) {
    Json::Array values;
    ++at_;
    skip_space();
    if (take(']')) return values;
    do {
      values.push_back(value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take(']')) fail("expected ',' or ']'");
    return values;
  }

  size_t digits() {
    const size_t start = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ - start;
  }

  Json number() {
    const size_t start = at_;
    take('-');
    const size_t first = at_;
    const size_t whole = digits();
    if (whole == 0) fail("not a value");
    if (whole > 1 && text_[first] == '0') fail("a number with a leading zero");
    bool real = false;
    if (take('.')) {
      real = true;
      if (digits() == 0) fail("a number ends in its point");
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      real = true;
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (digits() == 0) fail("a number ends in its exponent");
    }
    const std::string word(text_.substr(start, at_ - start));
    if (real) {
      const double parsed = std::strtod(word.c_str(), nullptr);
      if (!std::isfinite(parsed)) fail("a number that is too large");
      return parsed;
    }
    if (whole > kMaxDigits) fail("a number with too many digits");
    int64_t parsed = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), parsed);
    if (error == std::errc::result_out_of_range) return Json::BigInteger{word};
    if (error != std::errc() || end != word.data() + word.size()) fail("not a number");
    return parsed;
  }

  std::string string() {
    std::string out;
    ++at_;
    while (true) {
      if (at_ >= text_.size()) fail("a string without its end");
      const unsigned char byte = static_cast<unsigned char>(text_[at_]);
      if (byte == '"') {
        ++at_;
        return out;
      }
      if (byte == '\\') {
        ++at_;
        escape(out);
      } else if (byte < 0x20) {
        fail("a control character within a string");
      } else if (byte < 0x80) {
        out.push_back(static_cast<char>(byte));
        ++at_;
      } else {
        copy_utf8(byte, out);
      }
    }
  }

  void escape(std::string& out) {
    if (at_ >= text_.size()) fail("a string without its end");
    const char letter = text_[at_++];
    switch (letter) {
      case '"': case '\\': case '/': out.push_back(letter); return;
      case 'b': out.push_back('\b'); return;
      case 'f': out.push_back('\f'); return;
      case 'n': out.push_back('\n'); return;
      case 'r': out.push_back('\r'); return;
      case 't': out.push_back('\t'); return;
      case 'u': break;
      default: fail("an unknown escape");
    }
    uint32_t code = hex4();
    if (code >= 0xDC00 && code < 0xE000) fail("a lone surrogate");
    if (code >= 0xD800 && code < 0xDC00) {
      if (!take_word("\\u")) fail("a lone surrogate");
      const uint32_t low = hex4();
      if (low < 0xDC00 || low >= 0xE000) fail("a lone surrogate");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(code, out);
  }

  uint32_t hex4() {
    uint32_t code = 0;
    if (at_ + 4 > text_.size()) fail("a cut escape");
    for (int i = 0; i < 4; ++i) {
      const char letter = text_[at_++];
      code <<= 4;
      if (letter >= '0' && letter <= '9') code |= static_cast<uint32_t>(letter - '0');
      else if (letter >= 'a' && letter <= 'f') code |= static_cast<uint32_t>(letter - 'a' + 10);
      else if (letter >= 'A' && letter <= 'F') code |= static_cast<uint32_t>(letter - 'A' + 10);
      else fail("a bad escape");
    }
    return code;
  }

  static void append_utf8(uint32_t code, std::string& out) {
    if (code < 0x80) {
      out.push_back(static_cast<char>(code));
    } else if (code < 0x800) {
      out.push_back(static_cast<char>(0xC0 | (code >> 6)));
      out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
    } else if (code < 0x10000) {
      out.push_back(static_cast<char>(0xE0 | (code >> 12)));
      out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
      out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
    } else {
      out.push_back(static_cast<char>(0xF0 | (code >> 18)));
      out.push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
      out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
      out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
    }
  }

  // One well-formed sequence of the Unicode standard's table 3-7: no overlong forms, no surrogates.
  void copy_utf8(unsigned char lead, std::string& out) {
    size_t length = 0;
    unsigned char low = 0x80, high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) length = 2;
    else if (lead >= 0xE0 && lead <= 0xEF) length = 3;
    else if (lead >= 0xF0 && lead <= 0xF4) length = 4;
    else fail("bytes that are not UTF-8");
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    if (at_ + length > text_.size()) fail("bytes that are not UTF-8");
    for (size_t i = 1; i < length; ++i) {
      const unsigned char next = static_cast<unsigned char>(text_[at_ + i]);
      if (next < low || next > high) fail("bytes that are not UTF-8");
      low = 0x80;
      high = 0xBF;
    }
    out.append(text_.substr(at_, length));
    at_ += length;
  }

  std::string_view text_;
  size_t at_ = 0;
};

void write_string(const std::string& value, std::string& out) {
  out.push_back('"');
  for (const char letter : value) {
    switch (letter) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (static_cast<unsigned char>(letter) < 0x20) {
          char escaped[8];
          std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(letter));
          out += escaped;
        } else {
          out.push_back(letter);
        }
    }
  }
  out.push_back('"');
}

bool reads_back(const char* text, double value) { return std::strtod(text, nullptr) == value; }

// The text of a number in scientific notation with its last digit one up.
void count_up(char* text) {
  for (char* digit = std::strchr(text, 'e') - 1; digit >= text; --digit) {
    if (*digit == '.' || *digit == '-') continue;
    if (*digit != '9') {
      ++*digit;
      return;
    }
    *digit = '0';
  }
}

// The shortest digits that read back as the same number, in scientific notation.
// Not std::to_chars: its tables alone take 128 KB of a static program.
void write_shortest(double value, char (&text)[40]) {
  const int fewest = std::abs(value) < std::numeric_limits<double>::min() ? 0 : kSafeDecimals;
  for (int decimals = fewest; decimals <= kMaxDecimals; ++decimals) {
    std::snprintf(text, sizeof text, "%.*e", decimals, value);
    if (reads_back(text, value)) return;
    // The doubles above a power of two lie twice as far apart as those below: the upper neighbour may be of use
    // where the nearer, lower one is not.
    count_up(text);
    if (reads_back(text, value)) return;
  }
}

// The shortest digits, laid out as Python's repr does (PEP 3101, 'r').
void write_double(double value, std::string& out) {
  if (!std::isfinite(value)) throw JsonError("NaN and infinities are not JSON");
  char buffer[40];
  write_shortest(value, buffer);
  std::string_view text(buffer);
  if (text.front() == '-') {
    out.push_back('-');
    text.remove_prefix(1);
  }
  const size_t mark = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(mark + 1)).c_str());
  std::string digits(1, text[0]);
  if (mark > 2) digits += text.substr(2, mark - 2);
  const size_t last = digits.find_last_not_of('0');
  digits.erase(last == std::string::npos ? 1 : last + 1);  // of a zero, one stays
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    char tail[16];
    std::snprintf(tail, sizeof tail, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    out += tail;
  } else if (exponent < 0) {
    out += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else if (count <= exponent + 1) {
    out += digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  } else {
    out += digits.substr(0, static_cast<size_t>(exponent + 1)) + "." + digits.substr(static_cast<size_t>(exponent + 1));
  }
}

// Everything but arrays and objects, whose members text() visits.
struct Scalars {
  std::string& out;

  void operator()(std::nullptr_t) { out += "null"; }
  void operator()(bool value) { out += value ? "true" : "false"; }
  void operator()(int64_t value) { out += std::to_string(value); }
  void operator()(const Json::BigInteger& value) { out += value.digits; }
  void operator()(double value) { write_double(value, out); }
  void operator()(const std::string& value) { write_string(value, out); }
};

}  // namespace

double Json::as_double() const {
  if (is_integer()) return static_cast<double>(as_integer());
  return get<double>("a number");
}

const Json& Json::operator[](std::string_view key) const {
  static const Json nothing;
  if (!is_object()) return nothing;
  const auto found = as_object().find(key);
  return found == as_object().end() ? nothing : found->second;
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object();
  Object& members = as_object();
  const auto found = members.find(key);
  return found != members.end() ? found->second : members.emplace(std::string(key), Json()).first->second;
}

Json Json::parse(std::string_view text) { return Parser(text).document(); }

std::string Json::excerpt(size_t limit) const {
  std::string whole = text();
  if (whole.size() <= limit) return whole;
  while (limit > 0 && (static_cast<unsigned char>(whole[limit]) & 0xC0) == 0x80) --limit;  // not within a character
  return whole.substr(0, limit);
}

std::string Json::text() const {
  struct Visit : Scalars {
    using Scalars::operator();
    void operator()(const Array& values) {
      out.push_back('[');
      bool first = true;
      for (const Json& value : values) {
        if (!first) out.push_back(',');
        first = false;
        std::visit(*this, value.value_);
      }
      out.push_back(']');
    }
    void operator()(const Object& members) {
      out.push_back('{');
      bool first = true;
      for (const auto& [key, value] : members) {
        if (!first) out.push_back(',');
        first = false;
        write_string(key, out);
        out.push_back(':');
        std::visit(*this, value.value_);
      }
      out.push_back('}');
    }
  };
  std::string out;
  std::visit(Visit{{out}}, value_);
  return out;
}

}  // namespace edgeflow
