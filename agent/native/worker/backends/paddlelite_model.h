// What a .nb file says of itself: what Paddle Lite's opt wrote of the graph, read without Paddle Lite, which runs a
// model for another processor and answers rubbish without a word.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace edgeflow::paddlelite {

// TargetType and PrecisionType of Paddle Lite, as far as anything here asks for them.
constexpr int kTargetHost = 1, kTargetX86 = 2, kTargetArm = 4, kTargetAny = 6;
constexpr int kPrecisionInt8 = 2, kPrecisionFp16 = 5;

// A kernel that opt chose: `conv2d/def/4/1/1` is operator, alias, target, precision and layout.
struct Kernel {
  std::string operation;
  int target = 0;
  int precision = 0;
};

struct Model {
  std::vector<Kernel> kernels;
  std::map<std::string, std::vector<int64_t>> inputs;  // shapes; -1 where an axis is free
};

// Reads the file. Throws Fault load_failed where it is none that opt wrote, or of a format that is not known.
Model read_model(const std::string& path);

// Throws Fault load_failed unless this processor can run every kernel.
void require_target(const Model& model);

// What arithmetic the kernels do: "int8" or "fp16" where one of them does, else "fp32".
std::string compute_dtype(const Model& model);

}  // namespace edgeflow::paddlelite
