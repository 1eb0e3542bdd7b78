#include "core/jobs.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <thread>

#include "common/files.h"
#include "core/params.h"
#include "core/sites.h"
#include "core/sysinfo.h"

namespace edgeflow {
namespace {

// A deploy's next job comes at once after these; beside a bench nothing is started.
bool is_followed(const Json& kind) { return kind == Json("infer") || kind == Json("memory"); }

Fault busy_fault(const Record& record) {
  const Json holder = Json::Object{{"by", record.host}, {"since", record.since}};
  return Fault("busy", describe_busy(holder), "", holder);
}

}  // namespace

JobTable::JobTable(WorkFolder& folder, std::string build, bool persistent, Log& log, std::string root)
    : folder_(folder), build_(std::move(build)), persistent_(persistent), log_(log), root_(std::move(root)),
      spool_(folder.jobs), device_lock_(folder.lock_path), tuning_(folder.path, root_) {
  spool_.sweep();
  restore_device();
  if (persistent) restore();
}

std::string JobTable::start(Frame request, const std::string& token, const std::string& host) {
  Json checked = checked_start(std::as_const(request.meta)["params"]);
  const std::string kind = checked["kind"].as_string(), backend = checked["backend"].as_string();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) throw Fault("busy", "the agent is ending");
  const auto device = std::make_shared<Descriptor>(device_lock_.acquire(host));
  set_back();
  for (auto& [role, sha256] : checked["files"].as_object()) sha256 = folder_.verified_file(sha256);
  checked["site"] = site_of(checked);
  const Record record{random_hex(6), kind, "running", rfc3339_now(), token, host, build_, ::getpid(), persistent_,
                      process_start_ticks(::getpid())};
  const std::string log_path = spool_.create(record);
  const auto job = std::make_shared<Job>(record);
  const auto on_progress = [job = job.get()](const Json& meta) { job->on_progress(meta); };
  request.meta = Json::Object{
      {"id", 1}, {"method", "job"}, {"params", checked}, {"tensors", std::as_const(request.meta)["tensors"]}};
  if (kind == "energy") {
    job->run_by(std::make_unique<EnergyRun>(std::move(request), log_path, device->get(), on_progress, root_));
  } else {
    job->run_by(std::make_unique<Worker>(std::move(request), log_path, device->get(), on_progress));
  }
  jobs_[record.job] = job;
  running_ = job;
  run_in_thread(checked, job, device);
  log_.line("job " + record.job + ": " + kind + " on " + backend + " for " + host);
  return record.job;
}

void JobTable::prepare(const Json& params) {
  Json checked = checked_prepare(params);
  checked["site"] = site_of(checked);
  std::unique_ptr<Ahead> old;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_ || running_) return;
    old = std::move(ahead_);
    ahead_ = start_ahead(Setting::of(checked));
  }
  if (old) old->dismiss();
}

std::unique_ptr<Ahead> JobTable::start_ahead(const Setting& setting) const {
  const std::string name = kAheadPrefix + std::to_string(::getpid()) + "-" + random_hex(4) + ".log";
  return std::make_unique<Ahead>(setting, path_in(folder_.jobs, name));
}

// Gives the job to the worker started ahead if it is of the job's setting, else to a new one. A job that others
// usually follow has the next worker started. The caller holds the lock.
void JobTable::run_in_thread(const Json& params, const std::shared_ptr<Job>& job, const std::shared_ptr<Descriptor>& lock) {
  const std::unique_ptr<Ahead> ahead = std::move(ahead_);
  const Setting setting = Setting::of(params);
  const bool suits = ahead && params["kind"] != Json("energy") && ahead->setting == setting;
  const auto task = [this, job, params, lock](std::optional<Started> started) {
    supervise(job, params, lock, std::move(started));
  };
  if (!suits || !ahead->take(task)) {
    if (ahead) ahead->dismiss();
    std::thread(task, std::nullopt).detach();
  }
  if (is_followed(params["kind"])) ahead_ = start_ahead(setting);
}

std::shared_ptr<Job> JobTable::find(const Json& job, const std::string& token) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = job.is_string() ? jobs_.find(job.as_string()) : jobs_.end();
  if (found == jobs_.end() || found->second->record().token != token) {
    throw Fault("no_job", "no job " + job.excerpt(40) + " of this client");
  }
  return found->second;
}

Frame JobTable::outcome(const Job& job) const {
  if (std::optional<Frame> kept = job.outcome()) return std::move(*kept);
  try {
    return spool_.load(job.record().job);
  } catch (const std::exception& error) {
    return error_frame(Fault("internal", std::string("the spooled result cannot be read: ") + error.what()));
  }
}

void JobTable::cancel(Job& job) {
  if (job.has_ended()) return;
  job.stop(Fault("cancelled", "the job was cancelled"));
  job.wait_end();
}

void JobTable::acknowledge(const Job& job) {
  const std::string id = job.record().job;
  if (!job.has_ended()) throw Fault("bad_request", "job " + id + " still runs: cancel it or wait for it");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.erase(id);
  }
  spool_.remove(id);
}

std::vector<Record> JobTable::records(const std::string& token) {
  std::vector<Record> found;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [id, job] : jobs_) {
    Record record = job->record();
    if (record.token == token) found.push_back(std::move(record));
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::shared_ptr<Job> JobTable::running() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return running_;
}

void JobTable::require_idle() {
  if (const auto job = running()) throw busy_fault(job->record());
}

void JobTable::close() {
  std::shared_ptr<Job> running;
  std::unique_ptr<Ahead> ahead;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    running = running_;
    ahead = std::move(ahead_);
  }
  if (ahead) ahead->dismiss();
  if (running) {
    running->stop(Fault("cancelled", "the agent ended while the job ran"));
    running->wait_end();
  }
  if (persistent_) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [id, job] : jobs_) spool_.remove(id);
}

void JobTable::supervise(const std::shared_ptr<Job>& job, const Json& params, const std::shared_ptr<Descriptor>& lock,
                         std::optional<Started> started) {
  Record record = job->record();
  std::optional<Frame> outcome;
  try {
    outcome = run_tuned(*job, params, std::move(started));
    outcome->type = FrameType::response;
    record.state = "done";
  } catch (const Fault& fault) {
    outcome = error_frame(fault);
    record.state = fault.code == "cancelled" ? "cancelled" : "failed";
  } catch (const std::exception& error) {
    outcome = error_frame(Fault("internal", error.what()));
    record.state = "failed";
  }
  lock->reset();
  if (persistent_) {
    try {
      spool_.save(record, *outcome);
      outcome.reset();
    } catch (const std::exception& error) {
      // Better in memory than lost; should the daemon die now, the job is reported as failed.
      log_.line("job " + record.job + ": cannot spool its result: " + error.what());
    }
  }
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    running_.reset();
  }
  log_.line("job " + record.job + ": " + record.state);
  job->finish(record, std::move(outcome));
}

Frame JobTable::run_tuned(Job& job, const Json& params, std::optional<Started> started) {
  const Json& wanted = params["governor"];
  if (wanted.is_null()) {
    Frame answer = job.run(std::move(started));
    answer.meta["result"]["governor"] = nullptr;
    return answer;
  }
  struct SetBack {
    JobTable& table;
    ~SetBack() { table.set_back(); }
  } set_back_at_the_end{*this};
  std::optional<std::vector<int>> cpus;
  if (params["affinity"].is_array()) {
    cpus.emplace();
    for (const Json& cpu : params["affinity"].as_array()) cpus->push_back(static_cast<int>(cpu.as_integer()));
  }
  tuning_.set_governor(wanted.as_string(), cpus);
  Frame answer = job.run(std::move(started));
  answer.meta["result"]["governor"] = wanted;
  return answer;
}

void JobTable::restore_device() {
  if (!tuning_.is_changed()) return;
  try {
    const Descriptor device = device_lock_.acquire("edgeflow");
    set_back();
  } catch (const Fault&) {
    // Whoever holds the device has set it back already.
  }
}

void JobTable::set_back() {
  for (const std::string& line : tuning_.restore()) log_.line(line);
}

// Takes over the spooled jobs of this build's last daemon; what it left running has failed.
void JobTable::restore() {
  for (Record& record : spool_.records()) {
    if (!record.persistent || record.build != build_) continue;
    if (record.state == "running") {
      record.state = "failed";
      try {
        spool_.save(record, error_frame(Fault("internal", "the agent died while job " + record.job + " ran: start it again")));
      } catch (const std::system_error& error) {
        throw storage_fault(error.code().value(), "cannot keep the state of job " + record.job);
      }
    }
    jobs_[record.job] = std::make_shared<Job>(record, true);
  }
}

Json JobTable::site_of(const Json& checked) const {
  const std::string& backend = checked["backend"].as_string();
  if (backend == "null" && checked["site"].is_null()) return nullptr;
  return find_site(folder_, backend, checked["site"]);
}

}  // namespace edgeflow
