// Command line of the agent. Exit codes: 0 ok, 1 refused or failed, 2 usage, 3 no daemon.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "common/fault.h"
#include "common/files.h"
#include "core/build.h"
#include "core/daemon.h"
#include "core/maintenance.h"
#include "core/oneshot.h"
#include "core/supervise.h"
#include "worker/main.h"

#if defined(__GLIBCXX__)
// Instead of the one that libstdc++ has, which takes 50 KB for the pretty name of what nobody caught.
namespace __gnu_cxx {
void __verbose_terminate_handler();
void __verbose_terminate_handler() { ::abort(); }
}  // namespace __gnu_cxx
#endif

namespace edgeflow {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoDaemon = 3;
constexpr const char* kUsage =
    "usage: edgeflow-agent COMMAND --work FOLDER, which may come after the command's own options\n"
    "  core             serve one host on stdin and stdout\n"
    "  daemon           start the daemon of this build; returns once it listens\n"
    "  attach           bridge stdin and stdout to the daemon\n"
    "  status           print the daemon's state as JSON\n"
    "  stop [--force]   end the daemon; --force ends a running job with it\n"
    "  build            print the build id\n"
    "  unpack --runtime R --version V --target T NAME=SHA256...   make a site of files in FOLDER/files\n"
    "  prune --max-bytes N                                        remove what was used longest ago\n"
    "  service          start the daemon by a systemd user unit, also after a reboot\n"
    "  uninstall [--force]                                        end daemons and remove everything\n";

int print(const Json& document) {
  std::printf("%s\n", document.text().c_str());
  return std::fflush(stdout) == 0 ? 0 : kExitFailed;
}

int usage() {
  std::fputs(kUsage, stderr);
  return kExitUsage;
}

int run_command(const std::string& command, const std::string& work, const std::vector<std::string>& options) {
  const bool force = options.size() == 1 && options[0] == "--force" && command == "stop";
  // Where tests have a /sys of their own.
  const bool rooted = options.size() == 2 && options[0] == "--root" && command == "core";
  if (!options.empty() && !force && !rooted) return usage();
  // The agent itself: an old build that is still used is not pruned.
  if (command == "core" || command == "daemon") mark_used(own_path());
  if (command == "core") run_core(work, rooted ? options[1] : "/");
  if (command == "daemon") return print(start_daemon(work));
  if (command == "status") return print(daemon_status(work, kBuild));
  if (command == "stop") return print(stop_daemon(work, kBuild, force));
  if (command == "attach") attach_to_daemon(work);
  return usage();
}

int run(const std::vector<std::string>& words) {
  if (words == std::vector<std::string>{"--help"} || words == std::vector<std::string>{"-h"}) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (words == std::vector<std::string>{"build"}) {
    std::printf("%s\n", kBuild);
    return 0;
  }
  const auto named = std::find(words.begin(), words.end(), "--work");
  if (named <= words.begin() || words.end() - named < 2) return usage();
  const std::string work = with_home(named[1]);
  std::vector<std::string> options(words.begin() + 1, named);
  options.insert(options.end(), named + 2, words.end());
  if (is_maintenance(words[0])) return maintain(words[0], work, options);
  try {
    return run_command(words[0], work, options);
  } catch (const NoDaemon& error) {
    std::fprintf(stderr, "edgeflow agent: %s: start it with 'daemon --work %s'\n", error.what(), work.c_str());
    return kExitNoDaemon;
  }
}

}  // namespace
}  // namespace edgeflow

int main(int argc, char** argv) {
  using namespace edgeflow;
  if (argc > 1 && std::string_view(argv[1]) == "worker") return worker_main(argc, argv);
#if defined(__GLIBC__)
  // What a job needed goes back to the system when it is over: an idle core is small.
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_ARENA_MAX, 1);
#endif
  ::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error of the write
  own_path();
  try {
    return run({argv + 1, argv + argc});
  } catch (const Fault& fault) {
    std::fprintf(stderr, "edgeflow agent: %s\n", fault.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "edgeflow agent: %s\n", error.what());
  }
  return kExitFailed;
}
