#include "core/service.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cerrno>
#include <system_error>
#include <vector>

#include "common/fault.h"
#include "common/files.h"
#include "common/sha256.h"
#include "common/text.h"
#include "core/build.h"
#include "core/daemon.h"
#include "core/process.h"
#include "core/supervise.h"

namespace edgeflow {
namespace {

constexpr double kTimeoutS = 60.0;
constexpr size_t kMaxUnitBytes = 64 << 10;

std::string replaced(const std::string& text, char letter, const std::string& by) {
  std::string out;
  for (const char one : text) {
    if (one == letter) out += by;
    else out.push_back(one);
  }
  return out;
}

std::string escaped(const std::string& text) { return replaced(text, '%', "%%"); }

// One word of a command line (systemd.service(5), "Command lines").
std::string quoted(const std::string& word) {
  std::string text = replaced(word, '\\', "\\\\");
  text = replaced(replaced(replaced(text, '"', "\\\""), '%', "%%"), '$', "$$");
  return "\"" + text + "\"";
}

// One unit for each work folder.
std::string unit_name(const std::string& work) {
  Sha256 digest;
  digest.update(absolute_path(work));
  return "edgeflow-agent-" + digest.hex_digest().substr(0, 8) + ".service";
}

// Where systemd looks for a user's own units (systemd.unit(5)); "" where no home is known.
std::string unit_path(const std::string& work) {
  const char* base = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  std::string folder;
  if (base != nullptr && *base != '\0') folder = base;
  else if (home != nullptr && *home != '\0') folder = path_in(home, ".config");
  else return "";
  return path_in(path_in(folder, "systemd/user"), unit_name(work));
}

std::string unit_text(const std::string& given) {
  const std::string work = absolute_path(given);
  const std::string pid_file = path_in(path_in(path_in(work, "run"), kBuild), kPidFile);
  std::string command;
  for (const std::string& word : {own_path(), std::string("daemon"), std::string("--work"), work}) {
    command += (command.empty() ? "" : " ") + quoted(word);
  }
  return "[Unit]\nDescription=edgeflow agent in " + escaped(work) +
         "\n\n[Service]\nType=forking\nPIDFile=" + escaped(pid_file) + "\nExecStart=" + command +
         "\nSuccessExitStatus=143\nRestart=on-failure\nRestartSec=5\n\n[Install]\nWantedBy=default.target\n";
}

std::string last_line(const Finished& done) {
  std::string_view text = stripped(done.err);
  if (text.empty()) text = stripped(done.out);
  if (text.empty()) return "exit code " + std::to_string(done.code);
  const size_t line = text.rfind('\n');
  return std::string(line == std::string_view::npos ? text : text.substr(line + 1));
}

Finished systemctl(std::vector<std::string> words) {
  std::vector<std::string> variables = environment();
  const std::string runtime = "/run/user/" + std::to_string(::getuid());
  if (std::getenv("XDG_RUNTIME_DIR") == nullptr && is_folder(runtime)) {
    variables.push_back("XDG_RUNTIME_DIR=" + runtime);  // a command over ssh may come without it
  }
  words.insert(words.begin(), {"systemctl", "--user"});
  return run_to_end(words, variables, kTimeoutS);
}

// Why this system cannot run units of a user; "" when it can.
std::string unavailable() {
  if (!find_program("systemctl")) return "it has no systemd";
  const Finished done = systemctl({"show-environment"});
  return done.code == 0 ? "" : "systemd runs no user units here: " + last_line(done);
}

// Whether the user's units start at boot and outlive his logins (loginctl(1)); null when not told.
Json lingers() {
  if (!find_program("loginctl")) return nullptr;
  const Finished done = run_to_end({"loginctl", "show-user", std::to_string(::getuid()), "--property=Linger", "--value"},
                                   environment(), kTimeoutS);
  const std::string_view told = stripped(done.out);
  if (done.code != 0 || (told != "yes" && told != "no")) return nullptr;
  return told == "yes";
}

std::string content(const std::string& path) {
  try {
    return read_file(path, kMaxUnitBytes);
  } catch (const std::system_error&) {
    return "";
  }
}

Json document(const Json& service, bool started, const std::string& reason, const Json& lingering) {
  return Json::Object{{"service", service}, {"started", started}, {"reason", valid_utf8(reason)}, {"lingering", lingering}};
}

}  // namespace

Json install_service(const std::string& work) {
  const std::string name = unit_name(work), path = unit_path(work), text = unit_text(work);
  const std::string reason = path.empty() ? "HOME is not set" : unavailable();
  if (!reason.empty()) return document(nullptr, false, reason, nullptr);
  if (content(path) == text && systemctl({"is-active", name}).code == 0) return document(name, false, "", lingers());
  try {
    stop_daemon(work, kBuild, false);  // one that was started by hand would be in the unit's way
  } catch (const NoDaemon&) {
  }
  try {
    make_folders(parent_of(path));
    write_atomically(path, {text});  // whole also after a power cut: systemd takes an empty unit for a masked one
  } catch (const std::system_error& error) {
    throw storage_fault(error.code().value(), "cannot write the unit " + path);
  }
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"daemon-reload"}, {"enable", name}, {"restart", name}}) {
    const Finished done = systemctl(words);
    if (done.code == 0) continue;
    const std::string shown = words.size() > 1 ? words[0] + " " + words[1] : words[0];
    throw Fault("internal", "systemctl --user " + shown + ": " + last_line(done), "",
                Json::Object{{"log", Json::Array{valid_utf8(done.err)}}});
  }
  // What `enable` linked must be on the disk too: the next thing may be a power cut.
  for (const std::string& folder : {parent_of(path), path_in(parent_of(path), "default.target.wants")}) {
    const Descriptor handle(::open(folder.c_str(), O_RDONLY | O_CLOEXEC));
    if (handle) (void)::fsync(handle.get());
  }
  return document(name, true, "", lingers());
}

bool remove_service(const std::string& work) {
  const std::string name = unit_name(work), path = unit_path(work);
  if (path.empty() || !exists(path)) return false;
  const bool available = unavailable().empty();
  if (available) systemctl({"disable", "--now", name});  // a unit that is stopped already is what we want
  if (::unlink(path.c_str()) != 0) throw storage_fault(errno, "cannot remove the unit " + path);
  if (available) {
    systemctl({"daemon-reload"});
    systemctl({"reset-failed", name});  // else systemd remembers its name if it ever failed
  }
  return true;
}

}  // namespace edgeflow
