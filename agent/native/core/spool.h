// Job folders, and the results that a daemon keeps in them until the host has them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/wire.h"

namespace edgeflow {

// What is known of a job after its core is gone.
struct Record {
  std::string job;
  std::string kind;
  std::string state;
  std::string since;
  std::string token;
  std::string host;
  std::string build;
  int64_t pid = 0;
  bool persistent = false;  // of a daemon: its result waits for the host
  std::optional<int64_t> started_ticks;  // when `pid` began, after boot: another process may get its id later

  Json to_json() const;
  // Throws JsonError unless every field but started_ticks is there.
  static Record from_json(const Json& fields);
  // Older first.
  bool operator<(const Record& other) const;
};

// A waiting worker's log is WORK/jobs/ahead-<pid of its core>-<random>.log.
inline constexpr const char* kAheadPrefix = "ahead-";

// WORK/jobs: one folder a job.
class Spool {
 public:
  explicit Spool(std::string path) : path_(std::move(path)) {}

  // Makes the job's folder and gives the path of its worker's log. Throws Fault device_full.
  std::string create(const Record& record) const;
  // Spools the outcome, then the record that says it is there. Throws std::system_error, WireError.
  void save(const Record& record, const Frame& outcome) const;
  // The spooled outcome. Throws std::system_error when there is none, WireError when it is damaged.
  Frame load(const std::string& job) const;
  // Deletes the job's folder; it need not exist.
  void remove(const std::string& job) const;
  // Every readable record, oldest first.
  std::vector<Record> records() const;
  // Deletes what one-shot cores left when they were killed.
  void sweep() const;

 private:
  void update(const Record& record) const;

  std::string path_;
};

}  // namespace edgeflow
