#include "core/energy.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/supervise.h"
#include "worker/bench.h"

namespace edgeflow {
namespace {

constexpr auto kCheckPeriod = std::chrono::milliseconds(50);
constexpr int64_t kSettleUpdates = 2;  // a gauge may give a window's first reading from before it
constexpr int64_t kStillMinNs = 2000000000;
constexpr double kLoopMargin = 1.5;  // a loop whose updates are as rare as the rarest in the idle window has enough
constexpr const char* kFields[] = {"window_min_ns", "window_max_ns", "settle_ns", "min_updates", "sample_period_ms"};

// A duration that was computed from a plan's numbers, which may be of any size.
int64_t duration_of(double ns) { return ns >= 9e18 ? INT64_MAX : static_cast<int64_t>(ns); }

// Little-endian numbers and the tensors that are views of them.
struct Columns {
  std::vector<Tensor> tensors;
  std::vector<std::vector<int64_t>> kept;

  void add(const char* name, std::vector<int64_t> values, int64_t set) {
    kept.push_back(std::move(values));  // moving the outer list later leaves the numbers where they are
    const std::vector<int64_t>& numbers = kept.back();
    const std::string_view bytes(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(int64_t));
    tensors.push_back(Tensor{name, "int64", {static_cast<int64_t>(numbers.size())}, bytes, set});
  }
};

// The entry of one source in the result; its series go to `columns` as set `number`.
Json source_entry(const Track& track, int64_t number, Columns& columns) {
  Json found = track.to_json();
  found["set"] = number;
  found["step"] = 0;
  found["assumed"] = Json::Array();
  if (track.rows().empty()) return found;
  std::string refused;
  try {
    Series series = track.source().series(track.t_ns(), track.rows());
    found["step"] = series.step;
    found["assumed"] = Json::Array(series.assumed.begin(), series.assumed.end());
    columns.add("t_ns", track.t_ns(), number);
    columns.add(track.source().quantity, std::move(series.values), number);
    return found;
  } catch (const Refused& error) {
    refused = error.what();
  } catch (const Unread& error) {
    refused = error.what();
  }
  // A run is judged as a whole: what was read stands, but what it means is not known.
  if (found["refused"].is_null()) found["refused"] = refused;
  return found;
}

}  // namespace

EnergyPlan EnergyPlan::from_meta(const Json& plan) {
  bool complete = plan.is_object() && plan.as_object().size() == std::size(kFields);
  for (const char* name : kFields) complete = complete && plan.has(name);
  if (!complete) {
    std::string fields;
    for (const char* name : kFields) fields += std::string(" ") + name;
    throw Fault("bad_request", "an energy plan has the fields" + fields);
  }
  EnergyPlan found;
  found.window_min_ns = plan_count(plan, "energy", "window_min_ns");
  found.window_max_ns = plan_count(plan, "energy", "window_max_ns");
  found.settle_ns = plan_count(plan, "energy", "settle_ns");
  found.min_updates = plan_count(plan, "energy", "min_updates");
  found.sample_period_ms = plan_period_ms(plan, "energy");
  if (found.window_min_ns <= 0 || found.window_min_ns > found.window_max_ns) {
    throw Fault("bad_request", "energy plan: needs 0 < window_min_ns <= window_max_ns");
  }
  return found;
}

EnergyRun::EnergyRun(Frame request, std::string log_path, int lock_fd, std::function<void(const Json&)> on_progress,
                     const std::string& root)
    : request_(std::move(request)),
      log_path_(std::move(log_path)),
      lock_fd_(lock_fd),
      on_progress_(std::move(on_progress)),
      plan_(EnergyPlan::from_meta(std::as_const(request_.meta)["params"]["plan"])),
      recorder_(probe(root), plan_.sample_period_ms),
      began_ns_(monotonic_ns()) {
  const Json& timeout_ms = std::as_const(request_.meta)["params"]["limits"]["timeout_ms"];
  if (timeout_ms.is_integer()) timeout_ns_ = duration_of(1e6 * timeout_ms.as_double());
}

EnergyRun::~EnergyRun() = default;

void EnergyRun::stop(const Fault& reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!stopped_by_) stopped_by_ = reason;
  if (worker_) worker_->stop(reason);
  changed_.notify_all();
}

Frame EnergyRun::run() {
  Json found;
  Frame answer;
  try {
    recorder_.start();
    answer = windows(found);
  } catch (...) {
    recorder_.stop();
    throw;
  }
  recorder_.stop();
  Columns columns;
  columns.tensors = tensors_of(answer);
  Json::Array sources;
  int64_t number = 0;
  for (const auto& track : recorder_.tracks()) sources.push_back(source_entry(*track, number++, columns));
  Json meta = std::move(answer.meta);
  meta["result"]["power"] = Json::Object{{"sources", std::move(sources)}, {"windows", std::move(found)}};
  return with_tensors(FrameType::response, std::move(meta), columns.tensors);
}

// The worker's answer and the windows' times; an empty answer and null where no source can be used.
Frame EnergyRun::windows(Json& found) {
  Frame answer{FrameType::response, Json::Object{{"id", 1}, {"result", Json::Object()}}, {}};
  if (recorder_.preferred() == nullptr) return answer;
  const Window before = idle("idle_before");
  for (const auto& track : recorder_.tracks()) track->refuse_if_still();
  // A charger may have been plugged in meanwhile, too: nobody needs the loop then.
  if (recorder_.preferred() == nullptr) return answer;
  answer = loop();
  Json::Object& result = answer.meta["result"].as_object();
  const Json looped = result["loop"];
  result.erase("loop");
  result["inferences"] = looped["inferences"];
  const Window after = idle("idle_after");
  found = Json::Object{{"idle_before", Json::Array{before.begin_ns, before.end_ns}},
                       {"loop", Json::Array{looped["begin_ns"], looped["end_ns"]}},
                       {"idle_after", Json::Array{after.begin_ns, after.end_ns}}};
  return answer;
}

// Waits until the preferred source has told enough, or the window's longest time is over.
EnergyRun::Window EnergyRun::idle(const char* phase) {
  const int64_t start = monotonic_ns();
  while (true) {
    const int64_t now = monotonic_ns();
    const int64_t begin = saturating_add(start, settle_ns());
    const Track* track = recorder_.preferred();
    const int64_t updates = track == nullptr ? 0 : track->updates_since(begin);
    const int64_t elapsed = now - begin;
    if (track == nullptr || elapsed >= plan_.window_max_ns) return {begin, std::max(begin, now)};
    if (!track->changes() && elapsed >= still_ns()) return {begin, now};
    if (elapsed >= plan_.window_min_ns && updates >= plan_.min_updates) return {begin, now};
    on_progress_(Json::Object{{"phase", phase}, {"done", updates}, {"total", plan_.min_updates}, {"note", ""}});
    wait_and_check(phase);
  }
}

Frame EnergyRun::loop() {
  int64_t duration = plan_.window_max_ns;
  if (const std::optional<int64_t> period = period_ns()) {
    const double updates = static_cast<double>(plan_.min_updates);
    const int64_t needed = duration_of(kLoopMargin * updates * static_cast<double>(*period));
    duration = std::min(duration, std::max(plan_.window_min_ns, needed));
  }
  Frame request = request_;
  Json& params = request.meta["params"];
  params["plan"] = Json::Object{{"warmup_ns", settle_ns()}, {"loop_ns", duration}};
  if (timeout_ns_) {
    const int64_t left_ms = (*timeout_ns_ - (monotonic_ns() - began_ns_)) / 1000000;
    params["limits"]["timeout_ms"] = std::max<int64_t>(1, left_ms);
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_by_) throw *stopped_by_;
    worker_ = std::make_unique<Worker>(std::move(request), log_path_, lock_fd_, on_progress_);
  }
  return worker_->run();
}

std::optional<int64_t> EnergyRun::period_ns() const {
  const Track* track = recorder_.preferred();
  return track == nullptr ? std::nullopt : track->period_ns();
}

int64_t EnergyRun::settle_ns() const {
  const int64_t updates = std::min(kSettleUpdates * period_ns().value_or(0), plan_.window_max_ns);
  return std::max(plan_.settle_ns, updates);
}

// A source that does not change for so long updates too rarely for the longest window.
int64_t EnergyRun::still_ns() const {
  const double longest = 2 * static_cast<double>(plan_.window_max_ns);
  return std::max(kStillMinNs, duration_of(longest / static_cast<double>(std::max<int64_t>(1, plan_.min_updates))));
}

void EnergyRun::wait_and_check(const char* phase) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, kCheckPeriod, [this] { return stopped_by_.has_value(); });
  if (stopped_by_) throw *stopped_by_;
  if (timeout_ns_ && monotonic_ns() - began_ns_ > *timeout_ns_) {
    const std::string limit = std::to_string(*timeout_ns_ / 1000000);
    throw Fault("timeout", "the job ran over its limit of " + limit + " ms in phase " + phase, phase);
  }
}

}  // namespace edgeflow
