#include "core/job.h"

namespace edgeflow {

Frame error_frame(const Fault& fault) {
  return Frame{FrameType::error, Json::Object{{"error", fault.to_meta()}}, {}};
}

Frame Job::run(std::optional<Started> started) {
  const auto worker = worker_;
  const auto energy = energy_;
  return energy ? energy->run() : worker->run(std::move(started));
}

void Job::stop(const Fault& reason) {
  std::shared_ptr<Worker> worker;
  std::shared_ptr<EnergyRun> energy;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    worker = worker_;
    energy = energy_;
  }
  if (worker) worker->stop(reason);
  if (energy) energy->stop(reason);
}

Record Job::record() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return record_;
}

bool Job::has_ended() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return ended_;
}

void Job::on_progress(const Json& meta) {
  Json fields = Json::Object();
  for (const char* name : {"phase", "done", "total", "note"}) fields[name] = meta[name];
  const std::lock_guard<std::mutex> lock(mutex_);
  const int64_t seq = progress_.empty() ? 1 : progress_.back().seq + 1;
  if (!progress_.empty() && progress_.back().meta["phase"] == fields["phase"]) progress_.pop_back();
  progress_.push_back(Progress{seq, std::move(fields)});
  changed_.notify_all();
}

void Job::finish(Record record, std::optional<Frame> outcome) {
  std::shared_ptr<Worker> worker;
  std::shared_ptr<EnergyRun> energy;
  const std::lock_guard<std::mutex> lock(mutex_);
  record_ = std::move(record);
  spooled_ = !outcome;
  outcome_ = std::move(outcome);
  ended_ = true;
  worker.swap(worker_);  // the request and its tensors are of no more use
  energy.swap(energy_);
  changed_.notify_all();
}

void Job::wake() {
  const std::lock_guard<std::mutex> lock(mutex_);
  changed_.notify_all();
}

std::vector<Progress> Job::wait_news(int64_t seen, const std::atomic<bool>& give_up) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return ended_ || give_up || (!progress_.empty() && progress_.back().seq > seen); });
  return newer(seen);
}

void Job::wait_end() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return ended_; });
}

std::optional<Frame> Job::outcome() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return outcome_;
}

Json Job::status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Json told = Json::Object{{"phase", "start"}, {"done", 0}, {"total", 0}};
  if (!progress_.empty()) {
    for (const char* name : {"phase", "done", "total"}) told[name] = progress_.back().meta[name];
  }
  told["state"] = record_.state;
  return told;
}

std::vector<Progress> Job::newer(int64_t seen) const {
  std::vector<Progress> found;
  for (const Progress& progress : progress_) {
    if (progress.seq > seen) found.push_back(progress);
  }
  return found;
}

}  // namespace edgeflow
