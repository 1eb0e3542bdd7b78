"""The work folder: where files, jobs, sockets and the job lock lie (agent/PROTOCOL.md)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from typing import Any, Dict, Optional, Tuple

from edgeflow_agent.faults import Fault
from edgeflow_agent.log import rfc3339_now

LOCK_RETRIES = 10
LOCK_RETRY_S = 0.02


class WorkFolder:
    """Paths of one work folder, and its models by content. Makes the folders it needs, for this user."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.files = os.path.join(self.path, "files")
        self.jobs = os.path.join(self.path, "jobs")
        self.site = os.path.join(self.path, "site")
        self.lock_path = os.path.join(self.path, "lock")
        self._verified: Dict[str, Tuple[int, ...]] = {}
        for folder in (self.files, self.jobs):
            try:
                os.makedirs(folder, mode=0o700, exist_ok=True)
            except OSError as error:
                raise storage_fault(error, "cannot make the folder %s" % folder) from error

    def verified_file(self, sha256: Any) -> str:
        """Path of the file with that content. Raises Fault bad_request, no_file, file_corrupt.

        The content is hashed once for as long as the file stays the same inode with the same times and size.
        Its time of access becomes now: what was used longest ago is pruned first.
        """
        if not isinstance(sha256, str) or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise Fault("bad_request", "not a SHA-256 in lower-case hex: %.80r" % (sha256,))
        path = os.path.join(self.files, sha256)
        try:
            with open(path, "rb") as file:
                found = os.fstat(file.fileno())
                identity = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
                if self._verified.get(sha256) != identity:
                    actual = _hash(file)
                    if actual != sha256:
                        raise Fault(
                            "file_corrupt",
                            "%s holds other content (%s..., %d bytes): push it again"
                            % (path, actual[:12], found.st_size),
                        )
                mark_used(file.fileno())
                found = os.fstat(file.fileno())
                self._verified[sha256] = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EISDIR):
                raise Fault("no_file", "no file %s in %s: push it" % (sha256, self.files)) from error
            raise Fault("no_file", "cannot read %s: %s" % (path, error.strerror)) from error
        return path

    def has_file(self, sha256: Any) -> bool:
        """Whether a file with that very content is here. Raises Fault bad_request on what is no SHA-256."""
        try:
            self.verified_file(sha256)
        except Fault as fault:
            if fault.code == "bad_request":
                raise
            return False
        return True


class JobLock:
    """The lock of the device: whoever holds it may run a job. flock(2), so it ends with its holders."""

    def __init__(self, path: str) -> None:
        self._path = path

    def acquire(self, by: str) -> int:
        """Takes the lock; gives its descriptor, which the worker inherits. Raises Fault busy, device_full."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise storage_fault(error, "cannot open %s" % self._path) from error
        # Someone who only looks holds a shared lock for an instant: that must not look like a running job.
        for attempt in range(LOCK_RETRIES):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if attempt == LOCK_RETRIES - 1:
                    os.close(fd)
                    holder = self._content()
                    raise Fault("busy", describe_busy(holder), detail=holder) from None
                time.sleep(LOCK_RETRY_S)
        try:
            os.ftruncate(fd, 0)
            content = {"by": by, "since": rfc3339_now(), "pid": os.getpid()}
            os.pwrite(fd, json.dumps(content).encode("utf-8"), 0)
        except OSError as error:
            os.close(fd)
            raise storage_fault(error, "cannot write %s" % self._path) from error
        return fd

    def holder(self) -> Optional[Dict[str, Any]]:
        """Who runs a job and since when, or None."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return self._content()
        finally:
            os.close(fd)
        return None

    def _content(self) -> Dict[str, Any]:
        try:
            with open(self._path, encoding="utf-8") as file:
                content = json.load(file)
            return {"by": str(content["by"]), "since": str(content["since"])}
        except (OSError, ValueError, KeyError, TypeError):
            return {"by": "an unknown host", "since": ""}


def mark_used(path: "str | int") -> None:
    """Sets the time of access alone, which many systems do not keep by themselves (mount(8), noatime)."""
    with contextlib.suppress(OSError):  # a read-only file system: what cannot be marked cannot be pruned
        os.utime(path, ns=(time.time_ns(), os.stat(path).st_mtime_ns))


def describe_busy(holder: Dict[str, Any]) -> str:
    """One line for a `busy` error."""
    return "the device is busy: %s since %s" % (holder["by"], holder["since"] or "an unknown time")


def storage_fault(error: OSError, what: str) -> Fault:
    """The fault of a failed write: device_full when the disk or the quota is full, else internal."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Fault("device_full" if full else "internal", "%s: %s" % (what, error.strerror))


def _hash(file: Any) -> str:
    import hashlib  # brings OpenSSL's library with it: an idle core does without

    digest = hashlib.sha256()
    while True:
        chunk = file.read(1 << 20)
        if not chunk:
            return digest.hexdigest()
        digest.update(chunk)
