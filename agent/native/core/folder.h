// The work folder: where files, jobs, sockets and the job lock lie (agent/PROTOCOL.md).
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "common/descriptor.h"
#include "common/json.h"

namespace edgeflow {

// 64 digits of lower-case hex.
bool is_sha256(const Json& value);

// Paths of one work folder, and its models by content.
class WorkFolder {
 public:
  // Makes the folders it needs, for this user. Throws Fault.
  explicit WorkFolder(const std::string& path);

  // Path of the file with that content. Throws Fault bad_request, no_file, file_corrupt.
  // The content is hashed once for as long as the file stays the same inode with the same times and size. Its time
  // of access becomes now: what was used longest ago is pruned first.
  std::string verified_file(const Json& sha256);
  // Whether a file with that very content is here. Throws Fault bad_request on what is no SHA-256.
  bool has_file(const Json& sha256);

  const std::string path, files, jobs, site, lock_path;

 private:
  using Identity = std::array<int64_t, 6>;
  static Identity identity_of(const struct stat& found);

  std::mutex mutex_;
  std::map<std::string, Identity> verified_;
};

// The lock of the device: whoever holds it may run a job. flock(2), so it ends with its holders.
class JobLock {
 public:
  explicit JobLock(std::string path) : path_(std::move(path)) {}

  // Takes the lock; its descriptor is inherited by the worker. Throws Fault busy, device_full.
  Descriptor acquire(const std::string& by) const;
  // Who runs a job and since when: {"by", "since"}, or null.
  Json holder() const;

 private:
  Json content() const;

  std::string path_;
};

// One line for a `busy` error.
std::string describe_busy(const Json& holder);

}  // namespace edgeflow
