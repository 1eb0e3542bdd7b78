// One job: its state, its progress, its outcome, and who waits for it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/fault.h"
#include "common/json.h"
#include "common/wire.h"
#include "core/energy.h"
#include "core/spool.h"
#include "core/supervise.h"

namespace edgeflow {

// An ERROR frame yet without the id of its request.
Frame error_frame(const Fault& fault);

// The newest report of one phase; `seq` grows with every report of the job.
struct Progress {
  int64_t seq;
  Json meta;
};

// Running until `finish`. Every method may be called from any thread.
class Job {
 public:
  explicit Job(Record record, bool spooled = false) : record_(std::move(record)), ended_(spooled), spooled_(spooled) {}

  // What runs it; before it is started.
  void run_by(std::unique_ptr<Worker> worker) { worker_ = std::move(worker); }
  void run_by(std::unique_ptr<EnergyRun> energy) { energy_ = std::move(energy); }
  // Runs it to its end, in the calling thread. Throws Fault.
  Frame run(std::optional<Started> started);
  // Ends a running job with `reason`.
  void stop(const Fault& reason);

  Record record() const;
  bool has_ended() const;
  // Keeps one report of each phase: a host that reads slowly misses numbers, never a phase.
  void on_progress(const Json& meta);
  // Ends the job with its RESPONSE or ERROR frame; none where it is spooled.
  void finish(Record record, std::optional<Frame> outcome);
  // Lets everyone who waits look again.
  void wake();
  // Blocks until there is progress after `seen`, an outcome, or `give_up`; gives the new progress.
  std::vector<Progress> wait_news(int64_t seen, const std::atomic<bool>& give_up);
  // Blocks until the job has its outcome.
  void wait_end();
  // The outcome where it is in memory; none where it is spooled or still to come.
  std::optional<Frame> outcome() const;
  // The result of job.status.
  Json status() const;

 private:
  std::vector<Progress> newer(int64_t seen) const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Record record_;
  std::vector<Progress> progress_;
  bool ended_;
  bool spooled_;
  std::optional<Frame> outcome_;
  std::shared_ptr<Worker> worker_;
  std::shared_ptr<EnergyRun> energy_;
};

}  // namespace edgeflow
