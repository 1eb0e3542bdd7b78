#include "core/maintenance.h"

#include <charconv>
#include <cstdio>
#include <map>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "common/fault.h"
#include "core/build.h"
#include "core/folder.h"
#include "core/prune.h"
#include "core/service.h"
#include "core/sites.h"
#include "core/uninstall.h"

namespace edgeflow {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The words of a command line: options with a value, and the rest.
struct Words {
  std::map<std::string, std::string> options;
  std::vector<std::string> rest;
};

Words parse_words(const std::vector<std::string>& given, const std::vector<std::string>& wanted) {
  Words found;
  for (size_t at = 0; at < given.size(); ++at) {
    const std::string& word = given[at];
    if (word.compare(0, 2, "--") != 0) {
      found.rest.push_back(word);
      continue;
    }
    bool known = false;
    for (const std::string& name : wanted) known = known || name == word;
    if (!known) throw UsageError("unknown option " + word);
    if (at + 1 == given.size()) throw UsageError(word + " needs a value");
    found.options[word] = given[++at];
  }
  for (const std::string& name : wanted) {
    if (found.options.count(name) == 0) throw UsageError(name + " is missing");
  }
  return found;
}

Json unpack(const std::string& work, const std::vector<std::string>& given) {
  const Words words = parse_words(given, {"--runtime", "--version", "--target"});
  std::map<std::string, std::string> files;
  for (const std::string& word : words.rest) {
    const size_t equals = word.rfind('=');
    if (equals == std::string::npos) throw UsageError("not NAME=SHA256: " + word);
    const std::string name = word.substr(0, equals), sha256 = word.substr(equals + 1);
    if (!is_sha256(sha256)) throw Fault("bad_request", "not a SHA-256 in lower-case hex: " + sha256);
    if (!files.emplace(name, sha256).second) throw Fault("bad_request", "the file " + name + " is named twice");
  }
  if (files.empty()) throw UsageError("no files to unpack");
  WorkFolder folder(work);
  return unpack_site(folder, words.options.at("--runtime"), words.options.at("--version"), words.options.at("--target"), files);
}

Json prune_to(const std::string& work, const std::vector<std::string>& given) {
  const Words words = parse_words(given, {"--max-bytes"});
  const std::string& text = words.options.at("--max-bytes");
  int64_t max_bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), max_bytes);
  if (error != std::errc() || end != text.data() + text.size() || !words.rest.empty()) {
    throw UsageError("--max-bytes is a whole number, not " + text);
  }
  const WorkFolder folder(work);
  return prune(folder, kBuild, max_bytes);
}

Json run(const std::string& command, const std::string& work, const std::vector<std::string>& options) {
  if (command == "unpack") return unpack(work, options);
  if (command == "prune") return prune_to(work, options);
  const bool force = options.size() == 1 && options[0] == "--force" && command == "uninstall";
  if (!options.empty() && !force) throw UsageError("unknown option " + options[0]);
  return command == "service" ? install_service(work) : uninstall(work, force);
}

}  // namespace

bool is_maintenance(const std::string& command) {
  return command == "unpack" || command == "prune" || command == "service" || command == "uninstall";
}

int maintain(const std::string& command, const std::string& work, const std::vector<std::string>& options) {
  Json document;
  int code = kExitFailed;
  try {
    document = run(command, work, options);
    code = 0;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "edgeflow agent: %s: %s\n", command.c_str(), error.what());
    return kExitUsage;
  } catch (const Fault& fault) {
    document["error"] = fault.to_meta();
  } catch (const std::system_error& error) {
    document["error"] = storage_fault(error.code().value(), command + ": " + error.what()).to_meta();
  } catch (const std::exception& error) {
    document["error"] = Fault("internal", command + ": " + error.what()).to_meta();
  }
  std::printf("%s\n", document.text().c_str());
  return std::fflush(stdout) == 0 ? code : kExitFailed;
}

}  // namespace edgeflow
