// One runtime, one model, one job: the process that is measured, and that may crash.
#pragma once

namespace edgeflow {

// Serves one job of the runtime that this program is linked with (create_backend); gives the exit code where
// there was none to serve, and does not return from a job. Arguments, the program's name before them:
//
//   worker --fd N --lock-fd M      N: the socket to the core; M: the device's job lock, held while this lives
//   worker --fd N --ahead SETTING  makes the runtime ready, then waits on the socket for the lock (SCM_RIGHTS)
int worker_main(int argc, char** argv);

// The socket to the core, for the null backend alone, which is told to spoil it.
int worker_socket();

}  // namespace edgeflow
