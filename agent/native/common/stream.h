// Frames over file descriptors: a pipe, a socket pair, the daemon's socket.
#pragma once

#include <mutex>
#include <optional>

#include "common/wire.h"

namespace edgeflow {

// One connection. One thread reads; any thread may write, whole frames at a time. Does not own the descriptors.
class Stream {
 public:
  Stream(int read_fd, int write_fd) : read_fd_(read_fd), write_fd_(write_fd) {}

  // The next frame; none at the end of input. Throws WireError (also for an end within a frame),
  // std::system_error when the descriptor fails.
  std::optional<Frame> read_frame();
  // Throws std::system_error when the peer is gone, WireError when the frame breaks a limit.
  void write_frame(const Frame& frame);

 private:
  bool read_exactly(char* target, size_t count, bool may_end);

  int read_fd_;
  int write_fd_;
  std::mutex writing_;
};

}  // namespace edgeflow
