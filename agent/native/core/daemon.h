// The daemon: the core on a Unix socket, detached from whoever started it; and its clients on the device.
//
// On Android the socket is an abstract one, whose name holds the user and the run folder: a shell may not make
// socket files everywhere there. Elsewhere it is a file, bound and reached from inside its folder: sun_path takes 104
// to 108 bytes (unix(7)), and the path of a work folder may be longer. Either way both ends check the other's user.
#pragma once

#include <stdexcept>
#include <string>

#include "common/json.h"

namespace edgeflow {

// No daemon of this build listens in this work folder.
struct NoDaemon : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline constexpr const char* kPidFile = "agent.pid";

// Starts the daemon unless it runs, and returns once it listens: {"pid", "build", "started"}. Throws Fault.
Json start_daemon(const std::string& work);
// Bridges stdin and stdout to the daemon until either side ends. Throws NoDaemon.
void attach_to_daemon(const std::string& work);
// The daemon's HELLO. Throws NoDaemon.
Json daemon_status(const std::string& work, const std::string& build);
// Ends the daemon and returns when it is gone: {"stopped": pid}. Throws NoDaemon, Fault busy.
Json stop_daemon(const std::string& work, const std::string& build, bool force);
// Whether a daemon lives in WORK/run/<build>: it holds its pid file's lock for all its life.
bool daemon_runs(const std::string& run);

// Whether this is Android, as its file system shows.
bool is_android();

}  // namespace edgeflow
