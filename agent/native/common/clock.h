// The one clock of everything that is measured: job, sampler and recorder compare their times.
#pragma once

#include <time.h>

#include <cstdint>

namespace edgeflow {

// Nanoseconds of CLOCK_MONOTONIC.
inline int64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

// What clocks are passed as, so that tests can move one.
using ClockFn = int64_t (*)();

// A sum of times that a peer may have made absurdly large: it stays at the end of the clock's range.
inline int64_t saturating_add(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? INT64_MAX : INT64_MIN;
}

}  // namespace edgeflow
