// Where a device tells its power: battery gauges, powercap counters, hwmon meters. Read by the core only.
//
// Sources of the formats: Linux kernel, Documentation/ABI/testing/{sysfs-class-power,sysfs-class-powercap} and
// Documentation/hwmon/sysfs-interface.rst. Where devices leave them (sign, milli for micro), gauge.h decides.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/gauge.h"

namespace edgeflow {

// A reading that failed this time: the file and what the system said of it.
struct Unread : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The raw integers of one instant: the one that updates, and what it goes with: a voltage where the source has one,
// for a sum each rail's current and voltage.
using Row = std::array<int64_t, 7>;

// One sensor. `quantity` is what `series` gives: "power_uw" (draw is positive) or "energy_uj" (growing).
// `rank` orders sources by how much of the device they cover, 0 first.
class Source {
 public:
  virtual ~Source() = default;

  // The raw integers of one instant. Throws Refused for good, Unread when it gives nothing now.
  virtual Row read() const;
  // At least one row in the unit of `quantity`. Throws Refused where they make no sense, Unread.
  virtual Series series(const std::vector<int64_t>& t_ns, const std::vector<Row>& rows) const = 0;

  const char* kind;
  const char* quantity;
  std::string name;
  std::string covers;
  int rank;

 protected:
  Source(const char* kind, const char* quantity, std::string name, std::string covers, int rank,
         std::vector<std::string> paths)
      : kind(kind), quantity(quantity), name(std::move(name)), covers(std::move(covers)), rank(rank),
        paths_(std::move(paths)) {}

  std::vector<std::string> paths_;  // fewer than a row has places
};

// Every source under `root`, those that cover most of the device first; readable or not.
std::vector<std::unique_ptr<Source>> probe(const std::string& root = "/");

}  // namespace edgeflow
