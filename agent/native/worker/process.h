// What a worker asks of the system before its runtime starts: whose child it is, where it runs, the job lock.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/json.h"

namespace edgeflow {

// Has the kernel kill this process when the core dies, even in a long native call. Throws std::system_error.
void die_with_parent();

// Ends the process when the core's end of the socket closes: the core sends nothing after the request.
void exit_with_core(int socket);

// Pins the calling thread, and so every thread that it starts later, to the CPUs of a list. Gives what the kernel
// took; null where `cpus` is null. Throws Fault bad_request where a CPU is not this device's.
Json set_affinity(const Json& cpus);

// Waits for the job lock, which stays open from then on; false when the core ended instead.
bool receive_lock(int socket);

// Keeps a descriptor from programs that a runtime may start. Throws std::system_error.
void close_on_exec(int fd);

}  // namespace edgeflow
