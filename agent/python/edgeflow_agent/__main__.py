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
USAGE = """usage: agent COMMAND --work FOLDER, which may come after the command's own options
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
    named = argv.index("--work") if "--work" in argv else 0
    if named == 0 or named + 1 == len(argv):
        sys.stderr.write(USAGE)
        return EXIT_USAGE
    command, work = argv[0], os.path.expanduser(argv[named + 1])
    options = argv[1:named] + argv[named + 2 :]
    if command in MAINTENANCE:
        from edgeflow_agent import maintenance

        return maintenance.main(command, work, options, own_build())
    force = command == "stop" and options == ["--force"]
    rooted = command == "core" and len(options) == 2 and options[0] == "--root"
    root = options[1] if rooted else "/"  # where tests have a /sys of their own
    if options and not force and not rooted:
        sys.stderr.write(USAGE)
        return EXIT_USAGE
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
