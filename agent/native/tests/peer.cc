// The measuring half, called from outside: one JSON request a line on stdin, one JSON answer a line on stdout.
// tests/unit/agent/test_agent_native.py asks the same of the Python agent's functions, and compares.
#include <cstdio>
#include <deque>
#include <iterator>
#include <memory>
#include <string>

#include "common/fault.h"
#include "core/energy.h"
#include "core/gauge.h"
#include "core/power.h"
#include "core/recorder.h"
#include "core/sampler.h"
#include "core/sysinfo.h"
#include "worker/backends/paddlelite_model.h"
#include "worker/bench.h"
#include "worker/stats.h"

namespace edgeflow {
namespace {

int64_t g_now_ns = 0;

int64_t moved_clock() { return g_now_ns; }
int64_t ticking_clock() { return ++g_now_ns; }

std::vector<int64_t> numbers(const Json& values) {
  std::vector<int64_t> found;
  for (const Json& value : values.as_array()) found.push_back(value.as_integer());
  return found;
}

Json array(const std::vector<int64_t>& values) { return Json::Array(values.begin(), values.end()); }

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

// A model whose durations are given; reading the clock takes no time.
class PlayedModel : public Backend {
 public:
  explicit PlayedModel(std::vector<int64_t> durations_ns) : durations_ns_(std::move(durations_ns)) {}
  void load(const std::map<std::string, std::string>&, const Json&, int) override {}
  std::vector<std::string> inputs() const override { return {}; }
  std::vector<std::string> outputs() const override { return {}; }
  void bind(const std::vector<Tensor>&) override {}
  void run() override { g_now_ns += durations_ns_[runs_++ % durations_ns_.size()]; }
  std::vector<Tensor> read() override { return {}; }
  RuntimeInfo info() const override { return {}; }

 private:
  std::vector<int64_t> durations_ns_;
  size_t runs_ = 0;
};

Json paddlelite_model_of(const std::string& path) {
  const paddlelite::Model model = paddlelite::read_model(path);
  Json kernels = Json::Array(), inputs = Json::Object();
  for (const paddlelite::Kernel& each : model.kernels) {
    kernels.push_back(Json::Array{each.operation, each.target, each.precision});
  }
  for (const auto& [name, shape] : model.inputs) inputs[name] = array(shape);
  return Json::Object{{"kernels", kernels}, {"inputs", inputs}, {"compute_dtype", paddlelite::compute_dtype(model)}};
}

Json bench_of(const Json& request) {
  PlayedModel model(numbers(request["durations_ns"]));
  g_now_ns = 1000;
  Json::Array reports;
  const ProgressFn progress = [&](const char* phase, int64_t done, int64_t total, const std::string& note) {
    reports.push_back(Json::Array{phase, done, total, note});
  };
  const BenchResult found = bench(model, Plan::from_meta(request["plan"]), progress, moved_clock);
  return Json::Object{{"warmup_ns", array(found.warmup_ns)},
                      {"samples_ns", array(found.samples_ns)},
                      {"starts_ns", array(found.starts_ns)},
                      {"stop", found.stop},
                      {"progress", std::move(reports)}};
}

Json repeat_of(const Json& request) {
  PlayedModel model(numbers(request["durations_ns"]));
  g_now_ns = 1000;
  const Loop loop = repeat(model, request["duration_ns"].as_integer(), moved_clock);
  return array({loop.begin_ns, loop.end_ns, loop.runs});
}

Json sensors_of(std::vector<Sensor> sensors) {
  Json found = Json::Object();
  for (Sensor& sensor : sensors) {
    if (const auto value = sensor.file.number()) found[sensor.name] = static_cast<double>(*value) / 1000.0;
  }
  return found;
}

Json sysinfo_of(const Json& request) {
  const std::string& root = request["root"].as_string();
  const auto pid = static_cast<pid_t>(request["pid"].as_integer());
  char text[1024];
  PolledFile machine(joined(root, "proc/stat")), process(joined(root, "proc/" + std::to_string(pid) + "/stat"));
  const auto times = cpu_times_in(machine.read(text, sizeof text));
  const Json ticks = or_null(process_ticks_in(process.read(text, sizeof text)));
  Json temperatures = sensors_of(thermal_zones(root));
  if (temperatures.as_object().empty()) temperatures = sensors_of(hwmon_temperatures(root));
  return Json::Object{{"cpu_times", times ? array({times->busy, times->total}) : Json()},
                      {"process_ticks", ticks},
                      {"rss_bytes", or_null(rss_bytes(pid, root))},
                      {"temperatures_c", temperatures},
                      {"frequencies_mhz", sensors_of(cpu_frequencies(root))}};
}

Json series_of(const Series& series) {
  return Json::Object{{"values", array(series.values)},
                      {"step", series.step},
                      {"assumed", Json::Array(series.assumed.begin(), series.assumed.end())}};
}

Json discharge_of(const Json& request) {
  std::optional<std::vector<int64_t>> voltages;
  if (request["voltages"].is_array()) voltages = numbers(request["voltages"]);
  return series_of(discharge(request["name"].as_string(), numbers(request["readings"]), voltages));
}

class Peer {
 public:
  Json answer(const Json& request) {
    try {
      return Json::Object{{"result", call(request["call"].as_string(), request)}};
    } catch (const Fault& fault) {
      return Json::Object{{"fault", fault.to_meta()}};
    } catch (const Refused& refused) {
      return Json::Object{{"refused", refused.what()}};
    } catch (const Unread& unread) {
      return Json::Object{{"unread", unread.what()}};
    } catch (const std::exception& error) {
      return Json::Object{{"error", error.what()}};
    }
  }

 private:
  Json call(const std::string& name, const Json& request) {
    if (name == "rank") return ci95_rank(static_cast<size_t>(request["count"].as_integer()));
    if (name == "half_width") return or_null(relative_half_width(numbers(request["samples"])));
    if (name == "bench") return bench_of(request);
    if (name == "paddlelite_model") return paddlelite_model_of(request["path"].as_string());
    if (name == "repeat") return repeat_of(request);
    if (name == "sysinfo") return sysinfo_of(request);
    if (name == "discharge") return discharge_of(request);
    if (name == "energy_plan") return EnergyPlan::from_meta(request["plan"]).window_min_ns;
    if (name.rfind("sampler.", 0) == 0) return sampler(name.substr(8), request);
    return power(name, request);
  }

  Json sampler(const std::string& verb, const Json& request) {
    if (verb == "start") {
      g_now_ns = 0;
      const auto pid = static_cast<pid_t>(request["pid"].as_integer());
      sampler_ = std::make_unique<Sampler>(pid, 3600000.0, request["root"].as_string(), ticking_clock);
      sampler_->start();
      return nullptr;
    }
    if (verb == "stop") return sampler_->stop();
    for (int64_t left = request["times"].as_integer(); left > 0; --left) sampler_->sample();
    return nullptr;
  }

  // Sources of a tree, as tracks; `index` names one.
  Json power(const std::string& name, const Json& request) {
    if (name == "probe") {
      tracks_.clear();
      Json::Array found;
      for (auto& source : probe(request["root"].as_string())) {
        found.push_back(Json::Object{{"name", source->name},
                                     {"kind", source->kind},
                                     {"covers", source->covers},
                                     {"quantity", source->quantity},
                                     {"rank", source->rank}});
        tracks_.emplace_back(std::move(source));
      }
      return found;
    }
    Track& track = tracks_.at(static_cast<size_t>(request["index"].as_integer()));
    if (name == "read") return array({track.source().read()[0], track.source().read()[1]});
    if (name == "poll") {
      g_now_ns = request["clock_ns"].as_integer();
      track.poll(moved_clock);
      return nullptr;
    }
    if (name == "still") {
      track.refuse_if_still();
      return nullptr;
    }
    if (name == "track") {
      Json found = track.to_json();
      found["t_ns"] = array(track.t_ns());
      found["updates_since"] = track.updates_since(request["since_ns"].as_integer());
      return found;
    }
    if (name == "series") return series_of(track.source().series(track.t_ns(), track.rows()));
    throw Fault("unknown_method", name);
  }

  std::unique_ptr<Sampler> sampler_;
  std::deque<Track> tracks_;
};

}  // namespace
}  // namespace edgeflow

int main() {
  edgeflow::Peer peer;
  std::string line;
  for (int letter = std::getchar(); letter != EOF; letter = std::getchar()) {
    if (letter != '\n') {
      line.push_back(static_cast<char>(letter));
      continue;
    }
    std::printf("%s\n", peer.answer(edgeflow::Json::parse(line)).text().c_str());
    std::fflush(stdout);
    line.clear();
  }
  return 0;
}
