// A worker started ahead: its runtime is ready when the next job of the same kind comes.
//
// A deploy runs several jobs one after another, each in a fresh process. Starting the next process and making its
// runtime ready while the job before it runs takes that time off every job but the first. It waits without using
// the CPU, and is never there beside a bench: the last job before a bench starts the bench's own.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/supervise.h"

namespace edgeflow {

// One worker started ahead, in a thread that then supervises the job that takes it: the same thread, because the
// kernel kills a worker with the thread that forked it (prctl(2)).
class Ahead {
 public:
  // A job's supervision; gets the worker that waits for it, or none to start its own.
  using Task = std::function<void(std::optional<Started>)>;

  Ahead(Setting setting, std::string log_path);

  // Runs `task` in this worker's thread; false when the worker is not to be had any more.
  bool take(Task task);
  // Ends a worker that nobody took; returns when it is gone.
  void dismiss();
  const Setting setting;

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    Task task;
    bool over = false;
    bool gone = false;
  };
  static void serve(const std::shared_ptr<Shared>& shared, const Setting& setting, const std::string& log_path);

  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace edgeflow
