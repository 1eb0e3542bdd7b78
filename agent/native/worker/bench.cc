#include "worker/bench.h"

#include <algorithm>

#include "common/fault.h"
#include "common/text.h"
#include "worker/stats.h"

namespace edgeflow {
namespace {

constexpr int64_t kMinSamplesInBudget = 3;  // one sample says nothing of a slow model's spread
constexpr int64_t kFirstBatch = 10;
constexpr int64_t kMaxSamples = 10000000;
constexpr const char* kFields[] = {"warmup_min_runs", "warmup_min_ns", "min_samples", "min_ns",
                                   "max_samples",     "budget_ns",     "ci_target",   "sample_period_ms"};

void require_fields(const Json& plan) {
  if (!plan.is_object()) throw Fault("bad_request", "a bench needs a plan");
  std::vector<std::string> unknown, missing;
  for (const auto& [name, value] : plan.as_object()) {
    if (std::find(std::begin(kFields), std::end(kFields), name) == std::end(kFields)) unknown.push_back(name);
  }
  for (const char* name : kFields) {
    if (!plan.has(name)) missing.emplace_back(name);
  }
  if (!unknown.empty() || !missing.empty()) {
    throw Fault("bad_request", "bench plan: unknown " + listed(unknown) + ", missing " + listed(missing));
  }
}

std::vector<int64_t> warm_up(Backend& backend, const Plan& plan, const ProgressFn& progress, ClockFn clock_ns) {
  std::vector<int64_t> durations;
  if (plan.warmup_min_runs == 0 && plan.warmup_min_ns == 0) return durations;
  progress("warmup", 0, plan.warmup_min_runs, "");
  const int64_t begin = clock_ns();
  while (true) {
    const int64_t start = clock_ns();
    backend.run();
    const int64_t end = clock_ns();
    durations.push_back(end - start);
    const int64_t elapsed = end - begin;
    if (static_cast<int64_t>(durations.size()) >= plan.warmup_min_runs && elapsed >= plan.warmup_min_ns) break;
    if (elapsed >= plan.budget_ns) break;
  }
  return durations;
}

// Runs and times from index `done` up to `target`, or to the deadline once `floor` are there.
// Nothing but the call lies between the two readings of the clock; the memory is there already.
int64_t timed_loop(Backend& backend, ClockFn clock_ns, int64_t* samples, int64_t* starts, int64_t done,
                   int64_t target, int64_t deadline, int64_t floor) {
  while (done < target) {
    const int64_t start = clock_ns();
    backend.run();
    const int64_t end = clock_ns();
    starts[done] = start;
    samples[done] = end - start;
    ++done;
    if (end >= deadline && done >= floor) break;
  }
  return done;
}

}  // namespace

int64_t plan_count(const Json& plan, const char* kind, const char* name) {
  const Json& value = plan[name];
  if (value.is_count()) return value.as_integer();
  throw Fault("bad_request", std::string(kind) + " plan: " + name + "=" + value.excerpt(40) + " is not a count");
}

double plan_period_ms(const Json& plan, const char* kind) {
  const Json& value = plan["sample_period_ms"];
  if (value.is_number() && !value.is_big_integer()) {
    const double period = value.as_double();
    if (period >= 1 && period <= 3600000) return period;
  }
  throw Fault("bad_request", std::string(kind) + " plan: sample_period_ms=" + value.excerpt(40));
}

Plan Plan::from_meta(const Json& plan) {
  require_fields(plan);
  Plan found;
  found.warmup_min_runs = plan_count(plan, "bench", "warmup_min_runs");
  found.warmup_min_ns = plan_count(plan, "bench", "warmup_min_ns");
  found.min_samples = plan_count(plan, "bench", "min_samples");
  found.min_ns = plan_count(plan, "bench", "min_ns");
  found.max_samples = plan_count(plan, "bench", "max_samples");
  found.budget_ns = plan_count(plan, "bench", "budget_ns");
  const Json& target = plan["ci_target"];
  if (target.is_number() && !target.is_big_integer()) found.ci_target = target.as_double();
  if (!target.is_null() && !(found.ci_target && *found.ci_target > 0 && *found.ci_target < 1)) {
    throw Fault("bad_request", "bench plan: ci_target=" + target.excerpt(40) + " is not between 0 and 1");
  }
  found.sample_period_ms = plan_period_ms(plan, "bench");
  if (found.min_samples < 1 || found.min_samples > found.max_samples || found.max_samples > kMaxSamples) {
    throw Fault("bad_request", "bench plan: needs 1 <= min_samples <= max_samples <= 10 million");
  }
  return found;
}

BenchResult bench(Backend& backend, const Plan& plan, const ProgressFn& progress, ClockFn clock_ns) {
  BenchResult result;
  result.warmup_ns = warm_up(backend, plan, progress, clock_ns);
  std::vector<int64_t>&samples = result.samples_ns, &starts = result.starts_ns;
  const int64_t floor = std::min(kMinSamplesInBudget, plan.max_samples);
  int64_t done = 0;
  progress("run", 0, plan.max_samples, "");
  const int64_t begin = clock_ns();
  const int64_t deadline = saturating_add(begin, plan.budget_ns);
  while (result.stop[0] == '\0') {
    const int64_t target = std::min(plan.max_samples, std::max({plan.min_samples, kFirstBatch, done + done / 2}));
    // Grown between batches: what the timed process holds follows what was measured, not what might be.
    for (std::vector<int64_t>* series : {&samples, &starts}) series->resize(static_cast<size_t>(target));
    done = timed_loop(backend, clock_ns, samples.data(), starts.data(), done, target, deadline, floor);
    const int64_t now = clock_ns();
    const std::optional<double> width = relative_half_width({samples.data(), samples.data() + done});
    const bool enough = done >= plan.min_samples && now - begin >= plan.min_ns;
    if (plan.ci_target && enough && width && *width <= *plan.ci_target) result.stop = "ci";
    else if (done >= plan.max_samples) result.stop = "max_samples";
    else if (done >= floor && now >= deadline) result.stop = "budget";
    else progress("run", done, plan.max_samples, width ? "CI ±" + formatted("%.1f", 100 * *width) + " %" : "");
  }
  for (std::vector<int64_t>* series : {&samples, &starts}) series->resize(static_cast<size_t>(done));
  return result;
}

Loop repeat(Backend& backend, int64_t duration_ns, ClockFn clock_ns) {
  Loop loop;
  loop.begin_ns = loop.end_ns = clock_ns();
  while (loop.runs == 0 || loop.end_ns - loop.begin_ns < duration_ns) {
    backend.run();
    ++loop.runs;
    loop.end_ns = clock_ns();
  }
  return loop;
}

Json clock_facts() {
  timespec resolution{};
  ::clock_getres(CLOCK_MONOTONIC, &resolution);
  const double seconds = static_cast<double>(resolution.tv_sec) + static_cast<double>(resolution.tv_nsec) / 1e9;
  return Json::Object{
      {"name", "monotonic"}, {"implementation", "clock_gettime(CLOCK_MONOTONIC)"}, {"resolution_s", seconds}};
}

}  // namespace edgeflow
