#include "core/uninstall.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <vector>

#include "common/fault.h"
#include "common/files.h"
#include "core/daemon.h"
#include "core/folder.h"
#include "core/service.h"
#include "core/tuning.h"

namespace edgeflow {
namespace {

// Everything that edgeflow puts into a work folder; what else lies there is its owner's, and stays.
constexpr const char* kOurs[] = {"agents", "files", "site", "jobs", "run", "lock", kRestoreNote};
constexpr size_t kMaxPidBytes = 64;

void end_daemon(const std::string& work, const std::string& build) {
  const std::string run = path_in(path_in(work, "run"), build);
  try {
    stop_daemon(work, build, true);
  } catch (const NoDaemon&) {
    if (!daemon_runs(run)) return;
    // It lives but does not answer.
    const std::string text = read_file(path_in(run, kPidFile), kMaxPidBytes);
    int pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error == std::errc() && pid > 1) ::kill(pid, SIGKILL);
  }
}

}  // namespace

Json uninstall(const std::string& given, bool force) {
  const std::string work = absolute_path(given);
  if (!is_folder(work)) {
    return Json::Object{{"removed", false}, {"service", remove_service(work)}, {"left", Json::Array()}};
  }
  const Json holder = JobLock(path_in(work, "lock")).holder();
  if (!holder.is_null() && !force) throw Fault("busy", describe_busy(holder), "", holder);
  const bool had_service = remove_service(work);
  for (const std::string& build : names_in(path_in(work, "run"))) end_daemon(work, build);
  if (::chdir("/") != 0) throw_errno("/");
  Tuning(work, "/").restore();  // of a core that was killed
  for (const char* name : kOurs) {
    if (!remove_tree(path_in(work, name))) throw storage_fault(errno, "cannot remove " + path_in(work, name));
  }
  std::vector<std::string> left = names_in(work);
  std::sort(left.begin(), left.end());
  if (left.empty() && ::rmdir(work.c_str()) != 0) throw storage_fault(errno, "cannot remove " + work);
  return Json::Object{
      {"removed", left.empty()}, {"service", had_service}, {"left", Json::Array(left.begin(), left.end())}};
}

}  // namespace edgeflow
