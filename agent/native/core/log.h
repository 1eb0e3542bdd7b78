// The core's log: lines to stderr (a daemon's agent.log), the newest kept for `logs`.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace edgeflow {

// The time of now in UTC, as the protocol writes times.
std::string rfc3339_now();

class Log {
 public:
  // Appends one line with the time of now. Many threads may.
  void line(const std::string& text);
  // The newest `count` lines, oldest first.
  std::vector<std::string> tail(size_t count) const;

 private:
  mutable std::mutex mutex_;
  std::deque<std::string> lines_;
};

}  // namespace edgeflow
