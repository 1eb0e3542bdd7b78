// Reads power sources beside a run, from a thread of the core, each reading with its time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "core/power.h"

namespace edgeflow {

// What one source said. One thread polls, any may ask.
class Track {
 public:
  explicit Track(std::unique_ptr<Source> source) : source_(std::move(source)) {}

  // Takes one reading; its time is the middle of the time it took.
  void poll(ClockFn clock_ns);
  // The time between two updates of the source, none until it has changed often enough to tell.
  std::optional<int64_t> period_ns() const;
  // How often the reading has changed since.
  int64_t updates_since(int64_t t_ns) const;
  // It changed at least once.
  bool changes() const;
  // It answers and is not refused.
  bool usable() const;
  // Gives up a source that answered and never changed: it would hold up two more windows and tell nothing.
  void refuse_if_still();

  // The source's entry in a result, without what its series says.
  Json to_json() const;
  // Times and rows, after the last poll.
  const std::vector<int64_t>& t_ns() const { return t_ns_; }
  const std::vector<Row>& rows() const { return rows_; }
  const Source& source() const { return *source_; }

 private:
  std::unique_ptr<Source> source_;
  mutable std::mutex mutex_;
  std::vector<int64_t> t_ns_;
  std::vector<Row> rows_;
  std::vector<int64_t> changes_ns_;
  std::string refused_;  // why it is of no use
  int64_t missed_ = 0;   // readings that failed
  std::string last_error_;
};

// Polls every source each `period_ms` from `start` to `stop`.
class Recorder {
 public:
  Recorder(std::vector<std::unique_ptr<Source>> sources, double period_ms, ClockFn clock_ns = monotonic_ns);
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder();

  // Takes the first readings, so that a source that is refused is known, and goes on.
  void start();
  // Ends it with one last reading, so that the last window is enclosed by readings.
  void stop();

  // The first source that answers and is not refused; null where there is none.
  Track* preferred() const;
  const std::vector<std::unique_ptr<Track>>& tracks() const { return tracks_; }

 private:
  void loop();
  void poll();
  void end_thread();

  std::vector<std::unique_ptr<Track>> tracks_;
  int64_t period_ns_;
  ClockFn clock_ns_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace edgeflow
