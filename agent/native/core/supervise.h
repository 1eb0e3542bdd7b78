// Starts one worker, watches it, and turns whatever becomes of it into one RESPONSE or ERROR frame.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/descriptor.h"
#include "common/fault.h"
#include "common/json.h"
#include "common/stream.h"
#include "common/wire.h"

namespace edgeflow {

class Sampler;

// What a worker must be started with; a job takes a worker of exactly its own setting.
struct Setting {
  std::string backend;
  int64_t threads = 1;
  Json affinity;
  Json site;  // the path of its site, or null for the core's own worker

  // From checked params of a job.
  static Setting of(const Json& params);
  // One word of a worker's command line.
  std::string to_argument() const;
  bool operator==(const Setting& other) const;
};

// A worker process, not reaped yet, and the core's end of its socket.
struct Started {
  pid_t pid = -1;
  Descriptor ours;
  std::string log_path;

  // Hands the device's job lock over, which ends the wait (SCM_RIGHTS, unix(7)). False where it is gone.
  bool give_lock(int lock_fd) const;
  // Kills the process and removes its log.
  void end();
};

// Starts a worker that makes its runtime ready and waits for a job. The calling thread must outlive it.
// Throws std::system_error.
Started spawn_ahead(const Setting& setting, const std::string& log_path);

// One worker process from start to end. `run` blocks; `stop` may come from any thread.
class Worker {
 public:
  Worker(Frame request, std::string log_path, int lock_fd, std::function<void(const Json&)> on_progress);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // Kills the worker's process group; `reason` becomes the job's error unless the answer was faster.
  void stop(const Fault& reason);
  // Runs the job to its end and gives the answer of the worker. Throws Fault for everything else.
  // `started` is a worker that waits for this job, of its setting. The calling thread must outlive the worker: the
  // kernel kills a worker with the thread that forked it (PR_SET_PDEATHSIG, prctl(2)).
  Frame run(std::optional<Started> started = std::nullopt);

 private:
  // What became of one process.
  struct Ended {
    std::optional<Frame> answer;
    Json sampling;
    int code = 0;
    pid_t pid = -1;
  };

  bool begin(std::optional<Started> started);
  Ended follow();
  bool never_worked() const;
  bool adopt(Started& started);
  std::optional<Frame> converse();
  void progress(const Json& meta);
  void watch();
  int finish();
  std::string phase() const;
  Fault crashed(const Ended& ended) const;
  Fault with_log(Fault fault) const;

  Frame request_;
  const Json& params_;
  std::string log_path_;
  int lock_fd_;
  std::function<void(const Json&)> on_progress_;
  Descriptor ours_;
  int64_t began_ns_ = 0;
  std::unique_ptr<Sampler> sampler_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string phase_ = "start";
  std::optional<Fault> stopped_by_;
  bool ended_ = false;
  pid_t pid_ = -1;  // of a process that is not reaped yet
};

// The last lines of a log, oldest first; empty lines left out.
std::vector<std::string> log_tail(const std::string& path);
// This very program's path, found once: a daemon changes its folder.
const std::string& own_path();

}  // namespace edgeflow
