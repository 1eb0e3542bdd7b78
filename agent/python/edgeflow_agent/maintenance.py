"""The commands that keep the work folder: each prints one JSON document, an error as {"error": {..}}."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Dict, List

from edgeflow_agent.faults import Fault
from edgeflow_agent.folder import WorkFolder, storage_fault

EXIT_FAILED = 1


def main(command: str, work: str, options: List[str], build: str) -> int:
    """Runs one command and gives its exit code."""
    code = EXIT_FAILED
    try:
        document = _run(command, work, options, build)
        code = 0
    except Fault as fault:
        document = {"error": fault.to_meta()}
    except OSError as error:
        what = "%s: %s" % (command, error.filename or work)
        document = {"error": storage_fault(error, what).to_meta()}
    sys.stdout.write(json.dumps(document, sort_keys=True) + "\n")
    return code


def _run(command: str, work: str, options: List[str], build: str) -> Dict[str, Any]:
    parser = argparse.ArgumentParser(prog="agent %s --work FOLDER" % command)
    if command == "unpack":
        from edgeflow_agent import sites

        for name in ("--runtime", "--version", "--python"):
            parser.add_argument(name, required=True)
        parser.add_argument("wheels", nargs="+", metavar="SHA256")
        told = parser.parse_args(options)
        return sites.unpack(WorkFolder(work), told.runtime, told.version, told.python, told.wheels)
    if command == "prune":
        from edgeflow_agent import prune

        parser.add_argument("--max-bytes", type=int, required=True)
        return prune.prune(WorkFolder(work), build, parser.parse_args(options).max_bytes)
    if command == "service":
        from edgeflow_agent import service

        parser.parse_args(options)
        return service.install(work, build)
    from edgeflow_agent import uninstall

    parser.add_argument("--force", action="store_true")
    return uninstall.uninstall(work, parser.parse_args(options).force)
