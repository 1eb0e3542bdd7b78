// The timed loop. It times; backends never do. Everything that it does but the clock's reading is passed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "worker/backend.h"

namespace edgeflow {

// A bench job's plan, as the protocol names its fields.
struct Plan {
  int64_t warmup_min_runs = 0;
  int64_t warmup_min_ns = 0;
  int64_t min_samples = 0;
  int64_t min_ns = 0;
  int64_t max_samples = 0;
  int64_t budget_ns = 0;
  std::optional<double> ci_target;
  double sample_period_ms = 0;

  // Reads and checks a plan. Throws Fault bad_request naming the field.
  static Plan from_meta(const Json& plan);
};

// The value of a field that must be a whole number of zero or more. Throws Fault bad_request: "KIND plan: ...".
int64_t plan_count(const Json& plan, const char* kind, const char* name);
// The plan's sample_period_ms, from a millisecond to an hour. Throws Fault bad_request.
double plan_period_ms(const Json& plan, const char* kind);

// Durations of every run in ns; `starts_ns` is on the monotonic clock, one for each sample.
struct BenchResult {
  std::vector<int64_t> warmup_ns;
  std::vector<int64_t> samples_ns;
  std::vector<int64_t> starts_ns;
  const char* stop = "";  // ci, budget, max_samples
};

// Inferences one after another, without a clock around each; times on the monotonic clock.
struct Loop {
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
  int64_t runs = 0;
};

// Called with phase, done, total and a note, between batches only: never inside the timed loop.
using ProgressFn = std::function<void(const char* phase, int64_t done, int64_t total, const std::string& note)>;

// Warms up, then samples until the median is known well enough, or the budget or max_samples ends it.
//
// Warm-up ends when both its minima are reached, or at `budget_ns` after at least one run. Samples come in
// growing batches; between two, once both minima of sampling are reached, the 95 % interval of the median is
// compared with `ci_target`. A model slower than the whole budget is still run three times.
BenchResult bench(Backend& backend, const Plan& plan, const ProgressFn& progress, ClockFn clock_ns = monotonic_ns);

// Runs for `duration_ns`, and at least once: what a power meter is to see.
Loop repeat(Backend& backend, int64_t duration_ns, ClockFn clock_ns = monotonic_ns);

// The clock of every `_ns` here, as the protocol's `clock`.
Json clock_facts();

}  // namespace edgeflow
