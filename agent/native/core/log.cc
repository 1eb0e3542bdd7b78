#include "core/log.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "common/text.h"

namespace edgeflow {
namespace {

constexpr size_t kKeptLines = 500;
constexpr size_t kMaxLineBytes = 2000;
constexpr int64_t kDayS = 86400;
constexpr int64_t kEraDays = 146097;  // 400 years

}  // namespace

// Not gmtime: it brings the whole of the C library's time zones into a static program.
std::string rfc3339_now() {
  const int64_t now = ::time(nullptr), second = now % kDayS;
  // Days since 1 March of the year 0: a leap day is the last one of its year then.
  int64_t days = now / kDayS + 719468;
  const int64_t era = days / kEraDays;
  days %= kEraDays;
  const int64_t year_of_era = (days - days / 1460 + days / 36524 - days / 146096) / 365;
  const int64_t day = days - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month = (5 * day + 2) / 153;  // months of 31, 30, 31, 30, 31 days, over and over
  const int64_t year = era * 400 + year_of_era + (month >= 10);
  return formatted("%04d-%02d-%02dT%02d:%02d:%02dZ", static_cast<int>(year), static_cast<int>(month < 10 ? month + 3 : month - 9),
                   static_cast<int>(day - (153 * month + 2) / 5 + 1), static_cast<int>(second / 3600),
                   static_cast<int>(second / 60 % 60), static_cast<int>(second % 60));
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
