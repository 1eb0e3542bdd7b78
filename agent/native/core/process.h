// Starts a program with chosen descriptors, in a session of its own, and tells what became of it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace edgeflow {

// What a program is started with. Descriptors 0, 1 and 2 become those named; `kept` are inherited beside them.
struct Program {
  std::vector<std::string> argv;  // argv[0] is the path, or a name that PATH finds where it holds no slash
  std::vector<std::string> environment;
  std::string folder;  // its current folder; "" for ours
  int in = -1, out = -1, err = -1;
  std::vector<int> kept;
  bool dies_with_us = false;  // killed by the kernel with the thread that starts it (PR_SET_PDEATHSIG, prctl(2))
};

// Starts it; its process group is its own. Throws std::system_error where it cannot be started or executed.
pid_t spawn(const Program& program);

// Whether a child has ended; it stays to be reaped, so that its number is not given to another process.
bool has_ended(pid_t pid);
// Waits for the end and reaps: the exit code, or the negative signal number.
int reap(pid_t pid);
// Kills the whole process group of a child that is not reaped yet.
void kill_group(pid_t pid);

// SIGSEGV, ...; "signal N" for rare ones.
std::string signal_name(int number);
// Our environment as NAME=value.
std::vector<std::string> environment();

// What a program said and how it ended (as `reap` has it).
struct Finished {
  int code = 0;
  std::string out;
  std::string err;
};
// Runs a program to its end. Throws Fault timeout after `timeout_s`, std::system_error where it cannot be started.
Finished run_to_end(const std::vector<std::string>& argv, const std::vector<std::string>& environment, double timeout_s);
// Where PATH finds a program; none where it does not.
std::optional<std::string> find_program(const std::string& name);

}  // namespace edgeflow
