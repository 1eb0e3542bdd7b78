#include "core/prune.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "common/files.h"
#include "core/daemon.h"
#include "core/sites.h"
#include "core/spool.h"

namespace edgeflow {
namespace {

// What was pushed or used within the last hour stays: another host may be about to run it.
constexpr int64_t kGraceNs = int64_t{3600} * 1000000000;

// Something that may go as a whole.
struct Item {
  int64_t used_ns;  // its last use, since the epoch
  int rank;         // of two that were used together, the lower goes first: a site before its files
  int64_t bytes;
  std::string path;

  bool operator<(const Item& other) const {
    return std::tie(used_ns, rank, bytes, path) < std::tie(other.used_ns, other.rank, other.bytes, other.path);
  }
};

int64_t ns_of(const timespec& time) { return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec; }

int64_t last_use(const struct stat& found) { return std::max(ns_of(found.st_atim), ns_of(found.st_mtim)); }

// Bytes of a file, or of all files in a folder; links count as themselves.
int64_t tree_bytes(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return 0;
  if (!S_ISDIR(found.st_mode)) return found.st_size;
  int64_t bytes = 0;
  for (const std::string& name : names_in(path)) bytes += tree_bytes(path_in(path, name));
  return bytes;
}

// The item, whose last use is told by its first `marker` file that is there, else by itself; none when it is gone.
std::optional<Item> item_of(const std::string& path, int rank, const std::vector<const char*>& markers = {}) {
  struct stat found {};
  bool told = false;
  for (const char* marker : markers) told = told || ::stat(path_in(path, marker).c_str(), &found) == 0;
  if (!told && ::lstat(path.c_str(), &found) != 0) return std::nullopt;
  return Item{last_use(found), rank, tree_bytes(path), path};
}

// The last name of what a link leads to; "" for what is no link.
std::string link_target(const std::string& path) {
  char target[4096];
  const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
  const std::string whole(target, length > 0 ? static_cast<size_t>(length) : 0);
  return whole.substr(whole.rfind('/') + 1);
}

class Items {
 public:
  Items(const WorkFolder& work, const std::string& own_build) {
    add_sites(work);
    for (const std::string& name : names_in(work.files)) {
      std::optional<Item> item = item_of(path_in(work.files, name), 1);
      if (!item) continue;
      // A file that a site links to is used whenever the site is.
      const auto linked = linked_ns_.find(name);
      if (linked != linked_ns_.end()) item->used_ns = std::max(item->used_ns, linked->second);
      found_.push_back(std::move(*item));
    }
    add_agents(work, own_build);
    for (const Record& record : Spool(work.jobs).records()) {
      if (record.state != "running") add(item_of(path_in(work.jobs, record.job), 0));
    }
  }

  std::vector<Item> sorted() {
    std::sort(found_.begin(), found_.end());
    return std::move(found_);
  }

 private:
  void add(std::optional<Item> item) {
    if (item) found_.push_back(std::move(*item));
  }

  void add_sites(const WorkFolder& work) {
    for (const std::string& name : names_in(work.site)) {
      if (name == kSiteLock) continue;
      std::optional<Item> item = item_of(path_in(work.site, name), 0, {kManifest});
      if (!item) continue;
      for (const std::string& link : names_in(item->path)) {
        int64_t& used_ns = linked_ns_[link_target(path_in(item->path, link))];
        used_ns = std::max(used_ns, item->used_ns);
      }
      found_.push_back(std::move(*item));
    }
  }

  void add_agents(const WorkFolder& work, const std::string& own_build) {
    const std::string agents = path_in(work.path, "agents");
    for (const std::string& build : names_in(agents)) {
      const std::string run = path_in(path_in(work.path, "run"), build);
      if (build == own_build || daemon_runs(run)) continue;
      add(item_of(path_in(agents, build), 0, {"edgeflow-agent", "agent.pyz"}));
      if (is_folder(run)) add(item_of(run, 0));
    }
  }

  std::vector<Item> found_;
  std::map<std::string, int64_t> linked_ns_;  // name in WORK/files -> last use of a site that links to it
};

void remove_item(const std::string& path) {
  if (!is_folder(path)) {
    remove_tree(path);
    return;
  }
  // Renamed first: half a folder must never look like a whole one.
  const std::string name = path.substr(path.rfind('/') + 1);
  const size_t letters = std::min(name.find_first_not_of('.'), name.size());
  const std::string grave = path_in(parent_of(path), ".removed-" + name.substr(letters));
  if (::rename(path.c_str(), grave.c_str()) == 0) remove_tree(grave);
}

}  // namespace

Json prune(const WorkFolder& work, const std::string& own_build, int64_t max_bytes) {
  const Json holder = JobLock(work.lock_path).holder();
  int64_t kept_bytes = tree_bytes(work.path), freed_bytes = 0;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const int64_t horizon = ns_of(now) - kGraceNs;
  Json::Array removed;
  for (const Item& item : Items(work, own_build).sorted()) {
    if (!holder.is_null() || kept_bytes <= max_bytes || item.used_ns > horizon) break;
    remove_item(item.path);
    kept_bytes -= item.bytes;
    freed_bytes += item.bytes;
    removed.push_back(item.path.substr(work.path == "/" ? 1 : work.path.size() + 1));
  }
  return Json::Object{
      {"removed", std::move(removed)}, {"freed_bytes", freed_bytes}, {"kept_bytes", kept_bytes}, {"busy", holder}};
}

}  // namespace edgeflow
