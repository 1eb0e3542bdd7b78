#include "core/ahead.h"

#include <chrono>
#include <system_error>
#include <thread>

namespace edgeflow {
namespace {

// A worker that no job takes for so long is ended: its memory is somebody else's.
constexpr auto kPatience = std::chrono::seconds(10);

}  // namespace

Ahead::Ahead(Setting given, std::string log_path) : setting(std::move(given)) {
  std::thread([shared = shared_, setting = setting, log_path = std::move(log_path)] {
    serve(shared, setting, log_path);
  }).detach();
}

bool Ahead::take(Task task) {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  if (shared_->over) return false;
  shared_->task = std::move(task);
  shared_->over = true;
  shared_->changed.notify_all();
  return true;
}

void Ahead::dismiss() {
  std::unique_lock<std::mutex> lock(shared_->mutex);
  shared_->over = true;
  shared_->changed.notify_all();
  if (!shared_->task) shared_->changed.wait(lock, [this] { return shared_->gone; });
}

void Ahead::serve(const std::shared_ptr<Shared>& shared, const Setting& setting, const std::string& log_path) {
  std::optional<Started> started;
  try {
    started = spawn_ahead(setting, log_path);
  } catch (const std::exception&) {
    // Whoever takes it starts its own, and is told why that fails.
  }
  Task task;
  {
    std::unique_lock<std::mutex> lock(shared->mutex);
    shared->changed.wait_for(lock, kPatience, [&] { return shared->over; });
    shared->over = true;
    task = shared->task;
  }
  if (task) {
    task(std::move(started));
    return;
  }
  if (started) started->end();
  const std::lock_guard<std::mutex> lock(shared->mutex);
  shared->gone = true;
  shared->changed.notify_all();
}

}  // namespace edgeflow
