#include "core/sysinfo.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <utility>

#include "common/text.h"

namespace edgeflow {
namespace {

constexpr size_t kMaxTextBytes = size_t{64} << 10;

// The word that begins at or after `at`; `at` moves behind it. Empty at the end of the line.
std::string_view next_word(std::string_view text, size_t& at) {
  const size_t begin = text.find_first_not_of(" \t", at);
  if (begin == std::string_view::npos) return {};
  const size_t end = std::min(text.find_first_of(" \t\n", begin), text.size());
  at = end;
  return text.substr(begin, end - begin);
}

// What follows the process's name in the text of /proc/PID/stat, after `fields` fields of it.
struct StatFields {
  StatFields(std::string_view stat, int fields) : text(stat) {
    const size_t name_end = stat.rfind(')');  // the name may hold spaces and brackets
    at = name_end == std::string_view::npos ? stat.size() : name_end + 1;
    for (int field = 0; field < fields; ++field) next_word(text, at);
  }
  std::optional<int64_t> next() { return number_in(next_word(text, at)); }

  std::string_view text;
  size_t at;
};

// One line of a status file, in bytes.
std::optional<int64_t> status_bytes(const std::string& folder, std::string_view key) {
  const std::string whole = read_text(joined(folder, "status"));
  const std::string_view text = whole;
  for (size_t at = 0; at < text.size(); at = std::min(text.find('\n', at), text.size() - 1) + 1) {
    if (text.substr(at, key.size()) != key) continue;
    at += key.size();
    const std::optional<int64_t> kib = number_in(next_word(text, at));
    if (!kib) return std::nullopt;
    return *kib * 1024;
  }
  return std::nullopt;
}

}  // namespace

PolledFile::PolledFile(PolledFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

PolledFile::~PolledFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::string_view PolledFile::read(char* buffer, size_t bytes) {
  if (fd_ < 0) fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) return {};
  const ssize_t got = ::pread(fd_, buffer, bytes, 0);
  if (got >= 0) return std::string_view(buffer, static_cast<size_t>(got));
  // A zone may refuse one reading (EAGAIN, ENODATA); a process or a CPU may be gone, and another file may stand
  // under the same name next time.
  ::close(std::exchange(fd_, -1));
  return {};
}

std::optional<int64_t> PolledFile::number() {
  char buffer[64];
  return number_in(read(buffer, sizeof buffer));
}

std::optional<CpuTimes> cpu_times_in(std::string_view stat) {
  size_t at = 0;
  if (next_word(stat, at) != "cpu") return std::nullopt;
  // user nice system idle iowait irq softirq steal; guest time is already inside user and nice.
  int64_t idle = 0, total = 0;
  size_t field = 0;
  for (; field < 8; ++field) {
    const std::string_view word = next_word(stat, at);
    if (word.empty()) break;
    const std::optional<int64_t> ticks = number_in(word);
    if (!ticks) return std::nullopt;
    total += *ticks;
    if (field == 3 || field == 4) idle += *ticks;
  }
  if (field < 4) return std::nullopt;
  return CpuTimes{total - idle, total};
}

std::optional<int64_t> process_ticks_in(std::string_view stat) {
  StatFields fields(stat, 11);
  const std::optional<int64_t> user = fields.next(), system = fields.next();
  if (!user || !system) return std::nullopt;
  return *user + *system;
}

std::optional<int64_t> process_start_ticks(pid_t pid) {
  // Of its first thread: in PID/stat qemu's user mode tells a program of itself what no other reads.
  const std::string id = std::to_string(pid);
  const std::string stat = read_text("/proc/" + id + "/task/" + id + "/stat");
  return StatFields(stat, 19).next();
}

std::optional<int64_t> number_in(std::string_view text) {
  text = stripped(text);
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int64_t> rss_bytes(pid_t pid, const std::string& root) {
  return status_bytes(joined(root, "proc/" + std::to_string(pid)), "VmRSS:");
}

std::optional<int64_t> own_peak_rss_bytes(const std::string& root) {
  return status_bytes(joined(root, "proc/" + std::to_string(::getpid())), "VmHWM:");
}

std::vector<Sensor> thermal_zones(const std::string& root) {
  std::vector<Sensor> found;
  const std::string zones = joined(root, "sys/class/thermal");
  for (std::string& zone : entries(zones, "thermal_zone")) {
    PolledFile file(joined(zones, zone + "/temp"));
    found.push_back({std::move(zone), std::move(file)});
  }
  return found;
}

std::vector<Sensor> hwmon_temperatures(const std::string& root) {
  constexpr std::string_view suffix = "_input";
  std::vector<Sensor> found;
  const std::string sensors = joined(root, "sys/class/hwmon");
  for (const std::string& chip : entries(sensors, "hwmon")) {
    const std::string folder = joined(sensors, chip);
    for (const std::string& name : entries(folder, "temp")) {
      if (name.size() < suffix.size() || name.substr(name.size() - suffix.size()) != suffix) continue;
      found.push_back({chip + "." + name.substr(0, name.size() - suffix.size()), PolledFile(joined(folder, name))});
    }
  }
  return found;
}

std::vector<Sensor> cpu_frequencies(const std::string& root) {
  std::vector<Sensor> found;
  const std::string cpus = joined(root, "sys/devices/system/cpu");
  for (std::string& cpu : entries(cpus, "cpu")) {
    if (cpu.size() == 3 || cpu.find_first_not_of("0123456789", 3) != std::string::npos) continue;
    PolledFile file(joined(cpus, cpu + "/cpufreq/scaling_cur_freq"));
    found.push_back({std::move(cpu), std::move(file)});
  }
  return found;
}

std::string read_text(const std::string& path) {
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char chunk[4096];
  while (text.size() < kMaxTextBytes) {
    const ssize_t got = ::read(fd, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(chunk, static_cast<size_t>(got));
  }
  ::close(fd);
  return text;
}

std::vector<std::string> entries(const std::string& folder, std::string_view prefix) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
  if (!open) return names;
  while (const dirent* entry = ::readdir(open.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && name.substr(0, prefix.size()) == prefix) names.emplace_back(name);
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  return names;
}

std::string joined(const std::string& folder, std::string_view name) {
  std::string path = folder;
  if (path.empty() || path.back() != '/') path.push_back('/');
  return path.append(name);
}

}  // namespace edgeflow
