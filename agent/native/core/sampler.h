// Watches the device beside a benchmark, from the core: never in the process that is timed.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "core/sysinfo.h"

namespace edgeflow {

// Samples load, temperature and frequency every `period_ms` from `start` to `stop`.
//
// `load` and `worker_load` are shares of the whole machine's CPU time (0 to 1) since the sample before; their
// difference is what others used. As many samples are kept as surely fit a frame: after that every second one is
// dropped and the period doubled, as often as it takes, so that a long run is covered from end to end.
class Sampler {
 public:
  Sampler(pid_t worker, double period_ms, const std::string& root = "/", ClockFn clock_ns = monotonic_ns);
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;
  ~Sampler();

  // Takes the baseline and begins to sample.
  void start();
  // Ends sampling with one last sample and gives the `sampling` object of the protocol.
  Json stop();
  // Takes one sample now; null stands where the system did not answer this time.
  void sample();

 private:
  // Ticks since boot; kNone where they were not told.
  struct Ticks {
    int64_t busy, total, worker;
  };
  struct Column {
    Sensor sensor;
    std::vector<int64_t> values;  // thousandths; kNone where it gave nothing
  };

  void loop();
  Ticks ticks();
  bool read_into(std::vector<Column>& columns);
  void drop_every_second();
  void end_thread();

  ClockFn clock_ns_;
  PolledFile machine_;
  PolledFile worker_;
  std::vector<Column> zones_;
  std::vector<Column> sensors_;
  std::vector<Column> frequencies_;
  size_t max_samples_;
  Ticks baseline_{};
  std::vector<int64_t> t_ns_;
  std::vector<Ticks> ticks_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  int64_t period_ns_;
  std::thread thread_;
};

}  // namespace edgeflow
