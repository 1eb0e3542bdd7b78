// A runtime that does nothing, on purpose: it echoes its inputs, and fails in chosen ways.
// It measures the harness's own overhead and lets tests drive every failure of a worker. It needs no file.
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <stdexcept>

#include "common/fault.h"
#include "worker/backend.h"
#include "worker/main.h"

namespace edgeflow {
namespace {

constexpr const char* kCrashes[] = {"abort", "segv", "hang", "exit", "rubbish", "fault", "exception"};
constexpr const char* kPhases[] = {"load", "bind", "run"};

template <size_t count>
bool is_one_of(const char* const (&words)[count], const Json& value) {
  return value.is_string() && std::find(std::begin(words), std::end(words), value.as_string()) != std::end(words);
}

// Options: `delay_ns` sleeps in each run; `allocate_bytes` is allocated and touched by load; load writes `print` to
// stdout. `crash` (one of kCrashes) happens in the verb `crash_phase` (one of kPhases, default run), in run after
// `crash_after_runs` good ones.
class NullBackend : public Backend {
 public:
  void load(const std::map<std::string, std::string>&, const Json& options, int) override {
    options_ = checked(options);
    crash_ = options_["crash"].is_null() ? "" : options_["crash"].as_string();
    crash_phase_ = options_["crash_phase"].as_string();
    crash_after_runs_ = options_["crash_after_runs"].as_integer();
    const int64_t delay_ns = options_["delay_ns"].as_integer();
    delay_.tv_sec = static_cast<time_t>(delay_ns / 1000000000);
    delay_.tv_nsec = static_cast<long>(delay_ns % 1000000000);
    sleeps_ = delay_ns > 0;
    if (options_["print"].is_string()) {
      std::fprintf(stdout, "%s\n", options_["print"].as_string().c_str());
      std::fflush(stdout);
    }
    const int64_t bytes = options_["allocate_bytes"].as_integer();
    if (static_cast<uint64_t>(bytes) > ballast_.max_size()) throw std::bad_alloc();
    ballast_.assign(static_cast<size_t>(bytes), '\1');
    crash_in("load");
  }

  std::vector<std::string> inputs() const override {
    std::vector<std::string> names;
    for (const Tensor& tensor : bound_) names.push_back(tensor.name);
    return names;
  }

  std::vector<std::string> outputs() const override { return inputs(); }

  void bind(const std::vector<Tensor>& tensors) override {
    bound_ = tensors;
    data_.clear();
    for (const Tensor& tensor : tensors) data_.emplace_back(tensor.data);
    for (size_t i = 0; i < bound_.size(); ++i) {
      bound_[i].data = data_[i];
      bound_[i].set.reset();
    }
    crash_in("bind");
  }

  void run() override {
    if (!crash_.empty() && runs_ >= crash_after_runs_) crash_in("run");
    ++runs_;
    if (!sleeps_) return;
    timespec left = delay_;
    while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
  }

  std::vector<Tensor> read() override { return bound_; }

  RuntimeInfo info() const override { return {"null", "1", "none", options_}; }

 private:
  static Json checked(const Json& options) {
    Json all = Json::Object{{"delay_ns", 0},        {"allocate_bytes", 0},   {"crash", nullptr},
                            {"crash_phase", "run"}, {"crash_after_runs", 0}, {"print", nullptr}};
    for (const auto& [name, value] : options.as_object()) {
      if (!all.has(name)) {
        throw Fault("bad_request", "null has no option " + name +
                                       "; known: delay_ns allocate_bytes crash crash_phase crash_after_runs print");
      }
      all[name] = value;
    }
    const bool crash_known = all["crash"].is_null() || is_one_of(kCrashes, all["crash"]);
    if (!crash_known || !is_one_of(kPhases, all["crash_phase"])) {
      throw Fault("bad_request", "null: crash is one of abort segv hang exit rubbish fault exception, crash_phase of "
                                 "load bind run");
    }
    for (const char* name : {"delay_ns", "allocate_bytes", "crash_after_runs"}) {
      if (all[name].is_count()) continue;
      throw Fault("bad_request", std::string("null: ") + name + "=" + all[name].excerpt(40) + " is not a count");
    }
    if (!all["print"].is_null() && !all["print"].is_string()) throw Fault("bad_request", "null: print is a text");
    return all;
  }

  void crash_in(const char* phase) const {
    if (!crash_.empty() && crash_phase_ == phase) crash();
  }

  [[noreturn]] void crash() const {
    if (crash_ == "fault") throw Fault("run_failed", "null was told to fail");
    if (crash_ == "exception") throw std::runtime_error("null was told to raise");
    if (crash_ == "exit") ::_exit(3);
    if (crash_ == "rubbish") {
      const std::string rubbish(112, 'r');  // into the core's own socket
      const ssize_t written = ::write(worker_socket(), rubbish.data(), rubbish.size());
      ::_exit(written < 0 ? 4 : 0);
    }
    while (crash_ == "hang") ::pause();
    ::raise(crash_ == "abort" ? SIGABRT : SIGSEGV);
    throw std::runtime_error("a fatal signal did not end this process");
  }

  Json options_ = Json::Object();
  std::string crash_;
  std::string crash_phase_;
  int64_t crash_after_runs_ = 0;
  int64_t runs_ = 0;
  bool sleeps_ = false;
  timespec delay_{};
  std::string ballast_;
  std::vector<Tensor> bound_;
  std::vector<std::string> data_;  // what the views in bound_ are of
};

}  // namespace

std::unique_ptr<Backend> create_backend() { return std::make_unique<NullBackend>(); }

}  // namespace edgeflow
