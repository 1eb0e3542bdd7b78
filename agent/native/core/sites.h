// Runtimes that the host brought: a worker program and what it needs, files by content in WORK/files, and a folder
// of links to them in WORK/site/<key>.
//
// Links, because Android forbids hard links to its shell, and nothing is to be stored twice. A site counts only
// once it is whole: its site.json is written last, and every link must lead to a file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/json.h"
#include "core/folder.h"

namespace edgeflow {

inline constexpr const char* kManifest = "site.json";
inline constexpr const char* kSiteLock = ".lock";

// One whole set of files. `files` are the links' names.
struct Site {
  std::string key;
  std::string path;
  std::string runtime;
  std::string version;
  std::string target;
  std::map<std::string, std::string> files;  // name -> sha256
  int64_t made_ns = 0;
};

// The whole native sites in WORK/site, the newest first. Those of wheels are the Python agent's.
std::vector<Site> usable_sites(const std::string& folder);

// The path of a site of that runtime, marked as used; the newest where `key` is null. Throws Fault backend_missing.
std::string find_site(const WorkFolder& work, const std::string& runtime, const Json& key);

// The name of the site that holds exactly these files (name -> sha256).
std::string site_key(const std::map<std::string, std::string>& files);

// Makes the site of these files, which lie in WORK/files: {"site", "made"}.
// Throws Fault no_file, file_corrupt, device_full, bad_request.
Json unpack_site(WorkFolder& work, const std::string& runtime, const std::string& version, const std::string& target,
                 const std::map<std::string, std::string>& files);

// How the worker of a site is started: argv before the worker's own words, and the library path if it needs one.
struct SiteCommand {
  std::vector<std::string> argv;
  std::string library_path;
};
// `path` is a site's, or null for the core's own worker. The loader is the site's, where it brings one.
SiteCommand site_command(const Json& path);

}  // namespace edgeflow
