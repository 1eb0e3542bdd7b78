// Words of messages.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace edgeflow {

// A list of names as messages show it: ['a', 'b'].
inline std::string listed(const std::vector<std::string>& names) {
  std::string out = "[";
  for (const std::string& name : names) out.append(out.size() > 1 ? ", '" : "'").append(name).append("'");
  return out + "]";
}

// printf into a string, for the few places where a number needs a format.
template <typename... Values>
std::string formatted(const char* format, Values... values) {
  char buffer[64];
  const int length = std::snprintf(buffer, sizeof buffer, format, values...);
  return length < 0 ? std::string() : std::string(buffer);
}

}  // namespace edgeflow
