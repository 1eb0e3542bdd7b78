// What messages of several backends show.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace edgeflow {

// float32[1, 3, 224, 224]
inline std::string shown(std::string_view dtype, const std::vector<int64_t>& shape) {
  std::string out(dtype);
  for (const int64_t axis : shape) out.append(out.size() == dtype.size() ? "[" : ", ").append(std::to_string(axis));
  return out.append(shape.empty() ? "[]" : "]");
}

// A runtime's own words as one line of at most 400 bytes.
inline std::string one_line(std::string_view words) {
  std::string out;
  for (const char letter : words) {
    const bool space = letter == ' ' || (letter >= '\t' && letter <= '\r');
    if (!space) out.push_back(letter);
    else if (!out.empty() && out.back() != ' ') out.push_back(' ');
    if (out.size() == 400) break;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace edgeflow
