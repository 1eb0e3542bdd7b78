// What a user's own timing of a runtime looks like: warm up, then time each call. The peer of native_overhead.py.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

// Runs for `warmup_ns`, then `samples` times with a clock around each; prints the durations in ns, one a line.
template <typename Run>
void time_and_print(int64_t warmup_ns, size_t samples, const Run& run) {
  using Clock = std::chrono::steady_clock;
  const auto warm = Clock::now() + std::chrono::nanoseconds(warmup_ns);
  while (Clock::now() < warm) run();
  std::vector<int64_t> durations(samples);
  for (int64_t& duration : durations) {
    const auto begin = Clock::now();
    run();
    duration = std::chrono::nanoseconds(Clock::now() - begin).count();
  }
  for (const int64_t duration : durations) std::printf("%lld\n", static_cast<long long>(duration));
}
