#include "core/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "common/clock.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/files.h"
#include "common/text.h"

extern char** environ;

namespace edgeflow {
namespace {

constexpr size_t kMaxOutputBytes = 1 << 20;

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("pipe");
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  Descriptor read, write;
};

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

// Everything that the child needs, made before the fork: after it, only what signal-safety(7) allows is called.
struct Prepared {
  const char* path;
  char* const* argv;
  char* const* environment;
  const Program& program;
  int fault_fd;
  pid_t parent;
};

[[noreturn]] void become(const Prepared& how) {
  const Program& program = how.program;
  const auto check = [&](bool good) {
    if (good) return;
    const int error = errno;
    if (::write(how.fault_fd, &error, sizeof error) < 0) ::_exit(127);
    ::_exit(127);
  };
  ::setsid();
  if (program.dies_with_us) {
    check(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
    if (::getppid() != how.parent) ::_exit(127);  // it died before that call
  }
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  for (const int number : {SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaction(number, &usual, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int wanted[3] = {program.in, program.out, program.err};
  for (int fd = 0; fd < 3; ++fd) {
    if (wanted[fd] >= 0) check(::dup2(wanted[fd], fd) == fd);
  }
  for (const int fd : program.kept) check(::fcntl(fd, F_SETFD, 0) == 0);
  if (!program.folder.empty()) check(::chdir(program.folder.c_str()) == 0);
  ::execve(how.path, how.argv, how.environment);
  check(false);
  ::_exit(127);
}

}  // namespace

pid_t spawn(const Program& program) {
  const std::string& name = program.argv.at(0);
  const bool searched = name.find('/') == std::string::npos;
  const std::string path = searched ? find_program(name).value_or("") : name;
  if (path.empty()) throw std::system_error(ENOENT, std::generic_category(), name);
  const auto argv = pointers(program.argv), variables = pointers(program.environment);
  Pipe fault;
  const Prepared how{path.c_str(), argv.data(), variables.data(), program, fault.write.get(), ::getpid()};
  const pid_t pid = ::fork();
  if (pid < 0) throw_errno("fork");
  if (pid == 0) become(how);
  fault.write.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(fault.read.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return pid;
  reap(pid);
  throw std::system_error(got == sizeof error ? error : EIO, std::generic_category(), path);
}

bool has_ended(pid_t pid) {
  siginfo_t found{};
  int result = 0;
  do {
    result = ::waitid(P_PID, static_cast<id_t>(pid), &found, WEXITED | WNOHANG | WNOWAIT);
  } while (result != 0 && errno == EINTR);
  return result != 0 || found.si_pid == pid;
}

int reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) throw_errno("waitpid");
  }
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void kill_group(pid_t pid) {
  if (pid > 1) (void)::kill(-pid, SIGKILL);  // gone already is as good as killed
}

std::string signal_name(int number) {
  static constexpr struct {
    int number;
    const char* name;
  } kNames[] = {{SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"},
                {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
                {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"},
                {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"}, {SIGXCPU, "SIGXCPU"},
                {SIGXFSZ, "SIGXFSZ"}, {SIGSYS, "SIGSYS"}};
  for (const auto& known : kNames) {
    if (known.number == number) return known.name;
  }
  return "signal " + std::to_string(number);
}

std::vector<std::string> environment() {
  std::vector<std::string> found;
  for (char** variable = environ; *variable != nullptr; ++variable) found.emplace_back(*variable);
  return found;
}

Finished run_to_end(const std::vector<std::string>& argv, const std::vector<std::string>& variables, double timeout_s) {
  Pipe out, err;
  const Descriptor nothing = open_file("/dev/null", O_RDONLY);
  Program program;
  program.argv = argv;
  program.environment = variables;
  program.in = nothing.get();
  program.out = out.write.get();
  program.err = err.write.get();
  const pid_t pid = spawn(program);
  out.write.reset();
  err.write.reset();
  Finished finished;
  const int64_t deadline = monotonic_ns() + static_cast<int64_t>(timeout_s * 1e9);
  pollfd waiting[2] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
  while (waiting[0].fd >= 0 || waiting[1].fd >= 0) {
    const int64_t left_ms = (deadline - monotonic_ns()) / 1000000;
    const int ready = left_ms <= 0 ? 0 : ::poll(waiting, 2, static_cast<int>(left_ms));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      kill_group(pid);
      reap(pid);
      std::string words;
      for (const std::string& word : argv) words += (words.empty() ? "" : " ") + word;
      throw Fault("timeout", words + " did not end within " + formatted("%g", timeout_s) + " s");
    }
    for (int i = 0; i < 2; ++i) {
      if (waiting[i].fd < 0 || waiting[i].revents == 0) continue;
      std::string& kept = i == 0 ? finished.out : finished.err;
      char chunk[4096];
      const ssize_t got = ::read(waiting[i].fd, chunk, sizeof chunk);
      if (got > 0 && kept.size() < kMaxOutputBytes) kept.append(chunk, static_cast<size_t>(got));
      if (got == 0 || (got < 0 && errno != EINTR)) waiting[i].fd = -1;
    }
  }
  finished.code = reap(pid);
  return finished;
}

std::optional<std::string> find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view folders = path == nullptr ? "/usr/bin:/bin" : path;
  while (true) {
    const size_t end = folders.find(':');
    const std::string_view folder = folders.substr(0, end);
    const std::string found = path_in(folder.empty() ? "." : folder, name);
    if (::access(found.c_str(), X_OK) == 0 && !is_folder(found)) return found;
    if (end == std::string_view::npos) return std::nullopt;
    folders.remove_prefix(end + 1);
  }
}

}  // namespace edgeflow
