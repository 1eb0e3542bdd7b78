#include "core/gauge.h"

#include <algorithm>

#include "common/text.h"

namespace edgeflow {
namespace {

constexpr int64_t kMicro = 1000000;

// A device that runs a model draws at least 40 mW. Under that the reading is in milli units: the two readings of
// one number lie a factor of 1000 apart, and 40 W from a device that reports mA is as implausible.
constexpr int64_t kMinUw = 40 * 1000;
constexpr int64_t kMaxUw = 400 * kMicro;
constexpr double kMaxSignChanges = 0.1;
constexpr double kBusyQuantile = 0.9;

struct Unit {
  int64_t factor;
  std::string prefix;
};

Unit volt_unit(const std::string& name, int64_t voltage) {
  // 1 to 100 V.
  if (voltage >= kMicro && voltage <= 100 * kMicro) return {1, "µ"};
  if (voltage >= 1000 && voltage <= 100 * 1000) return {1000, "m"};
  throw Refused(name + ": voltage_now reads " + std::to_string(voltage) + ", plausible neither in µV nor in mV");
}

Unit power_unit(const std::string& name, const std::string& what, std::vector<int64_t> raw_uw) {
  // The loop is a part of the run, so the high readings are those of a device at work.
  std::sort(raw_uw.begin(), raw_uw.end());
  const int64_t busy = raw_uw[static_cast<size_t>(static_cast<double>(raw_uw.size() - 1) * kBusyQuantile)];
  for (const Unit& unit : {Unit{1, "µ"}, Unit{1000, "m"}}) {
    const int64_t power = saturating_multiply(busy, unit.factor);
    if (power >= kMinUw && power <= kMaxUw) return unit;
  }
  const std::string watts = formatted("%.3g", static_cast<double>(busy) / 1e6);
  throw Refused(name + ": " + what + " would be " + watts + " W, plausible in no unit");
}

int64_t floor_divided(int64_t value, int64_t divisor) {
  return value / divisor - (value % divisor < 0 ? 1 : 0);
}

}  // namespace

Series discharge(const std::string& name, const std::vector<int64_t>& readings,
                 const std::optional<std::vector<int64_t>>& voltages) {
  const std::string what = voltages ? "current_now" : "power_now";
  if (std::all_of(readings.begin(), readings.end(), [](int64_t reading) { return reading == 0; })) {
    throw Refused(name + ": " + what + " reads 0 all the time");
  }
  const int64_t sign = middle(readings) < 0 ? -1 : 1;
  const auto against = std::count_if(readings.begin(), readings.end(),
                                     [sign](int64_t reading) { return sign > 0 ? reading < 0 : reading > 0; });
  if (static_cast<double>(against) > kMaxSignChanges * static_cast<double>(readings.size())) {
    throw Refused(name + ": " + what + " changes its sign, so it charges at times");
  }
  std::vector<int64_t> columns(readings.size(), kMicro);
  std::string volt;
  if (voltages) {
    const Unit unit = volt_unit(name, middle(*voltages));
    volt = unit.prefix + "V";
    for (size_t at = 0; at < columns.size(); ++at) columns[at] = saturating_multiply((*voltages)[at], unit.factor);
  }
  Series series;
  for (size_t at = 0; at < readings.size(); ++at) {
    const int64_t product = saturating_multiply(saturating_multiply(readings[at], sign), columns[at]);
    series.values.push_back(floor_divided(product, kMicro));
  }
  const Unit unit = power_unit(name, what, series.values);
  for (int64_t& value : series.values) value = saturating_multiply(value, unit.factor);
  series.assumed.push_back(what + " is in " + unit.prefix + (voltages ? "A" : "W"));
  if (voltages) series.assumed.push_back("voltage_now is in " + volt);
  series.assumed.push_back(std::string("a ") + (sign < 0 ? "negative " : "positive ") + what + " is discharge");
  const int64_t gap = saturating_multiply(smallest_gap(readings), middle(columns));
  series.step = floor_divided(saturating_multiply(gap, unit.factor), kMicro);
  return series;
}

int64_t smallest_gap(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  int64_t smallest = 0;
  for (size_t at = 1; at < values.size(); ++at) {
    int64_t gap = 0;
    if (__builtin_sub_overflow(values[at], values[at - 1], &gap)) gap = INT64_MAX;
    if (gap > 0 && (smallest == 0 || gap < smallest)) smallest = gap;
  }
  return smallest;
}

int64_t middle(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int64_t saturating_multiply(int64_t a, int64_t b) {
  int64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product)) return product;
  return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
}

}  // namespace edgeflow
