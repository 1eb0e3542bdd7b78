// What a job may set on the device, the CPU frequency governor, and setting it back, whatever happens.
//
// The old settings lie in WORK/restore.json from before the first change until all are back, so that a core
// which was killed leaves a note for the next one. Source of the files: Linux kernel,
// Documentation/admin-guide/pm/cpufreq.rst.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace edgeflow {

// What is to be set back, in the work folder.
inline constexpr const char* kRestoreNote = "restore.json";

// The settings of one device, kept in its work folder. The caller holds the device's job lock.
class Tuning {
 public:
  // `root` is where /sys is looked for: "/" but for tests.
  Tuning(const std::string& work, std::string root) : note_(work + "/" + kRestoreNote), root_(std::move(root)) {}

  // Whether something is to be set back.
  bool is_changed() const;
  // Sets the governor of `cpus` (none: of all). Throws Fault unsupported_setting where the device has no such
  // governor or does not let us; `restore` is due in any case.
  void set_governor(const std::string& wanted, const std::optional<std::vector<int>>& cpus);
  // Sets back what the note names and removes it; gives what could not be set back, in words.
  std::vector<std::string> restore();

 private:
  std::string note_;
  std::string root_;
};

}  // namespace edgeflow
