// What the system tells about load, memory, temperature and frequency, from /proc and /sys below `root`.
// What a system does not give is absent, never a guess.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edgeflow {

// Ticks of all CPUs together since boot.
struct CpuTimes {
  int64_t busy = 0;
  int64_t total = 0;
};

// A file of /proc or /sys that is read again and again: it stays open, which costs less than finding it anew.
class PolledFile {
 public:
  explicit PolledFile(std::string path) : path_(std::move(path)) {}
  PolledFile(PolledFile&& other) noexcept;
  PolledFile& operator=(PolledFile&&) = delete;
  ~PolledFile();

  // What it says now, as far as it fits `buffer`; empty where it refuses this time.
  std::string_view read(char* buffer, size_t bytes);
  // The number that it says now; none where it says none.
  std::optional<int64_t> number();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_ = -1;
};

// Busy and total ticks in the text of /proc/stat (proc(5)).
std::optional<CpuTimes> cpu_times_in(std::string_view stat);
// Ticks that a process spent on CPUs, all its threads together, in the text of /proc/PID/stat.
std::optional<int64_t> process_ticks_in(std::string_view stat);
// When a process began, in ticks since boot (proc(5), starttime): with its id, one process alone. None where there is
// no /proc, and where the process is gone or hidden.
std::optional<int64_t> process_start_ticks(pid_t pid);
// The number that a file of /sys holds and nothing beside it.
std::optional<int64_t> number_in(std::string_view text);

// Resident memory of a process now (VmRSS); none when it is gone.
std::optional<int64_t> rss_bytes(pid_t pid, const std::string& root = "/");
// Highest resident memory of this process so far (VmHWM).
std::optional<int64_t> own_peak_rss_bytes(const std::string& root = "/");

// A number of /sys with the name that results give it.
struct Sensor {
  std::string name;
  PolledFile file;
};
// One for each thermal zone. Thousandths of a degree Celsius (kernel: sysfs-class-thermal).
std::vector<Sensor> thermal_zones(const std::string& root = "/");
// One for each temperature of a hwmon chip, which stand in where no zone answers. Thousandths, too.
std::vector<Sensor> hwmon_temperatures(const std::string& root = "/");
// One for each CPU with cpufreq: scaling_cur_freq in kHz. The nominal MHz of /proc/cpuinfo is not taken: in a
// virtual machine it never changes, yet looks measured.
std::vector<Sensor> cpu_frequencies(const std::string& root = "/");

// The whole of a small file, at most 64 KiB; empty where it cannot be read.
std::string read_text(const std::string& path);
// Names in a folder that begin with `prefix`, shorter ones first, so that cpu2 stands before cpu10.
std::vector<std::string> entries(const std::string& folder, std::string_view prefix = "");
// Folder and name as one path.
std::string joined(const std::string& folder, std::string_view name);

}  // namespace edgeflow
