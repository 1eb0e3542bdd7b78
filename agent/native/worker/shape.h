// Shapes, as messages show them.
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

}  // namespace edgeflow
