// Where a daemon listens, for one run folder. Nobody but its own user can get through.
#pragma once

#include <string>

#include "common/descriptor.h"

namespace edgeflow {

// Each throws std::system_error; EACCES where the peer is another user's.
// The current folder becomes the run folder where the socket is a file.
Descriptor listen_endpoint(const std::string& run_folder);
Descriptor connect_endpoint(const std::string& run_folder);
// The next connection of our own user.
Descriptor accept_peer(int listener);
// After the daemon; nothing to do for an abstract socket, which ends with its process.
void remove_endpoint(const std::string& run_folder);

}  // namespace edgeflow
