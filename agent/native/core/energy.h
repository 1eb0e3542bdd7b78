// The energy job: power of the idle device, of the device in a loop of inferences, and idle again.
//
// The core samples in all three windows alike, so that its own draw cancels. No worker lives in the idle windows:
// a runtime's threads may spin on after their last inference.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/fault.h"
#include "common/json.h"
#include "common/wire.h"
#include "core/recorder.h"

namespace edgeflow {

class Worker;

// An energy job's plan, as the protocol names its fields.
struct EnergyPlan {
  int64_t window_min_ns = 0;
  int64_t window_max_ns = 0;
  int64_t settle_ns = 0;
  int64_t min_updates = 0;
  double sample_period_ms = 0;

  // Reads and checks a plan. Throws Fault bad_request naming the field.
  static EnergyPlan from_meta(const Json& plan);
};

// One energy job from start to end. `run` blocks; `stop` may come from any thread.
class EnergyRun {
 public:
  // Power sources are looked for under `root`. Throws Fault bad_request.
  EnergyRun(Frame request, std::string log_path, int lock_fd, std::function<void(const Json&)> on_progress,
            const std::string& root = "/");
  ~EnergyRun();

  // Ends the job with `reason`, in whatever window it is.
  void stop(const Fault& reason);
  // Runs the windows and gives the answer; without a source that can be used, at once. Throws Fault.
  Frame run();

 private:
  struct Window {
    int64_t begin_ns, end_ns;
  };

  Frame windows(Json& found);
  Window idle(const char* phase);
  Frame loop();
  std::optional<int64_t> period_ns() const;
  int64_t settle_ns() const;
  int64_t still_ns() const;
  void wait_and_check(const char* phase);

  Frame request_;
  std::string log_path_;
  int lock_fd_;
  std::function<void(const Json&)> on_progress_;
  EnergyPlan plan_;
  Recorder recorder_;
  std::optional<int64_t> timeout_ns_;
  int64_t began_ns_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Fault> stopped_by_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace edgeflow
