#include "core/spool.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>
#include <tuple>

#include "common/fault.h"
#include "common/files.h"
#include "core/sysinfo.h"

namespace edgeflow {
namespace {

constexpr const char* kRecord = "job.json";
constexpr const char* kResult = "result.frame";
constexpr const char* kLog = "worker.log";
constexpr size_t kMaxRecordBytes = 64 << 10;

// Whether the process runs. One that is known to have begun at another time only has its id.
bool alive(int64_t pid, std::optional<int64_t> started_ticks = std::nullopt) {
  const auto id = static_cast<pid_t>(pid);
  if (pid <= 0 || (::kill(id, 0) != 0 && errno != EPERM)) return false;
  const std::optional<int64_t> found = started_ticks ? process_start_ticks(id) : std::nullopt;
  return !found || found == started_ticks;
}

}  // namespace

Json Record::to_json() const {
  return Json::Object{
      {"job", job},     {"kind", kind}, {"state", state},           {"since", since}, {"token", token}, {"host", host},
      {"build", build}, {"pid", pid},   {"persistent", persistent},
      {"started_ticks", started_ticks ? Json(*started_ticks) : Json()}};
}

Record Record::from_json(const Json& fields) {
  const Json& started_ticks = fields["started_ticks"];
  return Record{fields["job"].as_string(),   fields["kind"].as_string(),  fields["state"].as_string(),
                fields["since"].as_string(), fields["token"].as_string(), fields["host"].as_string(),
                fields["build"].as_string(), fields["pid"].as_integer(),  fields["persistent"].as_bool(),
                started_ticks.is_null() ? std::nullopt : std::optional<int64_t>(started_ticks.as_integer())};
}

bool Record::operator<(const Record& other) const {
  return std::tie(since, job) < std::tie(other.since, other.job);
}

std::string Spool::create(const Record& record) const {
  const std::string folder = path_in(path_, record.job);
  try {
    make_folders(path_);
    if (::mkdir(folder.c_str(), 0700) != 0) throw_errno(folder);
    update(record);
    const std::string log_path = path_in(folder, kLog);
    open_file(log_path, O_WRONLY | O_CREAT | O_TRUNC);
    return log_path;
  } catch (const std::system_error& error) {
    remove_tree(folder);
    throw storage_fault(error.code().value(), "cannot make the job folder " + folder);
  }
}

void Spool::update(const Record& record) const {
  write_atomically(path_in(path_in(path_, record.job), kRecord), {record.to_json().text()});
}

void Spool::save(const Record& record, const Frame& outcome) const {
  const std::string head = encode_head(outcome.type, outcome.meta, outcome.body.size());
  write_atomically(path_in(path_in(path_, record.job), kResult), {head, outcome.body});
  update(record);
}

Frame Spool::load(const std::string& job) const {
  const std::string path = path_in(path_in(path_, job), kResult);
  FrameParser parser;
  std::vector<Frame> frames = parser.feed(read_file(path, kHeaderBytes + kMaxMetaBytes + kMaxBodyBytes));
  parser.finish();
  if (frames.size() != 1) throw WireError("the spooled result of job " + job + " is cut");
  return std::move(frames[0]);
}

void Spool::remove(const std::string& job) const { remove_tree(path_in(path_, job)); }

std::vector<Record> Spool::records() const {
  std::vector<Record> found;
  for (const std::string& name : names_in(path_)) {
    try {
      Record record = Record::from_json(Json::parse(read_file(path_in(path_in(path_, name), kRecord), kMaxRecordBytes)));
      // The folder's name counts: paths are made of it.
      record.job = name;
      found.push_back(std::move(record));
    } catch (const std::exception&) {
      continue;  // a log, or a folder that is just being made or removed
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void Spool::sweep() const {
  for (const Record& record : records()) {
    if (!record.persistent && !alive(record.pid, record.started_ticks)) remove(record.job);
  }
  const std::string_view prefix = kAheadPrefix;
  for (const std::string& name : names_in(path_)) {
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    int64_t pid = 0;
    const auto [end, error] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), pid);
    if (error == std::errc() && *end == '-' && !alive(pid)) remove_tree(path_in(path_, name));
  }
}

}  // namespace edgeflow
