#include "core/log.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "common/text.h"

namespace edgeflow {
namespace {

constexpr size_t kKeptLines = 500;
constexpr size_t kMaxLineBytes = 2000;

}  // namespace

std::string rfc3339_now() {
  const time_t now = ::time(nullptr);
  tm utc{};
  ::gmtime_r(&now, &utc);
  return formatted("%04d-%02d-%02dT%02d:%02d:%02dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                   utc.tm_min, utc.tm_sec);
}

void Log::line(const std::string& text) {
  std::string stamped = rfc3339_now() + " " + clipped(valid_utf8(text), kMaxLineBytes);
  const std::lock_guard<std::mutex> lock(mutex_);
  lines_.push_back(stamped);
  if (lines_.size() > kKeptLines) lines_.pop_front();
  stamped.push_back('\n');
  // Whoever read stderr may be gone, or the disk full: the kept lines remain.
  if (::write(2, stamped.data(), stamped.size()) < 0) return;
}

std::vector<std::string> Log::tail(size_t count) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {lines_.end() - static_cast<std::ptrdiff_t>(std::min(count, lines_.size())), lines_.end()};
}

}  // namespace edgeflow
