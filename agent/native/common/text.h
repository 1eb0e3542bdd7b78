// Words of messages, and text that strangers wrote.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace edgeflow {

// A list of names as messages show it: ['a', 'b'].
std::string listed(const std::vector<std::string>& names);

// The same bytes where they are UTF-8; else with U+FFFD in place of each byte that is not: JSON takes nothing else.
std::string valid_utf8(std::string_view bytes);
// Without blanks and line ends around it.
std::string_view stripped(std::string_view text);
// At most `bytes` of a text, cut between two characters.
std::string clipped(std::string_view text, size_t bytes);

// printf into a string, for the few places where a number needs a format.
template <typename... Values>
std::string formatted(const char* format, Values... values) {
  char buffer[64];
  const int length = std::snprintf(buffer, sizeof buffer, format, values...);
  return length < 0 ? std::string() : std::string(buffer);
}

}  // namespace edgeflow
