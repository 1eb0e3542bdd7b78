#include "core/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>

#include "common/fault.h"
#include "common/files.h"
#include "common/sha256.h"
#include "core/log.h"

namespace edgeflow {
namespace {

constexpr int kLockRetries = 10;
constexpr auto kLockRetry = std::chrono::milliseconds(20);
constexpr size_t kMaxLockBytes = 4096;

std::string hash_of(int fd, const std::string& path) {
  Sha256 digest;
  std::string chunk(size_t{1} << 18, '\0');
  while (true) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got == 0) return digest.hex_digest();
    if (got > 0) digest.update(std::string_view(chunk).substr(0, static_cast<size_t>(got)));
    else if (errno != EINTR) throw_errno(path);
  }
}

int64_t ns_of(const timespec& time) { return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec; }

}  // namespace

bool is_sha256(const Json& value) {
  return value.is_string() && value.as_string().size() == 64 &&
         value.as_string().find_first_not_of("0123456789abcdef") == std::string::npos;
}

WorkFolder::WorkFolder(const std::string& given)
    : path(absolute_path(given)), files(path_in(path, "files")), jobs(path_in(path, "jobs")),
      site(path_in(path, "site")), lock_path(path_in(path, "lock")) {
  for (const std::string& folder : {files, jobs}) {
    try {
      make_folders(folder);
    } catch (const std::system_error& error) {
      throw storage_fault(error.code().value(), "cannot make the folder " + folder);
    }
  }
}

WorkFolder::Identity WorkFolder::identity_of(const struct stat& found) {
  return {static_cast<int64_t>(found.st_dev), static_cast<int64_t>(found.st_ino), static_cast<int64_t>(found.st_size),
          ns_of(found.st_mtim), ns_of(found.st_ctim), static_cast<int64_t>(found.st_mode)};
}

std::string WorkFolder::verified_file(const Json& sha256) {
  if (!is_sha256(sha256)) throw Fault("bad_request", "not a SHA-256 in lower-case hex: " + sha256.excerpt());
  const std::string& name = sha256.as_string();
  const std::string file_path = path_in(files, name);
  const Descriptor file(::open(file_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat found {};
  if (!file && errno == ENOENT) throw Fault("no_file", "no file " + name + " in " + files + ": push it");
  if (!file || ::fstat(file.get(), &found) != 0) {
    throw Fault("no_file", "cannot read " + file_path + ": " + std::strerror(errno));
  }
  if (!S_ISREG(found.st_mode)) throw Fault("no_file", "no file " + name + " in " + files + ": push it");
  bool known = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto entry = verified_.find(name);
    known = entry != verified_.end() && entry->second == identity_of(found);
  }
  if (!known) {
    std::string actual;
    try {
      actual = hash_of(file.get(), file_path);
    } catch (const std::system_error& error) {
      throw Fault("no_file", "cannot read " + file_path + ": " + std::strerror(error.code().value()));
    }
    if (actual != name) {
      throw Fault("file_corrupt", file_path + " holds other content (" + actual.substr(0, 12) + "..., " +
                                      std::to_string(found.st_size) + " bytes): push it again");
    }
  }
  mark_used(file.get());
  if (::fstat(file.get(), &found) == 0) {
    const std::lock_guard<std::mutex> lock(mutex_);
    verified_[name] = identity_of(found);
  }
  return file_path;
}

bool WorkFolder::has_file(const Json& sha256) {
  try {
    verified_file(sha256);
    return true;
  } catch (const Fault& fault) {
    if (fault.code == "bad_request") throw;
    return false;
  }
}

Descriptor JobLock::acquire(const std::string& by) const {
  Descriptor file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) throw storage_fault(errno, "cannot open " + path_);
  // Someone who only looks holds a shared lock for an instant: that must not look like a running job.
  for (int attempt = 1; ::flock(file.get(), LOCK_EX | LOCK_NB) != 0; ++attempt) {
    if (attempt == kLockRetries) {
      const Json holder = content();
      throw Fault("busy", describe_busy(holder), "", holder);
    }
    std::this_thread::sleep_for(kLockRetry);
  }
  const Json told = Json::Object{{"by", by}, {"since", rfc3339_now()}, {"pid", ::getpid()}};
  try {
    if (::ftruncate(file.get(), 0) != 0) throw_errno(path_);
    write_all(file.get(), told.text(), path_);
  } catch (const std::system_error& error) {
    throw storage_fault(error.code().value(), "cannot write " + path_);
  }
  return file;
}

Json JobLock::holder() const {
  const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || ::flock(file.get(), LOCK_SH | LOCK_NB) == 0) return nullptr;
  return content();
}

Json JobLock::content() const {
  try {
    const Json told = Json::parse(read_file(path_, kMaxLockBytes));
    return Json::Object{{"by", told["by"].as_string()}, {"since", told["since"].as_string()}};
  } catch (const std::exception&) {
    return Json::Object{{"by", "an unknown host"}, {"since", ""}};
  }
}

std::string describe_busy(const Json& holder) {
  const std::string& since = holder["since"].as_string();
  return "the device is busy: " + holder["by"].as_string() + " since " + (since.empty() ? "an unknown time" : since);
}

}  // namespace edgeflow
