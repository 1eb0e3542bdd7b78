"""Run one command in a process group that dies when whoever holds our stdin dies. Run as a script.

    python leash.py LOG COMMAND [ARG ...]

The command's output goes to LOG and its exit code, as subprocess reports it, to stdout. Standard input is
the leash: at its end (the holder closed it, or was killed) the whole group gets SIGKILL, so no tool and
no child of a tool outlives the conversion that started it. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    log_path, command = sys.argv[1], sys.argv[2:]
    with open(log_path, "wb") as log:  # noqa: PTH123 - pathlib would double the start-up time
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        except OSError as error:
            log.write(str(error).encode())
            sys.stdout.write("127")
            return 0

    def kill_group() -> None:
        with contextlib.suppress(ProcessLookupError):  # the group is gone, which is what we want
            os.killpg(process.pid, signal.SIGKILL)

    def hold() -> None:
        while os.read(0, 1):
            pass
        kill_group()

    threading.Thread(target=hold, daemon=True).start()
    code = process.wait()
    kill_group()
    sys.stdout.write(str(code))
    return 0


if __name__ == "__main__":
    sys.exit(main())
