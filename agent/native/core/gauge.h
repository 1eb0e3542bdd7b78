// What a battery gauge's numbers mean: sign and unit, judged from a whole run of readings. Pure.
//
// The kernel's ABI says µA, µV and µW, and leaves the sign of current_now to the driver: on a Pixel it is negative
// while discharging, elsewhere positive; several vendors report mA.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace edgeflow {

// A source that cannot be used, with the reason in words.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Values in the source's unit, the smallest step between two of them, and what was taken for granted.
struct Series {
  std::vector<int64_t> values;
  int64_t step = 0;
  std::vector<std::string> assumed;
};

// The power in µW that leaves the battery, positive, from currents and voltages or (none) from powers.
// Throws Refused for zeros, for a sign that changes, and for numbers that are plausible in no unit.
Series discharge(const std::string& name, const std::vector<int64_t>& readings,
                 const std::optional<std::vector<int64_t>>& voltages);

// The smallest difference between two different values: the resolution as far as it shows; else 0.
int64_t smallest_gap(std::vector<int64_t> values);
// The upper median of at least one value.
int64_t middle(std::vector<int64_t> values);
// A product that stays at the end of its range: readings are whatever a driver says.
int64_t saturating_multiply(int64_t a, int64_t b);

}  // namespace edgeflow
