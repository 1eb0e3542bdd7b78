#include "core/oneshot.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

#include "common/files.h"
#include "core/session.h"

namespace edgeflow {
namespace {

std::atomic<bool> g_leaving{false};  // one clean-up, undisturbed

Descriptor moved(int fd) {
  Descriptor found(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!found) throw_errno("descriptor " + std::to_string(fd));
  return found;
}

}  // namespace

void run_core(const std::string& work, const std::string& root) {
  Descriptor in = moved(0), out = moved(1);
  const Descriptor nothing = open_file("/dev/null", O_RDONLY);
  if (::dup2(nothing.get(), 0) < 0 || ::dup2(2, 1) < 0) throw_errno("dup2");
  // Never destroyed: threads that are stuck in a write refer to it to the end.
  Core& core = *new Core(work, false, root);
  const auto clean_up = [&core] { core.jobs.close(); };
  exit_on_signals(clean_up);
  const auto session = std::make_shared<Session>(core, Connection::of_pipes(std::move(in), std::move(out)));
  leave(session->serve(), clean_up);
}

void exit_on_signals(std::function<void()> clean_up) {
  sigset_t ends;
  ::sigemptyset(&ends);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    ::sigaddset(&ends, number);
    ::signal(number, SIG_DFL);  // one that is ignored, as a shell does for background jobs, would not arrive
  }
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::thread([ends, clean_up = std::move(clean_up)] {
    int number = 0;
    while (::sigwait(&ends, &number) != 0) {
    }
    leave(128 + number, clean_up);
  }).detach();
}

void leave(int code, const std::function<void()>& clean_up) {
  if (g_leaving.exchange(true)) {
    while (true) ::pause();  // another thread ends the process
  }
  clean_up();
  ::_exit(code);
}

}  // namespace edgeflow
