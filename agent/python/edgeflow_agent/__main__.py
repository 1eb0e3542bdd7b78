"""Command line of the agent. Exit codes: 0 ok, 1 refused or failed, 2 usage, 3 no daemon."""

from __future__ import annotations

import json
import os
import sys
from typing import List

from edgeflow_agent.faults import Fault

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_DAEMON = 3
MAINTENANCE = frozenset(("unpack", "prune", "service", "uninstall"))
USAGE = """usage: agent COMMAND --work FOLDER
  core             serve one host on stdin and stdout
  daemon           start the daemon of this build; returns once it listens
  attach           bridge stdin and stdout to the daemon
  status           print the daemon's state as JSON
  stop [--force]   end the daemon; --force ends a running job with it
  build            print the build id
  unpack --runtime R --version V --python TAG SHA256...   make a site of wheels in FOLDER/files
  prune --max-bytes N                                     remove what was used longest ago
  service          start the daemon by a systemd user unit, also after a reboot
  uninstall [--force]                                     end daemons and remove everything
"""


def main(argv: List[str]) -> int:
    """Runs one command and gives its exit code."""
    if argv[:1] == ["worker"] and len(argv) == 5:
        from edgeflow_agent import worker

        if argv[3] == "--ahead":
            return worker.main_ahead(int(argv[2]), argv[4])
        return worker.main(int(argv[2]), int(argv[4]))
    if argv in (["--help"], ["-h"]):
        sys.stdout.write(USAGE)
        return 0
    try:
        return _command(argv)
    except Fault as fault:
        sys.stderr.write("edgeflow agent: %s\n" % fault.message)
        return EXIT_FAILED


def _command(argv: List[str]) -> int:
    from edgeflow_agent.identity import own_build

    if argv == ["build"]:
        sys.stdout.write(own_build() + "\n")
        return 0
    if len(argv) >= 3 and argv[0] in MAINTENANCE and argv[1] == "--work":
        from edgeflow_agent import maintenance

        return maintenance.main(argv[0], os.path.expanduser(argv[2]), argv[3:], own_build())
    force = "--force" in argv
    words = [word for word in argv if word != "--force"]
    root = "/"
    if words[:1] == ["core"] and words[3:4] == ["--root"] and len(words) == 5:
        root, words = words[4], words[:3]  # where tests have a /sys of their own
    if len(words) != 3 or words[1] != "--work" or (force and words[0] != "stop"):
        sys.stderr.write(USAGE)
        return EXIT_USAGE
    command, work = words[0], os.path.expanduser(words[2])
    if command in ("core", "daemon"):
        from edgeflow_agent.folder import mark_used
        from edgeflow_agent.supervise import HOME

        mark_used(HOME)  # the agent itself: an old build that is still used is not pruned
    if command == "core":
        from edgeflow_agent import core

        return core.run(work, own_build(), root=root)
    from edgeflow_agent import daemon

    try:
        if command == "daemon":
            return _print(daemon.start(work, own_build()))
        if command == "attach":
            return daemon.attach(work, own_build())
        if command == "status":
            return _print(daemon.status(work, own_build()))
        if command == "stop":
            return _print(daemon.stop(work, own_build(), force=force))
    except daemon.NoDaemon as error:
        sys.stderr.write("edgeflow agent: %s: start it with 'daemon --work %s'\n" % (error, work))
        return EXIT_NO_DAEMON
    sys.stderr.write(USAGE)
    return EXIT_USAGE


def _print(document: object) -> int:
    sys.stdout.write(json.dumps(document, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
