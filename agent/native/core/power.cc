#include "core/power.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "common/clock.h"
#include "common/text.h"
#include "core/sysinfo.h"

namespace edgeflow {
namespace {

constexpr size_t kMaxSources = 16;
constexpr double kMaxPlausibleUw = 2e9;  // 2 kW: above it a counter was reset, not used
// Parts of hwmon labels that stand for the whole board's input (Jetson: VDD_IN, POM_5V_IN).
constexpr const char* kWholeBoardRails[] = {"VDD_IN", "5V_IN", "TOTAL"};
// The inputs of a Jetson AGX Orin module, which has no meter of the whole: their sum is its draw.
// VDDQ_VDD2_1V8AO is part of VIN_SYS_5V0, as published descriptions of the rails have it; not checked on a board.
constexpr const char* kModuleRails[] = {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"};
constexpr std::string_view kNotConnected = "NC";  // how NVIDIA labels an input that no rail goes to

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

[[noreturn]] void fail(const std::string& path, int error_number) {
  if (error_number == EACCES || error_number == EPERM) {
    throw Refused("reading " + path + " needs root (permission denied)");
  }
  throw Unread(path + ": " + std::strerror(error_number));
}

// The content of a file of /sys. Throws Refused where permission is denied, else Unread.
std::string text_of(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(path, errno);
  char buffer[4096];  // sysfs gives no more (a page)
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  const int error_number = errno;
  ::close(fd);
  if (got < 0) fail(path, error_number);
  const std::string_view text = stripped(std::string_view(buffer, static_cast<size_t>(got)));
  return valid_utf8(text);
}

int64_t integer_of(const std::string& path) {
  const std::string text = text_of(path);
  if (const std::optional<int64_t> value = number_in(text)) return *value;
  throw Refused(path + " reads '" + clipped(text, 38) + "', which is no number");
}

// What a file says; empty where it says nothing.
std::string said(const std::string& folder, const char* name) {
  try {
    return text_of(joined(folder, name));
  } catch (const Refused&) {
  } catch (const Unread&) {
  }
  return {};
}

std::vector<int64_t> column(const std::vector<Row>& rows, size_t at) {
  std::vector<int64_t> values;
  for (const Row& row : rows) values.push_back(row[at]);
  return values;
}

// A fuel gauge: current_now x voltage_now, or power_now. Only while it alone feeds the device.
class Battery : public Source {
 public:
  Battery(const std::string& folder, std::vector<std::string> chargers)
      : Source("battery", "power_uw", "power_supply:" + std::string(base_name(folder)), "the whole device", 0,
               columns_of(folder)),
        status_(joined(folder, "status")), chargers_(std::move(chargers)) {}

  // Refuses unless the status is Discharging and no charger is online: else the draw is another.
  Row read() const override {
    const std::string status = text_of(status_);
    if (status != "Discharging") {
      throw Refused(name + " is " + status + ", so its current is not what the device draws");
    }
    for (const std::string& charger : chargers_) {
      const std::string online = text_of(joined(charger, "online"));
      if (online != "0" && !online.empty()) {
        throw Refused(std::string(base_name(charger)) + " feeds the device beside " + name + ": unplug it");
      }
    }
    return Source::read();
  }

  Series series(const std::vector<int64_t>&, const std::vector<Row>& rows) const override {
    if (paths_.size() == 1) return discharge(name, column(rows, 0), std::nullopt);
    return discharge(name, column(rows, 0), column(rows, 1));
  }

 private:
  static std::vector<std::string> columns_of(const std::string& folder) {
    if (!exists(joined(folder, "current_now"))) return {joined(folder, "power_now")};
    return {joined(folder, "current_now"), joined(folder, "voltage_now")};
  }

  std::string status_;
  std::vector<std::string> chargers_;
};

// A powercap zone's energy_uj, which wraps at max_energy_range_uj.
class Counter : public Source {
 public:
  Counter(const std::string& folder, std::string name, std::string covers, int rank)
      : Source("powercap", "energy_uj", std::move(name), std::move(covers), rank, {joined(folder, "energy_uj")}),
        range_path_(joined(folder, "max_energy_range_uj")) {}

  // From 0 at the first row. Two wraps between two samples would take minutes: not with our period.
  Series series(const std::vector<int64_t>& t_ns, const std::vector<Row>& rows) const override {
    Series found;
    found.values.push_back(0);
    for (size_t at = 1; at < rows.size(); ++at) {
      int64_t grown = rows[at][0] - rows[at - 1][0];
      if (grown < 0) grown += integer_of(range_path_);
      const auto elapsed_ns = static_cast<double>(t_ns[at] - t_ns[at - 1]);
      if (grown < 0 || static_cast<double>(grown) * 1e9 > kMaxPlausibleUw * elapsed_ns) {
        throw Refused(name + " was reset in the run");
      }
      found.values.push_back(found.values.back() + grown);
    }
    found.step = smallest_gap(found.values);
    return found;
  }

 private:
  std::string range_path_;
};

// A hwmon power reading in µW.
class Meter : public Source {
 public:
  Meter(std::string name, std::string covers, int rank, std::vector<std::string> paths)
      : Source("hwmon", "power_uw", std::move(name), std::move(covers), rank, std::move(paths)) {}

  Series series(const std::vector<int64_t>&, const std::vector<Row>& rows) const override {
    constexpr std::string_view suffix = "_average";
    const std::string_view path = paths_[0];
    const bool averaged = path.size() > suffix.size() && path.substr(path.size() - suffix.size()) == suffix;
    Series found{column(rows, 0), 0, {}};
    found.step = smallest_gap(found.values);
    if (averaged) found.assumed.emplace_back("an average of the chip's own");
    return found;
  }
};

// An INA's current (mA) and bus voltage (mV), where it gives no power.
class CurrentAndVoltage : public Source {
 public:
  CurrentAndVoltage(std::string name, std::string covers, int rank, std::vector<std::string> paths)
      : Source("hwmon", "power_uw", std::move(name), std::move(covers), rank, std::move(paths)) {}

  Series series(const std::vector<int64_t>&, const std::vector<Row>& rows) const override {
    Series found;
    for (const Row& row : rows) found.values.push_back(saturating_multiply(row[0], row[1]));
    const int64_t voltage = middle(column(rows, 1));
    found.step = saturating_multiply(smallest_gap(column(rows, 0)), voltage < 0 ? -voltage : voltage);
    return found;
  }
};

// Rails of one INA that together feed the module: their currents and voltages, the sum in µW before them.
class Sum : public Source {
 public:
  Sum(std::string name, std::string covers, int rank, std::vector<std::string> paths)
      : Source("hwmon", "power_uw", std::move(name), std::move(covers), rank, std::move(paths)) {}

  Row read() const override {
    const Row plain = Source::read();
    Row row{};
    for (size_t at = 0; at < paths_.size(); at += 2) {
      row[0] = saturating_add(row[0], saturating_multiply(plain[at], plain[at + 1]));
    }
    std::copy_n(plain.begin(), paths_.size(), row.begin() + 1);
    return row;
  }

  Series series(const std::vector<int64_t>&, const std::vector<Row>& rows) const override {
    Series found{column(rows, 0), 0, {"the sum of " + std::to_string(paths_.size() / 2) + " rails"}};
    // The steps of all rails together: the gaps of sums say less than the chip can tell apart.
    for (size_t at = 1; at < paths_.size(); at += 2) {
      const int64_t voltage = middle(column(rows, at + 1));
      const int64_t step = saturating_multiply(smallest_gap(column(rows, at)), voltage < 0 ? -voltage : voltage);
      found.step = saturating_add(found.step, step);
    }
    return found;
  }
};

using Sources = std::vector<std::unique_ptr<Source>>;

void add_batteries(const std::string& supplies, Sources& found) {
  std::vector<std::string> own, chargers;
  for (const std::string& name : entries(supplies)) {
    const std::string folder = joined(supplies, name);
    if (said(folder, "type") != "Battery") {
      if (exists(joined(folder, "online"))) chargers.push_back(folder);
    } else if (said(folder, "scope") != "Device") {  // that is the battery of a mouse or a keyboard
      own.push_back(folder);
    }
  }
  for (const std::string& folder : own) {
    if (exists(joined(folder, "current_now")) || exists(joined(folder, "power_now"))) {
      found.push_back(std::make_unique<Battery>(folder, chargers));
    }
  }
}

void add_counters(const std::string& folder, Sources& found) {
  for (const std::string& zone : entries(folder)) {
    const std::string path = joined(folder, zone);
    // "intel-rapl" alone is the control type; intel-rapl-mmio counts the same package a second time.
    if (!starts_with(zone, "intel-rapl:") || !exists(joined(path, "energy_uj"))) continue;
    std::string name = said(path, "name");
    if (name.empty()) name = zone;
    const std::string parent = zone.substr(0, zone.rfind(':'));
    std::string covers = "the CPU " + name + ", not memory, screen or board";
    int rank = 2;
    if (parent.find(':') != std::string::npos) {
      const std::string outer = said(joined(folder, parent), "name");
      name = (outer.empty() ? parent : outer) + "." + name;
      covers = "the CPU part " + name;
      rank = 4;
    } else if (name == "psys") {
      covers = "the whole platform";
      rank = 1;
    }
    found.push_back(std::make_unique<Counter>(path, "powercap:" + name, covers, rank));
  }
}

bool is_whole_board(std::string label) {
  for (char& letter : label) letter = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
  return std::any_of(std::begin(kWholeBoardRails), std::end(kWholeBoardRails),
                     [&](const char* rail) { return label.find(rail) != std::string::npos; });
}

// The whole of a module, where all of its rails are there.
void add_module(const std::string& chip, const std::map<std::string, std::vector<std::string>>& rails, Sources& found) {
  std::string label;
  std::vector<std::string> paths;
  for (const char* rail : kModuleRails) {
    const auto known = rails.find(rail);
    if (known == rails.end()) return;
    label += (label.empty() ? "" : "+") + known->first;
    paths.insert(paths.end(), known->second.begin(), known->second.end());
  }
  const std::string covers = "the module without its board (" + label + ")";
  found.push_back(std::make_unique<Sum>("hwmon:" + chip + "." + label, covers, 1, std::move(paths)));
}

void add_chip(const std::string& folder, const std::string& chip, Sources& found) {
  const std::vector<std::string> names = entries(folder);
  const std::set<std::string> files(names.begin(), names.end());
  std::map<std::string, std::vector<std::string>> rails;
  for (int input = 1; input <= 16; ++input) {
    const std::string number = std::to_string(input);
    std::string power;
    for (const char* what : {"_average", "_input"}) {
      if (files.count("power" + number + what) > 0) power = "power" + number + what;
    }
    // Only of INA monitors it is known that curr<n> flows at the voltage in<n>.
    const std::string current = "curr" + number + "_input", voltage = "in" + number + "_input";
    const bool is_pair = starts_with(chip, "ina") && files.count(current) > 0 && files.count(voltage) > 0;
    if (power.empty() && !is_pair) continue;
    const std::string label = said(folder, ((power.empty() ? "in" : "power") + number + "_label").c_str());
    if (label == kNotConnected) continue;
    const bool whole = is_whole_board(label);
    const std::string rail = label.empty() ? "input " + number : label;
    const std::string covers = whole ? "the whole board (" + rail + ")" : "the rail " + rail + " of " + chip;
    const std::string plain = (power.empty() ? "curr" : "power") + number;
    const std::string name = "hwmon:" + chip + "." + (label.empty() ? plain : label);
    const int rank = whole ? 1 : 3;
    if (power.empty()) {
      const std::vector<std::string> paths = {joined(folder, current), joined(folder, voltage)};
      found.push_back(std::make_unique<CurrentAndVoltage>(name, covers, rank, paths));
      rails[label] = paths;
    } else {
      found.push_back(std::make_unique<Meter>(name, covers, rank, std::vector<std::string>{joined(folder, power)}));
    }
  }
  add_module(chip, rails, found);
}

void add_meters(const std::string& folder, const std::vector<std::string>& supplies, Sources& found) {
  // The kernel mirrors each power supply as a hwmon chip of its name: no second source, nor a status to ask.
  std::set<std::string> mirrored(supplies.begin(), supplies.end());
  for (std::string name : supplies) {
    std::replace(name.begin(), name.end(), '-', '_');
    mirrored.insert(name);
  }
  for (const std::string& chip : entries(folder)) {
    const std::string path = joined(folder, chip);
    std::string name = said(path, "name");
    if (name.empty()) name = chip;
    if (mirrored.count(name) == 0) add_chip(path, name, found);
  }
}

}  // namespace

Row Source::read() const {
  Row row{};
  for (size_t at = 0; at < paths_.size(); ++at) row[at] = integer_of(paths_[at]);
  return row;
}

std::vector<std::unique_ptr<Source>> probe(const std::string& root) {
  const std::string supplies = joined(root, "sys/class/power_supply");
  Sources found;
  add_batteries(supplies, found);
  add_counters(joined(root, "sys/class/powercap"), found);
  add_meters(joined(root, "sys/class/hwmon"), entries(supplies), found);
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a->rank < b->rank; });
  if (found.size() > kMaxSources) found.resize(kMaxSources);
  return found;
}

}  // namespace edgeflow
