// The one-shot core: one connection on stdin and stdout, for as long as the host keeps stdin open.
#pragma once

#include <functional>
#include <string>

namespace edgeflow {

// Serves stdin and stdout until end of input, `shutdown` or a signal, then ends the process: its worker ends with it.
// stdout carries frames only: descriptor 1 is moved away first, so that a stray print lands on stderr.
// Power sources are looked for under `root`. Throws Fault before it serves.
[[noreturn]] void run_core(const std::string& work, const std::string& root);

// Has SIGTERM, SIGINT and SIGHUP run `clean_up` in a thread of its own and end the process with 128 + n. To be
// called before any other thread is started.
void exit_on_signals(std::function<void()> clean_up);
// Ends the process after `clean_up`, unless a signal came first and does so itself.
[[noreturn]] void leave(int code, const std::function<void()>& clean_up);

}  // namespace edgeflow
