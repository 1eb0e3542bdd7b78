// Frames over file descriptors: a pipe, a socket pair, the daemon's socket.
#pragma once

#include <mutex>
#include <optional>

#include "common/wire.h"

namespace edgeflow {

// One connection. One thread reads; any thread may write, whole frames at a time. Does not own the descriptors.
class Stream {
 public:
  // A byte on `wake_fd` (none: -1) is the end of input for whoever reads. A peer that is silent, or takes nothing,
  // for `timeout_ms` (never: -1) is an error.
  Stream(int read_fd, int write_fd, int wake_fd = -1, int timeout_ms = -1)
      : read_fd_(read_fd), write_fd_(write_fd), wake_fd_(wake_fd), timeout_ms_(timeout_ms) {}

  // The next frame; none at the end of input. Throws WireError (also for an end within a frame),
  // std::system_error when the descriptor fails.
  std::optional<Frame> read_frame();
  // Throws std::system_error when the peer is gone, WireError when the frame breaks a limit.
  void write_frame(const Frame& frame);

 private:
  bool read_exactly(char* target, size_t count, bool may_end);
  bool await_input();

  int read_fd_;
  int write_fd_;
  int wake_fd_;
  int timeout_ms_;
  std::mutex writing_;
};

}  // namespace edgeflow
