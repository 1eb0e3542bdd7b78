#include "core/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "common/fault.h"
#include "common/files.h"
#include "common/stream.h"
#include "core/build.h"
#include "core/endpoint.h"
#include "core/oneshot.h"
#include "core/session.h"

namespace edgeflow {
namespace {

constexpr const char* kLogFile = "agent.log";
constexpr const char* kStartLock = "start.lock";
constexpr int kEndRetries = 100;
constexpr auto kEndRetry = std::chrono::milliseconds(100);
constexpr off_t kMaxLogBytes = 1 << 20;
constexpr int kAnswerTimeoutMs = 30000;
constexpr size_t kMaxToldBytes = 64 << 10;
constexpr int kMaxClients = 64;  // connections at once: each takes two threads

// WORK/run/<build>, made private to this user. Throws Fault when it is another's.
std::string run_folder(const std::string& work, const std::string& build) {
  const std::string folder = path_in(path_in(absolute_path(work), "run"), build);
  try {
    make_folders(folder);
    struct stat found {};
    if (::stat(folder.c_str(), &found) != 0) throw_errno(folder);
    if (found.st_uid != ::getuid()) {
      throw Fault("internal", folder + " belongs to another user: choose another work folder");
    }
    if ((found.st_mode & 07777) != 0700 && ::chmod(folder.c_str(), 0700) != 0) throw_errno(folder);
  } catch (const std::system_error& error) {
    throw storage_fault(error.code().value(), "cannot make the folder " + folder);
  }
  return folder;
}

void lock_file(int fd, int how, const std::string& path) {
  while (::flock(fd, how) != 0) {
    if (errno != EINTR) throw_errno(path);
  }
}

// A connection to the daemon that has said HELLO.
struct Caller {
  Caller(const std::string& work, const std::string& build)
      : socket(connect_to(work, build)), stream(socket.get(), socket.get(), -1, kAnswerTimeoutMs) {
    std::optional<Frame> frame;
    try {
      frame = stream.read_frame();
    } catch (const std::exception& error) {
      throw NoDaemon(std::string("the daemon does not answer: ") + error.what());
    }
    if (!frame || frame->type != FrameType::hello) throw NoDaemon("the daemon closed the connection");
    hello = std::move(frame->meta);
  }

  static Descriptor connect_to(const std::string& work, const std::string& build) {
    const std::string folder = path_in(path_in(absolute_path(work), "run"), build);
    try {
      return connect_endpoint(folder);
    } catch (const std::system_error& error) {
      throw NoDaemon("no daemon listens in " + folder + " (" + std::generic_category().message(error.code().value()) + ")");
    }
  }

  Descriptor socket;
  Stream stream;
  Json hello;
};

void tell(int fd, const Json& told) {
  try {
    write_all(fd, told.text(), "the starter's pipe");
  } catch (const std::system_error&) {
    // Whoever started us is gone: the daemon listens all the same.
  }
}

void detach_descriptors(const std::string& folder, int pid_fd, int ready_fd) {
  const std::string log_path = path_in(folder, kLogFile);
  struct stat found {};
  if (::stat(log_path.c_str(), &found) == 0 && found.st_size > kMaxLogBytes) {
    (void)::rename(log_path.c_str(), (log_path + ".1").c_str());
  }
  const Descriptor log = open_file(log_path, O_WRONLY | O_CREAT | O_APPEND);
  const Descriptor nothing = open_file("/dev/null", O_RDONLY);
  if (::dup2(nothing.get(), 0) < 0 || ::dup2(log.get(), 1) < 0 || ::dup2(log.get(), 2) < 0) throw_errno("dup2");
  for (int fd = 3; fd < 1024; ++fd) {
    if (fd != pid_fd && fd != ready_fd && fd != log.get() && fd != nothing.get()) ::close(fd);
  }
}

// Serves connections until the core ends, then cleans up and ends the process.
[[noreturn]] void serve(const std::string& work, const std::string& folder, int pid_fd, int ready_fd) {
  if (::ftruncate(pid_fd, 0) != 0) throw_errno(kPidFile);
  write_all(pid_fd, std::to_string(::getpid()) + "\n", kPidFile);
  // Never destroyed: connections of the last moment refer to it to the end.
  Core& core = *new Core(work, true, "/");
  const Descriptor listener = listen_endpoint(folder);
  core.on_end = [fd = listener.get()] { ::shutdown(fd, SHUT_RDWR); };
  const auto clean_up = [&core, pid_fd, folder] {
    core.jobs.close();
    core.log.line("daemon ends");
    remove_endpoint(folder);
    (void)!::ftruncate(pid_fd, 0);  // an empty file says "none runs" to whoever only looks at its size
  };
  exit_on_signals(clean_up);
  core.log.line("daemon " + std::to_string(::getpid()) + " of build " + kBuild + " listens");
  tell(ready_fd, Json::Object{{"pid", ::getpid()}});
  ::close(ready_fd);
  static std::atomic<int> clients{0};
  while (!core.ending) {
    Descriptor connection;
    try {
      connection = accept_peer(listener.get());
    } catch (const std::exception& error) {
      if (core.ending) break;
      core.log.line(std::string("a connection was refused: ") + error.what());
      std::this_thread::sleep_for(kEndRetry);  // out of descriptors, say: it must not become a busy loop
      continue;
    }
    if (clients >= kMaxClients) {
      core.log.line("a connection was refused: " + std::to_string(kMaxClients) + " are open");
      continue;
    }
    ++clients;
    std::thread([&core, socket = std::make_shared<Descriptor>(std::move(connection))] {
      std::make_shared<Session>(core, Connection::of_socket(std::move(*socket)))->serve();
      --clients;
    }).detach();
  }
  leave(0, clean_up);
}

// In the first child: detaches (setsid, second fork), then serves.
[[noreturn]] void become_daemon(const std::string& work, const std::string& folder, int pid_fd, int ready_fd) {
  try {
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    detach_descriptors(folder, pid_fd, ready_fd);
    serve(work, folder, pid_fd, ready_fd);
  } catch (const Fault& fault) {
    tell(ready_fd, Json::Object{{"error", fault.to_meta()}});
  } catch (const std::exception& error) {
    tell(ready_fd, Json::Object{{"error", Fault("internal", std::string("the daemon cannot start: ") + error.what()).to_meta()}});
  }
  ::_exit(1);
}

// The pid file with its lock held; unset where a daemon of this build runs already, which `running` then is.
Descriptor take_pid_file(const std::string& work, const std::string& path, Json& running) {
  Descriptor file = open_file(path, O_RDWR | O_CREAT);
  // Held by the daemon for its whole life: this lock, never the socket's file, says that one runs.
  for (int attempt = 1; ::flock(file.get(), LOCK_EX | LOCK_NB) != 0; ++attempt) {
    try {
      running = daemon_status(work, kBuild);
      return Descriptor();
    } catch (const NoDaemon& error) {  // it is just ending
      if (attempt == kEndRetries) {
        throw Fault("internal", std::string(error.what()) + ": end the process that " + path + " names");
      }
      std::this_thread::sleep_for(kEndRetry);
    }
  }
  return file;
}

}  // namespace

Json start_daemon(const std::string& given) {
  const std::string work = absolute_path(given), folder = run_folder(work, kBuild);
  // One start at a time: whoever comes second finds the first one's daemon listening.
  const Descriptor start_lock = open_file(path_in(folder, kStartLock), O_WRONLY | O_CREAT);
  lock_file(start_lock.get(), LOCK_EX, folder);
  Json running;
  Descriptor pid_file = take_pid_file(work, path_in(folder, kPidFile), running);
  if (!pid_file) return Json::Object{{"pid", std::as_const(running)["pid"]}, {"build", kBuild}, {"started", false}};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("pipe");
  const Descriptor ready(ends[0]);
  const pid_t child = ::fork();
  if (child < 0) throw_errno("fork");
  if (child == 0) become_daemon(work, folder, pid_file.get(), ends[1]);
  ::close(ends[1]);
  pid_file.reset();
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  std::string answer;
  char chunk[4096];
  for (ssize_t got = 0; answer.size() < kMaxToldBytes; answer.append(chunk, static_cast<size_t>(got))) {
    got = ::read(ready.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) got = 0;
    else if (got <= 0) break;
  }
  if (answer.empty()) throw Fault("internal", "the daemon died at its start; see " + path_in(folder, kLogFile));
  Json told = Json::parse(answer);
  if (told.has("error")) throw Fault::from_meta(std::as_const(told)["error"]);
  told["build"] = kBuild;
  told["started"] = true;
  return told;
}

void attach_to_daemon(const std::string& work) {
  const Descriptor connection = Caller::connect_to(work, kBuild);
  const int socket = connection.get();
  std::thread([socket] {
    char chunk[1 << 16];
    try {
      while (true) {
        const ssize_t got = ::read(0, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        write_all(socket, std::string_view(chunk, static_cast<size_t>(got)), "the daemon");
      }
      ::shutdown(socket, SHUT_WR);
    } catch (const std::system_error&) {
      // The daemon ended; the other direction sees it.
    }
  }).detach();
  char chunk[1 << 16];
  try {
    while (true) {
      const ssize_t got = ::read(socket, chunk, sizeof chunk);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      write_all(1, std::string_view(chunk, static_cast<size_t>(got)), "stdout");
    }
  } catch (const std::system_error&) {
    ::_exit(1);  // whoever read our output is gone
  }
  ::_exit(0);  // the other direction may still wait for input
}

Json daemon_status(const std::string& work, const std::string& build) { return Caller(work, build).hello; }

Json stop_daemon(const std::string& work, const std::string& build, bool force) {
  Caller daemon(work, build);
  Json meta = Json::Object{{"id", 1}, {"method", "shutdown"}, {"params", Json::Object{{"force", force}}}};
  try {
    daemon.stream.write_frame(Frame{FrameType::request, std::move(meta), {}});
    const std::optional<Frame> answer = daemon.stream.read_frame();
    if (answer && answer->type == FrameType::error) throw Fault::from_meta(answer->meta["error"]);
  } catch (const WireError& error) {
    throw Fault("internal", std::string("the daemon: ") + error.what());
  }
  const std::string path = path_in(run_folder(work, build), kPidFile);
  const Descriptor file = open_file(path, O_RDONLY);
  lock_file(file.get(), LOCK_SH, path);  // granted when the daemon is gone
  return Json::Object{{"stopped", std::as_const(daemon.hello)["pid"]}};
}

bool daemon_runs(const std::string& run) {
  const Descriptor file(::open(path_in(run, kPidFile).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno != ENOENT && errno != ENOTDIR;
  return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

bool is_android() {
  if (::access("/system/bin/app_process", F_OK) == 0 || ::access("/system/bin/app_process64", F_OK) == 0) return true;
  return std::getenv("ANDROID_ROOT") != nullptr && ::access("/system/build.prop", F_OK) == 0;
}

}  // namespace edgeflow
