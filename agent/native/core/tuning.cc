#include "core/tuning.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>

#include "common/fault.h"
#include "common/files.h"
#include "common/json.h"
#include "core/sysinfo.h"

namespace edgeflow {
namespace {

constexpr size_t kMaxNoteBytes = size_t{1} << 20;
constexpr const char* kCpus = "sys/devices/system/cpu";

// A text of /sys without its end of line.
std::string word_in(const std::string& path) {
  std::string text = read_text(path);
  text.erase(std::min(text.find_last_not_of(" \t\n") + 1, text.size()));
  return text;
}

// The error of errno; 0 where it was written.
int write_word(const std::string& path, const std::string& word) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0) return errno;
  const ssize_t written = ::write(fd, word.data(), word.size());
  const int error = written < 0 ? errno : written == static_cast<ssize_t>(word.size()) ? 0 : EIO;
  ::close(fd);
  return error;
}

bool has_word(std::string_view text, std::string_view word) {
  for (size_t at = 0; (at = text.find(word, at)) != std::string_view::npos; at += word.size()) {
    const size_t end = at + word.size();
    if ((at == 0 || text[at - 1] == ' ') && (end == text.size() || text[end] == ' ')) return true;
  }
  return false;
}

// CPUs with cpufreq, by number.
std::vector<int> all_cpus(const std::string& root) {
  std::vector<int> found;
  const std::string folder = joined(root, kCpus);
  for (const std::string& name : entries(folder, "cpu")) {
    int cpu = 0;
    const auto [end, error] = std::from_chars(name.data() + 3, name.data() + name.size(), cpu);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (is_folder(joined(folder, name + "/cpufreq"))) found.push_back(cpu);
  }
  return found;
}

// Governor file -> what it says now. CPUs of one policy share their file: links are followed.
std::map<std::string, std::string> governors(const std::string& root, const std::string& wanted,
                                             const std::vector<int>& cpus) {
  std::map<std::string, std::string> found;
  for (const int cpu : cpus) {
    const std::string name = "cpu" + std::to_string(cpu);
    const std::string link = joined(root, std::string(kCpus) + "/" + name + "/cpufreq");
    const std::unique_ptr<char, void (*)(void*)> folder(::realpath(link.c_str(), nullptr), std::free);
    const std::string path = folder ? joined(folder.get(), "scaling_governor") : std::string();
    if (path.empty() || !exists(path)) {
      throw Fault("unsupported_setting", name + " has no frequency governor: leave governor out");
    }
    const std::string known = word_in(joined(folder.get(), "scaling_available_governors"));
    if (!has_word(known, wanted)) {
      throw Fault("unsupported_setting", name + " has no governor " + wanted + "; it has: " + known);
    }
    found.emplace(path, word_in(path));
  }
  if (found.empty()) {
    throw Fault("unsupported_setting", "this device has no frequency governor: leave governor out");
  }
  return found;
}

}  // namespace

bool Tuning::is_changed() const { return exists(note_); }

void Tuning::set_governor(const std::string& wanted, const std::optional<std::vector<int>>& cpus) {
  const auto old = governors(root_, wanted, cpus ? *cpus : all_cpus(root_));
  Json::Object note;
  for (const auto& [path, value] : old) note.emplace(path, value);
  try {
    write_atomically(note_, {Json(note).text()});
  } catch (const std::system_error& error) {
    throw storage_fault(error.code().value(), "cannot write " + note_);
  }
  for (const auto& [path, value] : old) {
    if (const int error = write_word(path, wanted)) {
      throw Fault("unsupported_setting", "cannot set governor " + wanted + ": " + path + ": " + std::strerror(error) +
                                             "; only root may, else leave governor out");
    }
    if (const std::string taken = word_in(path); taken != wanted) {
      throw Fault("unsupported_setting", "governor " + wanted + " was set, but the kernel has " + taken);
    }
  }
}

std::vector<std::string> Tuning::restore() {
  if (!is_changed()) return {};
  std::vector<std::string> failed;
  try {
    const Json old = Json::parse(read_file(note_, kMaxNoteBytes));
    for (const auto& [path, value] : old.as_object()) {
      if (const int error = write_word(path, value.as_string())) {
        failed.push_back(path + " stays changed, it was " + value.as_string() + ": " + std::strerror(error));
      }
    }
  } catch (const std::exception& error) {
    return {note_ + " cannot be read: " + error.what()};
  }
  if (failed.empty()) ::unlink(note_.c_str());
  return failed;
}

}  // namespace edgeflow
