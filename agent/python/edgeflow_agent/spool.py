"""Job folders, and the results that a daemon keeps in them until the host has them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any, Dict, List, NamedTuple, Optional

from edgeflow_agent.ahead import LOG_PREFIX
from edgeflow_agent.folder import storage_fault
from edgeflow_agent.sysinfo import process_start_ticks
from edgeflow_agent.wire import Frame, FrameParser, WireError, encode_parts

RECORD = "job.json"
RESULT = "result.frame"
LOG = "worker.log"


class Record(NamedTuple):
    """What is known of a job after its core is gone."""

    job: str
    kind: str
    state: str
    since: str
    token: str
    host: str
    build: str
    pid: int
    persistent: bool  # of a daemon: its result waits for the host
    started_ticks: Optional[int] = None  # when `pid` began, after boot: another process may get its id later


class Spool:
    """WORK/jobs: one folder a job."""

    def __init__(self, path: str) -> None:
        self._path = path

    def create(self, record: Record) -> str:
        """Makes the job's folder and gives the path of its worker's log. Raises Fault device_full."""
        folder = os.path.join(self._path, record.job)
        try:
            os.makedirs(folder, mode=0o700)
            self.update(record)
            log_path = os.path.join(folder, LOG)
            with open(log_path, "wb"):
                pass
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise storage_fault(error, "cannot make the job folder %s" % folder) from error
        return log_path

    def update(self, record: Record) -> None:
        """Writes the record. Raises OSError."""
        text = json.dumps(record._asdict(), sort_keys=True).encode("utf-8")
        write_atomically(os.path.join(self._path, record.job, RECORD), [text])

    def save(self, record: Record, outcome: Frame) -> None:
        """Spools the outcome, then the record that says it is there. Raises OSError."""
        write_atomically(os.path.join(self._path, record.job, RESULT), encode_parts(outcome))
        self.update(record)

    def load(self, job: str) -> Frame:
        """The spooled outcome. Raises OSError when there is none, WireError when it is damaged."""
        with open(os.path.join(self._path, job, RESULT), "rb") as file:
            frames = FrameParser().feed(file.read())
        if len(frames) != 1:
            raise WireError("the spooled result of job %s is cut" % job)
        return frames[0]

    def remove(self, job: str) -> None:
        """Deletes the job's folder; it need not exist."""
        shutil.rmtree(os.path.join(self._path, job), ignore_errors=True)

    def records(self) -> List[Record]:
        """Every readable record, oldest first."""
        found = []
        for name in os.listdir(self._path):
            record = self._record(name)
            if record is not None:
                found.append(record)
        return sorted(found, key=lambda record: (record.since, record.job))

    def sweep(self) -> None:
        """Deletes what one-shot cores left when they were killed."""
        for record in self.records():
            if not record.persistent and not _alive(record.pid, record.started_ticks):
                self.remove(record.job)
        for name in os.listdir(self._path):
            pid = name[len(LOG_PREFIX) :].partition("-")[0]
            if name.startswith(LOG_PREFIX) and pid.isdigit() and not _alive(int(pid)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._path, name))

    def _record(self, job: str) -> Optional[Record]:
        try:
            with open(os.path.join(self._path, job, RECORD), encoding="utf-8") as file:
                fields: Dict[str, Any] = json.load(file)
            return Record(**{name: fields[name] for name in Record._fields if name in fields})
        except (OSError, ValueError, TypeError):
            return None


def _alive(pid: int, started_ticks: Optional[int] = None) -> bool:
    """Whether the process runs. One that is known to have begun at another time only has its id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    found = None if started_ticks is None else process_start_ticks(pid)
    return found is None or found == started_ticks


def write_atomically(path: str, chunks: Any) -> None:
    """Puts the chunks, on the disk, in the place of what is there. Raises OSError."""
    temporary = path + ".tmp"
    with open(temporary, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
