"""Runtimes that the host brought: wheels by content in WORK/files, unpacked into WORK/site/<key>.

A wheel is a zip archive (PEP 427), so neither pip nor a network is needed here. A site counts only once it
is whole: it is filled under another name, brought to the disk, and renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Sequence

from edgeflow_agent.faults import Fault
from edgeflow_agent.folder import WorkFolder, mark_used, storage_fault

if TYPE_CHECKING:
    import zipfile

MANIFEST = "site.json"
LOCK = ".lock"
KEY_DIGITS = 16
ROOTS = ("purelib", "platlib")
"""Folders of a wheel's .data that belong on the path; its scripts, headers and data are of no use here."""


class Site(NamedTuple):
    """One unpacked set of wheels. `python` is the tag of the Python that it is for, such as cp311."""

    key: str
    path: str
    runtime: str
    version: str
    python: str


def python_tag() -> str:
    """The tag of this very interpreter (PEP 425): cp311; cp313t without the interpreter lock."""
    import sysconfig

    kind = "cp" if sys.implementation.name == "cpython" else sys.implementation.name
    free_threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return "%s%d%d%s" % (kind, sys.version_info[0], sys.version_info[1], free_threaded)


def key_of(wheels: Sequence[str]) -> str:
    """The name of the site that holds exactly the wheels with these SHA-256."""
    import hashlib

    return hashlib.sha256("\n".join(sorted(wheels)).encode("ascii")).hexdigest()[:KEY_DIGITS]


def usable(folder: str) -> List[Site]:
    """The whole sites in WORK/site that are for this interpreter, the newest first."""
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return []
    if not names:
        return []
    own, found = python_tag(), []
    for name in names:
        manifest = os.path.join(folder, name, MANIFEST)
        try:
            with open(manifest, encoding="utf-8") as file:
                told = json.load(file)
            site = Site(name, os.path.dirname(manifest), told["runtime"], told["version"], told["python"])
            if site.python == own:
                found.append((os.stat(manifest).st_mtime_ns, site))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not whole: it is not there
    return [site for _, site in sorted(found, reverse=True)]


def find(work: WorkFolder, key: Any) -> str:
    """The path of a site that fits this interpreter, marked as used. Raises Fault backend_missing."""
    for site in usable(work.site):
        if site.key == key:
            mark_used(os.path.join(site.path, MANIFEST))
            return site.path
    raise Fault(
        "backend_missing", "no unpacked wheels %.40r for %s here: push them again" % (key, python_tag())
    )


def unpack(
    work: WorkFolder, runtime: str, version: str, python: str, wheels: Sequence[str]
) -> Dict[str, Any]:
    """Makes the site of these wheels, which lie in WORK/files: {"site", "made"}.

    Raises Fault no_file, file_corrupt, device_full, bad_request (they are for another Python).
    """
    if python != python_tag():
        raise Fault("bad_request", "these wheels are for %s, this Python is %s" % (python, python_tag()))
    if not wheels:
        raise Fault("bad_request", "no wheels to unpack")
    key = key_of(wheels)
    final = os.path.join(work.site, key)
    try:
        os.makedirs(work.site, mode=0o700, exist_ok=True)
        with open(os.path.join(work.site, LOCK), "wb") as lock:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
            if os.path.exists(os.path.join(final, MANIFEST)):
                return {"site": key, "made": False}
            _remove_unfinished(work.site)
            _fill(work, final, {"runtime": runtime, "version": version, "python": python}, sorted(wheels))
    except OSError as error:
        raise storage_fault(error, "cannot unpack %s into %s" % (runtime, final)) from error
    return {"site": key, "made": True}


def _fill(work: WorkFolder, final: str, manifest: Dict[str, Any], wheels: Sequence[str]) -> None:
    import shutil

    temporary = os.path.join(os.path.dirname(final), "." + os.path.basename(final))
    try:
        os.mkdir(temporary, 0o700)
        for sha256 in wheels:
            _extract(work.verified_file(sha256), temporary)
        with open(os.path.join(temporary, MANIFEST), "w", encoding="utf-8") as file:
            json.dump(dict(manifest, wheels=list(wheels)), file, sort_keys=True)
        os.sync()  # a power cut must not leave a site that looks whole
        os.rename(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _extract(wheel: str, target: str) -> None:
    import zipfile  # an idle core does without it

    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                name = _installed_name(member.filename)
                if name and not member.is_dir():
                    _extract_member(archive, member, os.path.join(target, *name.split("/")))
    except (zipfile.BadZipFile, EOFError) as error:
        raise Fault("file_corrupt", "%s is no wheel: %s" % (wheel, error)) from error


def _extract_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str) -> None:
    import shutil

    os.makedirs(os.path.dirname(path), exist_ok=True)
    with archive.open(member) as source, open(path, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _installed_name(name: str) -> str:
    """Where a member of a wheel belongs below the site; "" where nowhere."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name:
        raise Fault("file_corrupt", "a wheel holds the path %.80r, outside of its folder" % name)
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if len(parts) > 2 and parts[1] in ROOTS else ""
    return name


def _remove_unfinished(folder: str) -> None:
    """Whoever holds the lock is the only one who unpacks: what is unfinished was left by the dead."""
    import shutil

    for name in os.listdir(folder):
        if name.startswith(".") and name != LOCK:
            with contextlib.suppress(OSError):
                shutil.rmtree(os.path.join(folder, name))
