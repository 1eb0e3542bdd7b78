#include "common/text.h"

namespace edgeflow {
namespace {

bool follows(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// Length of the well-formed sequence that `bytes` begin with (the Unicode standard, table 3-7); 0: there is none.
size_t sequence_bytes(std::string_view bytes) {
  const auto at = [&](size_t index) { return static_cast<unsigned char>(index < bytes.size() ? bytes[index] : 0); };
  const unsigned char lead = at(0), second = at(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF && follows(second)) return 2;
  if (lead >= 0xE0 && lead <= 0xEF && follows(second) && follows(at(2))) {
    const bool overlong = lead == 0xE0 && second < 0xA0, surrogate = lead == 0xED && second > 0x9F;
    return overlong || surrogate ? 0 : 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4 && follows(second) && follows(at(2)) && follows(at(3))) {
    const bool overlong = lead == 0xF0 && second < 0x90, too_large = lead == 0xF4 && second > 0x8F;
    return overlong || too_large ? 0 : 4;
  }
  return 0;
}

}  // namespace

std::string listed(const std::vector<std::string>& names) {
  std::string out = "[";
  for (const std::string& name : names) out.append(out.size() > 1 ? ", '" : "'").append(name).append("'");
  return out + "]";
}

std::string valid_utf8(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const size_t length = sequence_bytes(bytes);
    if (length == 0) out += "\xEF\xBF\xBD";
    else out += bytes.substr(0, length);
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string_view stripped(std::string_view text) {
  constexpr const char* blanks = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

std::string clipped(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  while (bytes > 0 && follows(static_cast<unsigned char>(text[bytes]))) --bytes;
  return std::string(text.substr(0, bytes));
}

}  // namespace edgeflow
