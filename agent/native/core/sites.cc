#include "core/sites.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "common/fault.h"
#include "common/files.h"
#include "common/sha256.h"
#include "core/supervise.h"

namespace edgeflow {
namespace {

constexpr size_t kKeyDigits = 16;
constexpr size_t kMaxManifestBytes = 1 << 20;
constexpr size_t kMaxFiles = 1000;
constexpr size_t kMaxNameBytes = 200;
constexpr const char* kWorker = "worker";
constexpr const char* kLoader = "ld.so";

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name.front() != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos && name != kManifest;
}

// A file that is gone, or was pushed anew since and is not made executable again, is not what was unpacked.
bool leads_to_file(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode) && (found.st_mode & S_IXUSR) != 0;
}

// The site in that folder. Throws where it is not a whole native one.
Site read_site(const std::string& folder, const std::string& key) {
  Site site;
  site.key = key;
  site.path = path_in(folder, key);
  const std::string manifest = path_in(site.path, kManifest);
  const Json told = Json::parse(read_file(manifest, kMaxManifestBytes));
  site.runtime = told["runtime"].as_string();
  site.version = told["version"].as_string();
  site.target = told["target"].as_string();
  for (const auto& [name, sha256] : told["files"].as_object()) {
    if (!is_plain_name(name) || !leads_to_file(path_in(site.path, name))) throw JsonError("not whole");
    site.files.emplace(name, sha256.as_string());
  }
  if (site.files.count(kWorker) == 0) throw JsonError("no worker");
  struct stat found {};
  if (::stat(manifest.c_str(), &found) != 0) throw_errno(manifest);
  site.made_ns = static_cast<int64_t>(found.st_mtim.tv_sec) * 1000000000 + found.st_mtim.tv_nsec;
  return site;
}

// Whoever holds the lock is the only one who unpacks: what is unfinished was left by the dead.
void remove_unfinished(const std::string& folder) {
  for (const std::string& name : names_in(folder)) {
    if (name.front() == '.' && name != kSiteLock) remove_tree(path_in(folder, name));
  }
}

void fill(WorkFolder& work, const std::string& folder, const Json& manifest) {
  if (::mkdir(folder.c_str(), 0700) != 0) throw_errno(folder);
  for (const auto& [name, sha256] : manifest["files"].as_object()) {
    const std::string file = work.verified_file(sha256);
    if (::chmod(file.c_str(), 0700) != 0) throw_errno(file);
    const std::string link = path_in(folder, name), target = "../../files/" + sha256.as_string();
    if (::symlink(target.c_str(), link.c_str()) != 0) throw_errno(link);
  }
  write_atomically(path_in(folder, kManifest), {manifest.text()});
  ::sync();  // a power cut must not leave a site that looks whole
}

}  // namespace

std::vector<Site> usable_sites(const std::string& folder) {
  std::vector<Site> found;
  for (const std::string& name : names_in(folder)) {
    if (name.front() == '.') continue;
    try {
      found.push_back(read_site(folder, name));
    } catch (const std::exception&) {
      continue;  // wheels, or not whole: it is not there
    }
  }
  std::sort(found.begin(), found.end(), [](const Site& a, const Site& b) { return a.made_ns > b.made_ns; });
  return found;
}

std::string find_site(const WorkFolder& work, const std::string& runtime, const Json& key) {
  for (const Site& site : usable_sites(work.site)) {
    if (site.runtime != runtime || !(key.is_null() || key == Json(site.key))) continue;
    mark_used(path_in(site.path, kManifest));
    return site.path;
  }
  throw Fault("backend_missing", key.is_null() ? "no worker of " + runtime + " here: push its files and unpack them"
                                               : "no whole site " + key.excerpt(40) + " of " + runtime + " here: push it again");
}

std::string site_key(const std::map<std::string, std::string>& files) {
  std::vector<std::string> texts;
  for (const auto& [name, sha256] : files) texts.push_back(name + "=" + sha256);
  std::sort(texts.begin(), texts.end());  // not the order of names: "a-b" < "a=" in one, not in the other
  Sha256 digest;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) digest.update("\n");
    digest.update(texts[i]);
  }
  return digest.hex_digest().substr(0, kKeyDigits);
}

Json unpack_site(WorkFolder& work, const std::string& runtime, const std::string& version, const std::string& target,
                 const std::map<std::string, std::string>& files) {
  if (files.count(kWorker) == 0) throw Fault("bad_request", "a site of " + runtime + " needs the file " + kWorker);
  if (files.size() > kMaxFiles) throw Fault("bad_request", "over " + std::to_string(kMaxFiles) + " files");
  Json manifest = Json::Object{{"runtime", runtime}, {"version", version}, {"target", target}};
  for (const auto& [name, sha256] : files) {
    if (!is_plain_name(name)) throw Fault("bad_request", "not a plain file name: " + Json(name).excerpt());
    manifest["files"][name] = sha256;
  }
  const std::string key = site_key(files), final = path_in(work.site, key), part = path_in(work.site, "." + key);
  try {
    make_folders(work.site);
    const Descriptor lock = open_file(path_in(work.site, kSiteLock), O_WRONLY | O_CREAT);
    while (::flock(lock.get(), LOCK_EX) != 0) {
      if (errno != EINTR) throw_errno(work.site);
    }
    for (const Site& site : usable_sites(work.site)) {
      if (site.key == key) return Json::Object{{"site", key}, {"made", false}};
    }
    remove_unfinished(work.site);
    // One that is not whole any more, since a file of it was pruned.
    remove_tree(final);
    fill(work, part, manifest);
    if (::rename(part.c_str(), final.c_str()) != 0) throw_errno(final);
  } catch (const std::system_error& error) {
    remove_tree(part);
    throw storage_fault(error.code().value(), "cannot unpack " + runtime + " into " + final);
  } catch (...) {
    remove_tree(part);
    throw;
  }
  return Json::Object{{"site", key}, {"made", true}};
}

SiteCommand site_command(const Json& path) {
  if (path.is_null()) return SiteCommand{{own_path()}, ""};
  const std::string& folder = path.as_string();
  const std::string worker = path_in(folder, kWorker), loader = path_in(folder, kLoader);
  if (leads_to_file(loader)) return SiteCommand{{loader, "--library-path", folder, worker}, ""};
  return SiteCommand{{worker}, folder};
}

}  // namespace edgeflow
