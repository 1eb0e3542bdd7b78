#include "worker/main.h"

#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string_view>

#include "common/clock.h"
#include "common/fault.h"
#include "common/stream.h"
#include "core/sysinfo.h"
#include "worker/backend.h"
#include "worker/bench.h"
#include "worker/process.h"

namespace edgeflow {
namespace {

constexpr int64_t kProgressPeriodNs = 200 * 1000 * 1000;

int g_socket = -1;

using Rss = std::optional<int64_t>;

Rss own_rss() { return rss_bytes(::getpid()); }

Json grown(const Rss& before, const Rss& after) { return before && after ? Json(*after - *before) : Json(); }

Json value_or_null(const Rss& value) { return value ? Json(*value) : Json(); }

// A runtime that is there, or why it is not; RSS where it was asked for, and how long it took.
struct Prepared {
  std::unique_ptr<Backend> backend;
  std::optional<Fault> fault;
  Json affinity;
  Rss before_import;
  Rss imported;
  int64_t import_ns = 0;
};

Prepared prepare(const Json& affinity, bool memory) {
  Prepared found;
  int64_t begin_ns = monotonic_ns();
  try {
    // Before the runtime starts threads: they inherit it.
    found.affinity = set_affinity(affinity);
    if (memory) found.before_import = own_rss();
    begin_ns = monotonic_ns();
    found.backend = create_backend();
  } catch (const Fault& fault) {
    found.fault = fault;
  }
  found.import_ns = monotonic_ns() - begin_ns;
  if (memory) found.imported = own_rss();
  return found;
}

// Input sets by their numbers; a tensor without one belongs to set 0.
std::map<int64_t, std::vector<Tensor>> input_sets(const std::vector<Tensor>& tensors) {
  std::map<int64_t, std::vector<Tensor>> sets;
  for (const Tensor& tensor : tensors) sets[tensor.set.value_or(0)].push_back(tensor);
  if (sets.empty()) sets[0] = {};
  return sets;
}

std::map<std::string, std::string> paths_of(const Json& files) {
  std::map<std::string, std::string> paths;
  for (const auto& [role, path] : files.as_object()) paths.emplace(role, path.as_string());
  return paths;
}

Json names_of(const std::vector<std::string>& names) { return Json::Array(names.begin(), names.end()); }

Tensor column(const char* name, const std::vector<int64_t>& values) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are little-endian");
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]);
  return Tensor{name, "int64", {static_cast<int64_t>(values.size())}, bytes, {}};
}

class Job {
 public:
  Job(Stream& stream, const Frame& request, std::optional<Prepared> prepared)
      : stream_(stream), request_(request), prepared_(std::move(prepared)), phase_began_ns_(monotonic_ns()) {}

  // The RESPONSE, or the ERROR that became of it.
  Frame answer() {
    try {
      return run();
    } catch (const Fault& fault) {
      return error(fault);
    } catch (const std::bad_alloc&) {
      return error(Fault("out_of_memory", "the worker ran out of memory"));
    } catch (const std::exception& failure) {
      return error(Fault("internal", failure.what()));
    } catch (...) {
      return error(Fault("internal", "the runtime threw something that is no std::exception"));
    }
  }

 private:
  Frame run() {
    const Json& params = request_.meta["params"];
    const std::string& kind = params["kind"].as_string();
    memory_ = kind == "memory";
    const std::vector<Tensor> given = tensors_of(request_);
    enter("import");
    if (!prepared_) prepared_ = prepare(params["affinity"], memory_);
    if (prepared_->fault) throw *prepared_->fault;
    Backend& backend = *prepared_->backend;
    enter("load");
    phases_ns_["import"] = prepared_->import_ns;
    const Rss before_load = rss();
    backend.load(paths_of(params["files"]), params["options"], static_cast<int>(params["threads"].as_integer()));
    const Rss loaded = rss();
    Json result = Json::Object{{"affinity", prepared_->affinity}};
    const auto sets = input_sets(given);
    enter("bind");
    backend.bind(sets.begin()->second);
    enter("first");
    backend.run();
    end_phase();
    // What an answer's tensors are views of lives until it is written.
    std::vector<Tensor> tensors;
    BenchResult measured;
    if (kind == "infer") {
      infer(backend, sets, tensors);
    } else if (kind == "bench") {
      measured = edgeflow::bench(backend, Plan::from_meta(params["plan"]), reporter());
      result["stop"] = measured.stop;
      result["clock"] = clock_facts();
      tensors = {column("warmup_ns", measured.warmup_ns), column("samples_ns", measured.samples_ns),
                 column("starts_ns", measured.starts_ns)};
    } else if (kind == "energy") {
      enter("warmup");
      repeat(backend, params["plan"]["warmup_ns"].as_integer());
      enter("run");
      const Loop loop = repeat(backend, params["plan"]["loop_ns"].as_integer());
      result["loop"] =
          Json::Object{{"begin_ns", loop.begin_ns}, {"end_ns", loop.end_ns}, {"inferences", loop.runs}};
    } else {
      enter("run");
      for (int64_t runs = params["plan"]["runs"].as_integer(); runs > 1; --runs) backend.run();
      result["interpreter_bytes"] = nullptr;  // there is none
      result["runtime_bytes"] = grown(prepared_->before_import, prepared_->imported);
      result["model_bytes"] = grown(before_load, loaded);
      result["peak_rss_bytes"] = value_or_null(own_peak_rss_bytes());
    }
    end_phase();
    describe(backend, result);
    try {
      return with_tensors(FrameType::response, Json::Object{{"id", 1}, {"result", std::move(result)}}, tensors);
    } catch (const WireError& failure) {
      throw Fault("run_failed", std::string("the outputs do not fit one frame: ") + failure.what());
    }
  }

  // Outputs of every set. All but the last are copied: the next run overwrites them.
  void infer(Backend& backend, const std::map<int64_t, std::vector<Tensor>>& sets, std::vector<Tensor>& tensors) {
    enter("run");
    int64_t done = 0;
    for (const auto& [number, inputs] : sets) {
      if (done > 0) {  // the first set has been bound and run already
        backend.bind(inputs);
        backend.run();
      }
      for (Tensor tensor : backend.read()) {
        tensor.set = number;
        tensor.data = *kept_.emplace_back(std::make_unique<std::string>(tensor.data));
        tensors.push_back(std::move(tensor));
      }
      progress("run", ++done, static_cast<int64_t>(sets.size()), "");
    }
  }

  void describe(const Backend& backend, Json& result) {
    RuntimeInfo info = backend.info();
    result["runtime"] = Json::Object{{"name", info.name},
                                     {"version", info.version},
                                     {"compute_dtype", info.compute_dtype},
                                     {"options", std::move(info.options)}};
    result["inputs"] = names_of(backend.inputs());
    result["outputs"] = names_of(backend.outputs());
    result["init_ns"] = phases_ns_["load"];
    result["first_ns"] = phases_ns_["first"];
    result["phases_ns"] = phases_ns_;
  }

  // Only a memory job may read /proc between phases: others are timed.
  Rss rss() const { return memory_ ? own_rss() : Rss(); }

  Frame error(Fault fault) const {
    if (fault.phase.empty()) fault.phase = phase_;
    return Frame{FrameType::error, Json::Object{{"id", 1}, {"error", fault.to_meta()}}, {}};
  }

  ProgressFn reporter() {
    return [this](const char* phase, int64_t done, int64_t total, const std::string& note) {
      if (phase_ != phase) enter(phase);
      else progress(phase, done, total, note);
    };
  }

  void enter(const char* phase) {
    end_phase();
    progress(phase, 0, 0, "");
    phase_began_ns_ = monotonic_ns();
  }

  void end_phase() {
    if (!phases_ns_.has(phase_)) phases_ns_[phase_] = monotonic_ns() - phase_began_ns_;
  }

  void progress(const char* phase, int64_t done, int64_t total, const std::string& note) {
    const int64_t now = monotonic_ns();
    if (phase_ == phase && now - progress_ns_ < kProgressPeriodNs) return;
    phase_ = phase;
    progress_ns_ = now;
    Json meta = Json::Object{{"id", 1}, {"phase", phase}, {"done", done}, {"total", total}, {"note", note}};
    stream_.write_frame(Frame{FrameType::progress, std::move(meta), {}});
  }

  Stream& stream_;
  const Frame& request_;
  std::optional<Prepared> prepared_;
  std::string phase_ = "start";
  int64_t phase_began_ns_;
  int64_t progress_ns_ = 0;
  bool memory_ = false;
  Json phases_ns_ = Json::Object();
  std::vector<std::unique_ptr<std::string>> kept_;
};

int serve(std::optional<Prepared> prepared) {
  Stream stream(g_socket, g_socket);
  const std::optional<Frame> request = stream.read_frame();
  if (!request) return 0;
  exit_with_core(g_socket);
  Job job(stream, *request, std::move(prepared));
  const Frame answer = job.answer();
  std::fflush(nullptr);  // what native code printed belongs into the log before the answer
  stream.write_frame(answer);
  // No destructors: a runtime's may crash after the answer is already given.
  ::_exit(0);
}

std::optional<int> descriptor(std::string_view word) {
  int fd = -1;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), fd);
  if (error != std::errc() || end != word.data() + word.size() || fd < 0) return std::nullopt;
  return fd;
}

int run(int argc, char** argv) {
  const bool four = argc == 6 && std::string_view(argv[1]) == "worker" && std::string_view(argv[2]) == "--fd";
  const std::string_view how = four ? argv[4] : "";
  const std::optional<int> socket = four ? descriptor(argv[3]) : std::nullopt;
  const std::optional<int> lock = how == "--lock-fd" ? descriptor(argv[5]) : std::nullopt;
  if (!socket || !(lock || how == "--ahead")) {
    std::fputs("usage: worker --fd SOCKET (--lock-fd LOCK | --ahead SETTING), started by the core\n", stderr);
    return 2;
  }
  die_with_parent();
  g_socket = *socket;
  close_on_exec(g_socket);
  if (lock) {
    close_on_exec(*lock);
    return serve(std::nullopt);
  }
  const Json setting = Json::parse(argv[5]);
  std::optional<Prepared> prepared = prepare(setting["affinity"], true);
  return receive_lock(g_socket) ? serve(std::move(prepared)) : 0;
}

}  // namespace

int worker_socket() { return g_socket; }

int worker_main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "edgeflow worker: %s\n", failure.what());
    return 1;
  }
}

}  // namespace edgeflow
