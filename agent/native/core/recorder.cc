#include "core/recorder.h"

#include <algorithm>
#include <chrono>

#include "common/text.h"

namespace edgeflow {
namespace {

constexpr size_t kMinIntervals = 3;

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

}  // namespace

void Track::poll(ClockFn clock_ns) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!refused_.empty()) return;
  }
  const int64_t begin = clock_ns();
  try {
    const Row row = source_->read();
    const int64_t now = begin + (clock_ns() - begin) / 2;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!rows_.empty() && row[0] != rows_.back()[0]) changes_ns_.push_back(now);
    t_ns_.push_back(now);
    rows_.push_back(row);
  } catch (const Refused& refused) {
    const std::lock_guard<std::mutex> lock(mutex_);
    refused_ = refused.what();
  } catch (const Unread& unread) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++missed_;
    last_error_ = unread.what();
  }
}

std::optional<int64_t> Track::period_ns() const {
  // The lower quartile of the times between changes, as equal readings in a row hide updates.
  std::vector<int64_t> intervals;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t at = 1; at < changes_ns_.size(); ++at) intervals.push_back(changes_ns_[at] - changes_ns_[at - 1]);
  }
  if (intervals.size() < kMinIntervals) return std::nullopt;
  std::sort(intervals.begin(), intervals.end());
  return intervals[intervals.size() / 4];
}

int64_t Track::updates_since(int64_t t_ns) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto first = std::lower_bound(changes_ns_.begin(), changes_ns_.end(), t_ns);
  return static_cast<int64_t>(changes_ns_.end() - first);
}

bool Track::changes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !changes_ns_.empty();
}

bool Track::usable() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return refused_.empty() && !rows_.empty();
}

void Track::refuse_if_still() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!refused_.empty() || rows_.empty() || !changes_ns_.empty()) return;
  const double seconds = static_cast<double>(t_ns_.back() - t_ns_.front()) / 1e9;
  refused_ = source_->name + " did not change once in " + formatted("%.3g", seconds) +
             " s: how often it updates is not known";
}

Json Track::to_json() const {
  const std::optional<int64_t> period = period_ns();
  const std::lock_guard<std::mutex> lock(mutex_);
  return Json::Object{{"name", source_->name},
                      {"kind", source_->kind},
                      {"covers", source_->covers},
                      {"quantity", source_->quantity},
                      {"refused", text_or_null(refused_)},
                      {"period_ns", period ? Json(*period) : Json()},
                      {"updates", changes_ns_.size()},
                      {"missed", missed_},
                      {"last_error", text_or_null(last_error_)}};
}

Recorder::Recorder(std::vector<std::unique_ptr<Source>> sources, double period_ms, ClockFn clock_ns)
    : period_ns_(static_cast<int64_t>(period_ms * 1e6)), clock_ns_(clock_ns) {
  for (std::unique_ptr<Source>& source : sources) tracks_.push_back(std::make_unique<Track>(std::move(source)));
}

Recorder::~Recorder() { end_thread(); }

void Recorder::start() {
  poll();
  thread_ = std::thread([this] { loop(); });
}

void Recorder::stop() {
  if (!thread_.joinable()) return;
  end_thread();
  poll();
}

Track* Recorder::preferred() const {
  for (const std::unique_ptr<Track>& track : tracks_) {
    if (track->usable()) return track.get();
  }
  return nullptr;
}

void Recorder::loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::nanoseconds(period_ns_), [this] { return stopped_; })) {
    lock.unlock();
    poll();
    lock.lock();
  }
}

void Recorder::end_thread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Recorder::poll() {
  for (const std::unique_ptr<Track>& track : tracks_) track->poll(clock_ns_);
}

}  // namespace edgeflow
