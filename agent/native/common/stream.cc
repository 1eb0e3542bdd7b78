#include "common/stream.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace edgeflow {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

void wait_for(int fd, short events, int timeout_ms) {
  pollfd waiting{fd, events, 0};
  const int ready = ::poll(&waiting, 1, timeout_ms);
  if (ready == 0) errno = ETIMEDOUT;
  if (ready == 0 || (ready < 0 && errno != EINTR)) fail("the peer");
}

}  // namespace

std::optional<Frame> Stream::read_frame() {
  std::string head(kHeaderBytes, '\0');
  if (!read_exactly(head.data(), 4, true)) return std::nullopt;
  if (head.compare(0, 4, "EDGF") != 0) parse_header(head);  // throws, before a stranger's silence is waited for
  read_exactly(head.data() + 4, kHeaderBytes - 4, false);
  const Header header = parse_header(head);
  std::string meta(header.meta_bytes, '\0');
  read_exactly(meta.data(), meta.size(), false);
  Frame frame{header.type, parse_meta(meta), {}};
  // Grown as bytes come: a header alone must not make this process take 256 MiB.
  while (frame.body.size() < header.body_bytes) {
    const size_t had = frame.body.size();
    frame.body.resize(had + std::min(kChunkBytes, header.body_bytes - had));
    read_exactly(frame.body.data() + had, frame.body.size() - had, false);
  }
  return frame;
}

void Stream::write_frame(const Frame& frame) {
  const std::string head = encode_head(frame.type, frame.meta, frame.body.size());
  iovec parts[2] = {{const_cast<char*>(head.data()), head.size()}, {const_cast<char*>(frame.body.data()), frame.body.size()}};
  const std::lock_guard<std::mutex> lock(writing_);
  for (size_t first = 0; first < 2;) {
    if (parts[first].iov_len == 0) {
      ++first;
      continue;
    }
    const ssize_t written = ::writev(write_fd_, parts + first, static_cast<int>(2 - first));
    if (written < 0) {
      if (errno == EAGAIN) wait_for(write_fd_, POLLOUT, timeout_ms_);
      else if (errno != EINTR) fail("write");
      continue;
    }
    size_t left = static_cast<size_t>(written);
    for (size_t i = first; i < 2 && left > 0; ++i) {
      const size_t taken = std::min(left, parts[i].iov_len);
      parts[i].iov_base = static_cast<char*>(parts[i].iov_base) + taken;
      parts[i].iov_len -= taken;
      left -= taken;
    }
  }
}

// False at the end of input before the first byte, where that is allowed.
bool Stream::read_exactly(char* target, size_t count, bool may_end) {
  size_t got = 0;
  while (got < count) {
    const ssize_t found = await_input() ? ::read(read_fd_, target + got, count - got) : 0;
    if (found > 0) {
      got += static_cast<size_t>(found);
    } else if (found == 0) {
      if (got == 0 && may_end) return false;
      throw WireError("the stream ends within a frame");
    } else if (errno == EAGAIN) {
      wait_for(read_fd_, POLLIN, timeout_ms_);
    } else if (errno != EINTR) {
      fail("read");
    }
  }
  return true;
}

// False where the stream was woken to end.
bool Stream::await_input() {
  if (wake_fd_ < 0 && timeout_ms_ < 0) return true;
  pollfd waiting[2] = {{read_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
  int ready = 0;
  do {
    ready = ::poll(waiting, 2, timeout_ms_);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) errno = ETIMEDOUT;
  if (ready <= 0) fail("the peer");
  return waiting[1].revents == 0;
}

}  // namespace edgeflow
