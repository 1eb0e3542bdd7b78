// The job table: one job at a time, and who may ask for it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/fault.h"
#include "common/json.h"
#include "common/wire.h"
#include "core/ahead.h"
#include "core/folder.h"
#include "core/job.h"
#include "core/log.h"
#include "core/spool.h"
#include "core/tuning.h"

namespace edgeflow {

// Every job of this core. It lives as long as the process: its threads refer to it.
class JobTable {
 public:
  // `persistent` is a daemon's: outcomes are spooled, and outlive the core. Power sources and governors
  // are looked for in `root`.
  JobTable(WorkFolder& folder, std::string build, bool persistent, Log& log, std::string root);
  JobTable(const JobTable&) = delete;
  JobTable& operator=(const JobTable&) = delete;

  // Checks everything that is cheap, takes the device, and starts the worker; gives the job's id. Throws Fault.
  std::string start(Frame request, const std::string& token, const std::string& host);
  // Starts the worker of a job that is about to come, unless a job runs. Throws Fault.
  void prepare(const Json& params);
  // The token's job of that id. Throws Fault no_job.
  std::shared_ptr<Job> find(const Json& job, const std::string& token);
  // The finished job's RESPONSE or ERROR frame, from the spool where it lies there.
  Frame outcome(const Job& job) const;
  // Kills a running job's worker and returns when it is gone; a finished job stays as it is.
  void cancel(Job& job);
  // Deletes a finished job and its spooled result. Throws Fault bad_request while it runs.
  void acknowledge(const Job& job);
  // The token's jobs, oldest first.
  std::vector<Record> records(const std::string& token);
  // This core's running job.
  std::shared_ptr<Job> running();
  // Who holds the device, of this core or of another: {"by", "since"} or null.
  Json busy() const { return device_lock_.holder(); }
  // Throws Fault busy while a job of this core runs.
  void require_idle();
  // Kills a running job, waits until it is gone, and removes what is not to be kept. Nothing is started after it.
  void close();

 private:
  std::unique_ptr<Ahead> start_ahead(const Setting& setting) const;
  void run_in_thread(const Json& params, const std::shared_ptr<Job>& job, const std::shared_ptr<Descriptor>& lock);
  void supervise(const std::shared_ptr<Job>& job, const Json& params, const std::shared_ptr<Descriptor>& lock,
                 std::optional<Started> started);
  // The job's answer, with the device set as its params want it meanwhile. Throws Fault.
  Frame run_tuned(Job& job, const Json& params, std::optional<Started> started);
  // Sets back what a core that was killed left changed, unless somebody's job runs.
  void restore_device();
  void set_back();
  void restore();
  // The path of the site that a job's worker comes from; null for the core's own.
  Json site_of(const Json& checked) const;

  WorkFolder& folder_;
  const std::string build_;
  const bool persistent_;
  Log& log_;
  const std::string root_;
  Spool spool_;
  JobLock device_lock_;
  Tuning tuning_;

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Job>> jobs_;
  std::shared_ptr<Job> running_;
  std::unique_ptr<Ahead> ahead_;
  bool closed_ = false;
};

}  // namespace edgeflow
