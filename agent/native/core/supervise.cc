#include "core/supervise.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>

#include "common/clock.h"
#include "common/files.h"
#include "common/text.h"
#include "core/process.h"
#include "core/sampler.h"
#include "core/sites.h"
#include "core/sysinfo.h"

namespace edgeflow {
namespace {

constexpr const char* kFirstPhase = "start";
constexpr auto kWatchPeriod = std::chrono::milliseconds(50);
constexpr int64_t kEndPatienceNs = 500 * 1000 * 1000;
constexpr off_t kMaxLogBytes = 8 << 20;
constexpr off_t kLogTailBytes = 8192;
constexpr size_t kLogTailLines = 40;
constexpr size_t kLastWordsBytes = 200;
constexpr std::string_view kThreadVariables[] = {"OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "VECLIB_"};
constexpr std::string_view kLibraryPath = "LD_LIBRARY_PATH=";

bool begins(std::string_view text, std::string_view with) { return text.substr(0, with.size()) == with; }

// The core's environment with every thread pool set to `threads`: inherited OMP_* settings would distort.
std::vector<std::string> worker_environment(int64_t threads, const std::string& library_path) {
  std::vector<std::string> kept;
  for (std::string& variable : environment()) {
    bool ours = !library_path.empty() && begins(variable, kLibraryPath);
    for (const std::string_view prefix : kThreadVariables) ours = ours || begins(variable, prefix);
    if (!ours) kept.push_back(std::move(variable));
  }
  kept.push_back("OMP_NUM_THREADS=" + std::to_string(threads));
  if (!library_path.empty()) kept.push_back(std::string(kLibraryPath) + library_path);
  return kept;
}

// Starts a worker in a session of its own, its output into the log.
Started start_worker(const Setting& setting, std::vector<std::string> arguments, std::vector<int> kept,
                     const std::string& log_path) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw_errno("socketpair");
  Descriptor ours(ends[0]);
  const Descriptor theirs(ends[1]);
  const Descriptor log = open_file(log_path, O_WRONLY | O_CREAT | O_APPEND);
  const Descriptor nothing = open_file("/dev/null", O_RDONLY);
  const SiteCommand command = site_command(setting.site);
  Program program;
  program.argv = command.argv;
  for (const char* word : {"worker", "--fd"}) program.argv.emplace_back(word);
  program.argv.push_back(std::to_string(theirs.get()));
  for (std::string& word : arguments) program.argv.push_back(std::move(word));
  program.environment = worker_environment(setting.threads, command.library_path);
  program.folder = parent_of(log_path);
  program.in = nothing.get();
  program.out = program.err = log.get();
  program.kept = std::move(kept);
  program.kept.push_back(theirs.get());
  program.dies_with_us = true;
  const pid_t pid = spawn(program);
  return Started{pid, std::move(ours), log_path};
}

}  // namespace

Setting Setting::of(const Json& params) {
  return Setting{params["backend"].as_string(), params["threads"].as_integer(), params["affinity"], params["site"]};
}

std::string Setting::to_argument() const {
  return Json(Json::Object{{"backend", backend}, {"threads", threads}, {"affinity", affinity}, {"site", site}}).text();
}

bool Setting::operator==(const Setting& other) const {
  return backend == other.backend && threads == other.threads && affinity == other.affinity && site == other.site;
}

bool Started::give_lock(int lock_fd) const {
  char byte = 'L';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof lock_fd)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof lock_fd);
  std::memcpy(CMSG_DATA(rights), &lock_fd, sizeof lock_fd);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(ours.get(), &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == 1;
}

void Started::end() {
  kill_group(pid);
  reap(pid);
  ours.reset();
  remove_tree(log_path);
}

Started spawn_ahead(const Setting& setting, const std::string& log_path) {
  return start_worker(setting, {"--ahead", setting.to_argument()}, {}, log_path);
}

Worker::Worker(Frame request, std::string log_path, int lock_fd, std::function<void(const Json&)> on_progress)
    : request_(std::move(request)), params_(std::as_const(request_.meta)["params"]), log_path_(std::move(log_path)),
      lock_fd_(lock_fd), on_progress_(std::move(on_progress)) {}

Worker::~Worker() = default;

void Worker::stop(const Fault& reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!stopped_by_) stopped_by_ = reason;
  kill_group(pid_);
}

Frame Worker::run(std::optional<Started> started) {
  began_ns_ = monotonic_ns();
  const bool adopted = begin(std::move(started));
  Ended ended = follow();
  if (adopted && !ended.answer && never_worked()) {
    // It was dying already when it was taken: no fault of this job, which gets a worker of its own.
    begin(std::nullopt);
    ended = follow();
  }
  if (!ended.answer) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopped_by_) throw Fault(*stopped_by_);
    }
    throw with_log(crashed(ended));
  }
  if (ended.answer->type == FrameType::error) throw with_log(Fault::from_meta(ended.answer->meta["error"]));
  if (!ended.sampling.is_null()) ended.answer->meta["result"]["sampling"] = std::move(ended.sampling);
  return std::move(*ended.answer);
}

// Takes the worker that waits, or starts one of this job's own; true where it waited.
bool Worker::begin(std::optional<Started> started) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool adopted = started && adopt(*started);
  if (!adopted) {
    try {
      started = start_worker(Setting::of(params_), {"--lock-fd", std::to_string(lock_fd_)}, {lock_fd_}, log_path_);
    } catch (const std::system_error& error) {
      throw Fault("internal", std::string("cannot start the worker: ") + error.what(), phase_);
    }
  }
  pid_ = started->pid;
  ours_ = std::move(started->ours);
  ended_ = false;
  if (stopped_by_) kill_group(pid_);
  return adopted;
}

// Converses with the worker to its end.
Worker::Ended Worker::follow() {
  Ended ended;
  ended.pid = pid_;
  std::thread watcher([this] { watch(); });
  ended.answer = converse();
  // Before the process is reaped: afterwards its CPU time is gone.
  if (sampler_) ended.sampling = sampler_->stop();
  ended.code = finish();
  watcher.join();
  ours_.reset();
  return ended;
}

// It said nothing, and nobody stopped it.
bool Worker::never_worked() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return phase_ == kFirstPhase && !stopped_by_;
}

// False where it died while it waited, which is no fault of this job.
bool Worker::adopt(Started& started) {
  if (::rename(started.log_path.c_str(), log_path_.c_str()) == 0 && started.give_lock(lock_fd_)) return true;
  started.end();
  return false;
}

// Sends the request and follows the worker to its last frame; none when it ends without one.
std::optional<Frame> Worker::converse() {
  try {
    Stream stream(ours_.get(), ours_.get());
    stream.write_frame(request_);
    while (true) {
      std::optional<Frame> frame = stream.read_frame();
      if (!frame || frame->type == FrameType::response || frame->type == FrameType::error) return frame;
      if (frame->type == FrameType::progress) progress(frame->meta);
    }
  } catch (const std::exception&) {
    // It died within a frame, or its runtime wrote into our socket: either way it is of no more use.
    return std::nullopt;
  }
}

void Worker::progress(const Json& meta) {
  const std::string now = meta["phase"].is_string() ? meta["phase"].as_string() : "";
  pid_t pid = -1;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    phase_ = now;
    pid = pid_;
  }
  if (params_["kind"] == Json("bench") && !sampler_ && (now == "warmup" || now == "run")) {
    sampler_ = std::make_unique<Sampler>(pid, params_["plan"]["sample_period_ms"].as_double());
    sampler_->start();
  }
  on_progress_(meta);
}

// Enforces the limits beside the conversation, and ends it when the process is gone.
void Worker::watch() {
  const Json& timeout_ms = params_["limits"]["timeout_ms"];
  const Json& memory_bytes = params_["limits"]["memory_bytes"];
  std::unique_lock<std::mutex> lock(mutex_);
  while (!changed_.wait_for(lock, kWatchPeriod, [this] { return ended_; })) {
    const std::string phase = phase_;
    const pid_t pid = pid_;
    lock.unlock();
    // In milliseconds: a limit may be as large as a number can be.
    if (timeout_ms.is_integer() && (monotonic_ns() - began_ns_) / 1000000 >= timeout_ms.as_integer()) {
      stop(Fault("timeout", "the job ran over its limit of " + timeout_ms.text() + " ms in phase " + phase, phase));
    }
    if (memory_bytes.is_integer()) {
      const auto rss = rss_bytes(pid);
      if (rss && *rss > memory_bytes.as_integer()) {
        stop(Fault("out_of_memory",
                   "the worker uses " + std::to_string(*rss) + " bytes, over its limit of " + memory_bytes.text(), phase));
      }
    }
    struct stat log {};
    if (::stat(log_path_.c_str(), &log) == 0 && log.st_size > kMaxLogBytes) (void)!::truncate(log_path_.c_str(), 0);
    if (has_ended(pid)) {
      // A child of the runtime may still hold the other end: what is buffered is read, then it ends.
      ::shutdown(ours_.get(), SHUT_RD);
      return;
    }
    lock.lock();
  }
}

// Waits a moment for the worker to end by itself, as it does after its last frame; then reaps it.
int Worker::finish() {
  pid_t pid = -1;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
    pid = pid_;
  }
  changed_.notify_all();
  const int64_t deadline = monotonic_ns() + kEndPatienceNs;
  for (auto pause = std::chrono::microseconds(200); !has_ended(pid) && monotonic_ns() < deadline;) {
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, std::chrono::microseconds(10000));
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  kill_group(pid);
  pid_ = -1;
  return reap(pid);
}

std::string Worker::phase() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return phase_;
}

Fault Worker::crashed(const Ended& ended) const {
  const int code = ended.code;
  const std::string where = phase();
  const std::string name = code < 0 ? signal_name(-code) : "";
  std::string how = code < 0 ? "was killed by " + name
                    : code == 0 ? std::string("ended without an answer")
                                : "exited with code " + std::to_string(code);
  if (code == -SIGKILL) how += " (by the system: perhaps out of memory)";
  Json detail = Json::Object{{"signal", code < 0 ? Json(name) : Json()},
                             {"exit_code", code < 0 ? Json() : Json(code)},
                             {"phase", where},
                             {"pid", ended.pid}};
  return Fault("worker_crashed", "the " + params_["backend"].as_string() + " worker " + how + " in phase " + where, where,
               std::move(detail));
}

// Adds the last lines that the worker printed; the reason of a load failure is often only there.
Fault Worker::with_log(Fault fault) const {
  const std::vector<std::string> lines = log_tail(log_path_);
  fault.detail["log"] = Json::Array(lines.begin(), lines.end());
  if ((fault.code == "load_failed" || fault.code == "run_failed") && !lines.empty()) {
    fault.message += "; the runtime said: " + clipped(lines.back(), kLastWordsBytes);
  }
  return fault;
}

std::vector<std::string> log_tail(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat found {};
  if (!file || ::fstat(file.get(), &found) != 0) return {};
  std::string text(static_cast<size_t>(std::min(found.st_size, kLogTailBytes)), '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), found.st_size - static_cast<off_t>(text.size()));
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of("\r\n", at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (stripped(line).empty()) continue;
    line = line.substr(0, line.find_last_not_of(" \t\v\f") + 1);
    lines.push_back(valid_utf8(line));
  }
  if (lines.size() > kLogTailLines) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(kLogTailLines));
  return lines;
}

const std::string& own_path() {
  static const std::string path = [] {
    char found[4096];
    const ssize_t length = ::readlink("/proc/self/exe", found, sizeof found);
    return length > 0 && static_cast<size_t>(length) < sizeof found ? std::string(found, static_cast<size_t>(length))
                                                                     : std::string("/proc/self/exe");
  }();
  return path;
}

}  // namespace edgeflow
