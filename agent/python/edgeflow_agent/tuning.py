"""What a job may set on the device, the CPU frequency governor, and setting it back, whatever happens.

The old settings lie in WORK/restore.json from before the first change until all are back, so that a core
which was killed leaves a note for the next one. Source of the files: Linux kernel,
Documentation/admin-guide/pm/cpufreq.rst.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Dict, Iterator, List, Optional

from edgeflow_agent.faults import Fault
from edgeflow_agent.folder import storage_fault
from edgeflow_agent.spool import write_atomically

NOTE = "restore.json"
FOLDER = "sys/devices/system/cpu/cpu%d/cpufreq"


class Tuning:
    """The settings of one device, kept in its work folder. The caller holds the device's job lock."""

    def __init__(self, work: str, root: str = "/") -> None:
        self._note = os.path.join(work, NOTE)
        self._root = root

    @property
    def is_changed(self) -> bool:
        """Whether something is to be set back."""
        return os.path.exists(self._note)

    @contextlib.contextmanager
    def governor(self, wanted: Optional[str], cpus: Optional[List[int]]) -> Iterator[Optional[str]]:
        """`wanted` on `cpus` (None: all) within the block; gives what the kernel took, None if not asked.

        Raises Fault unsupported_setting where the device has no such governor or does not let us.
        """
        if wanted is None:
            yield None
            return
        old = self._governors(wanted, cpus)
        try:
            self._remember(old)
            for path in old:
                self._write(path, wanted)
            taken = sorted({_read(path) for path in old})
            if taken != [wanted]:
                raise Fault(
                    "unsupported_setting", "governor %s was set, but the kernel has %s" % (wanted, taken)
                )
            yield wanted
        finally:
            self.restore()

    def restore(self) -> List[str]:
        """Sets back what the note names and removes it; gives what could not be set back, in words."""
        try:
            with open(self._note, encoding="utf-8") as file:
                old: Dict[str, Any] = json.load(file)
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            return ["%s cannot be read: %s" % (self._note, error)]
        failed = []
        for path, value in old.items():
            try:
                _write_line(path, str(value))
            except OSError as error:
                failed.append("%s stays changed, it was %s: %s" % (path, value, error.strerror))
        if not failed:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._note)
        return failed

    def _governors(self, wanted: str, cpus: Optional[List[int]]) -> Dict[str, str]:
        """Governor file -> what it says now. CPUs of one policy share their file."""
        found: Dict[str, str] = {}
        for cpu in self._all_cpus() if cpus is None else cpus:
            folder = os.path.realpath(os.path.join(self._root, FOLDER % cpu))
            path = os.path.join(folder, "scaling_governor")
            known = _read(os.path.join(folder, "scaling_available_governors")).split()
            if not os.path.exists(path):
                raise Fault(
                    "unsupported_setting", "cpu%d has no frequency governor: leave governor out" % cpu
                )
            if wanted not in known:
                raise Fault(
                    "unsupported_setting",
                    "cpu%d has no governor %s; it has: %s" % (cpu, wanted, " ".join(known)),
                )
            found[path] = _read(path)
        if not found:
            raise Fault("unsupported_setting", "this device has no frequency governor: leave governor out")
        return found

    def _all_cpus(self) -> List[int]:
        folder = os.path.join(self._root, "sys/devices/system/cpu")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        cpus = sorted(int(name[3:]) for name in names if name.startswith("cpu") and name[3:].isdigit())
        return [cpu for cpu in cpus if os.path.isdir(os.path.join(self._root, FOLDER % cpu))]

    def _remember(self, old: Dict[str, str]) -> None:
        try:
            write_atomically(self._note, [json.dumps(old, sort_keys=True).encode("utf-8")])
        except OSError as error:
            raise storage_fault(error, "cannot write %s" % self._note) from error

    @staticmethod
    def _write(path: str, wanted: str) -> None:
        try:
            _write_line(path, wanted)
        except OSError as error:
            raise Fault(
                "unsupported_setting",
                "cannot set governor %s: %s: %s; only root may, else leave governor out"
                % (wanted, path, error.strerror),
            ) from error


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _write_line(path: str, value: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(value)
