"""All targets built ahead, in one checksummed archive: for hosts that have no compiler."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow import __version__
from edgeflow.errors import UsageError
from edgeflow.files import write_atomic
from edgeflow.toolchain.build import AGENT, Agent, Worker
from edgeflow.toolchain.store import BuildStore, build_folder, key_of

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.toolchain.build import Builder
    from edgeflow.workspace import Workspace

VARIABLE = "EDGEFLOW_AGENT_BUNDLE"
FOLDER = "agent-bundle"
SUMS = "SHA256SUMS"
MANIFEST = "bundle.json"
SCHEMA = "edgeflow.agent-bundle/1"
CORE_LIMIT_BYTES = 1 << 20
"""A published core is to be no larger."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle, unpacked: `manifest` names each file by target and runtime."""

    folder: Path
    manifest: Mapping[str, Any]
    origin: str

    def agent(self, target: str) -> Agent | None:
        """The agent for a target, where the bundle has one."""
        found = self.manifest["targets"].get(target)
        if found is None:
            return None
        return Agent(target, found["build"], found["flags"], self.folder / target / AGENT)

    def worker(self, target: str, runtime: str) -> Worker | None:
        """The worker of a runtime for a target, where the bundle has one."""
        found = self.manifest["targets"].get(target, {}).get("workers", {}).get(runtime)
        if found is None:
            return None
        folder = self.folder / target / runtime
        return Worker(runtime, found["version"], target, {name: folder / name for name in found["files"]})


def write_bundle(
    builders: Iterable[Builder], runtimes: Callable[[str], Sequence[str]], folder: Path
) -> dict[str, Any]:
    """Builds for each target and writes edgeflow-agent-VERSION.tar.gz and SHA256SUMS to `folder`, the same
    bytes each time. `runtimes` tells which workers a target gets. Notes a core over CORE_LIMIT_BYTES.

    Raises what a build raises, UsageError when `folder` cannot be written.
    """
    targets: dict[str, Any] = {}
    members: dict[str, bytes] = {}
    for builder in builders:
        agent, name = builder.agent(), builder.target.name
        program = members[f"{name}/{AGENT}"] = agent.program.read_bytes()
        if len(program) > CORE_LIMIT_BYTES:
            cure = f"edgeflow toolchain install --target {name} --compiler zig"
            smaller = f"; zig makes a smaller one: {cure}" if builder.target.zig else ""
            size = f"{len(program):,} bytes, more than {CORE_LIMIT_BYTES:,}"
            builder.progress.note(f"{name}: the core has {size}{smaller}")
        workers = {}
        for runtime in runtimes(name):
            worker = builder.worker(runtime)
            workers[runtime] = {"version": worker.version, "files": sorted(worker.files)}
            members |= {f"{name}/{runtime}/{file}": path.read_bytes() for file, path in worker.files.items()}
        targets[name] = {"build": agent.build, "flags": agent.flags, "workers": workers}
    manifest = {"schema": SCHEMA, "version": __version__, "targets": targets}
    members[MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    archive = folder / f"edgeflow-agent-{__version__}.tar.gz"
    data = _archive(members)
    write_atomic(archive, data)
    digest = hashlib.sha256(data).hexdigest()
    write_atomic(folder / SUMS, f"{digest}  {archive.name}\n".encode())
    return {"archive": str(archive), "sha256": digest, "size_bytes": len(data), "targets": targets}


def find_bundle(workspace: Workspace, progress: Progress) -> Bundle | None:
    """The bundle that EDGEFLOW_AGENT_BUNDLE names (an archive, or its folder), else that in EDGEFLOW_HOME.

    It is verified against the SHA256SUMS beside it, and unpacked once. Raises UsageError for one that is
    named and not there, for a wrong checksum, and for one of another version of edgeflow.
    """
    configured = os.environ.get(VARIABLE)
    place = Path(configured).expanduser().absolute() if configured else workspace.home / FOLDER
    if not place.exists():
        if configured:
            raise UsageError(f"{VARIABLE}: {place}: no such file or folder")
        return None
    archive = _archive_in(place)
    data_sha256 = _verified(archive)

    def fill(folder: Path, scratch: Path) -> None:
        del scratch
        progress.step(f"unpack {archive.name}")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")

    store = BuildStore(build_folder(workspace))
    folder = store.entry(
        "bundles", key_of("bundle/1", data_sha256), fill, f"unpacking {archive.name}", progress
    )
    manifest = json.loads((folder / MANIFEST).read_text())
    if manifest.get("schema") != SCHEMA or manifest.get("version") != __version__:
        raise UsageError(
            f"{archive}: agents of edgeflow {manifest.get('version')}, but this is {__version__}",
            hint=f"get the bundle of {__version__}, or remove this one: agents are then built here",
        )
    return Bundle(folder, manifest, str(archive))


def _archive_in(place: Path) -> Path:
    if place.is_file():
        return place
    found = sorted(place.glob("edgeflow-agent-*.tar.gz"))
    if len(found) != 1:
        count = "none" if not found else f"{len(found)} of them"
        raise UsageError(f"{place}: expected one edgeflow-agent-VERSION.tar.gz, found {count}")
    return found[0]


def _verified(archive: Path) -> str:
    """The SHA-256 of the archive, which SHA256SUMS beside it must name. Raises UsageError."""
    sums = archive.with_name(SUMS)
    try:
        lines = [line.split() for line in sums.read_text().splitlines()]
        with archive.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(
            f"{error.filename}: {error.strerror}", hint=f"a bundle is an archive with {SUMS} beside it"
        ) from error
    expected = next(
        (words[0] for words in lines if len(words) == 2 and words[1].lstrip("*") == archive.name), None
    )
    if expected is None:
        raise UsageError(
            f"{sums} does not name {archive.name}", hint="get archive and SHA256SUMS again, together"
        )
    if expected != found:
        raise UsageError(
            f"{archive}: damaged: its SHA-256 is not the one in {SUMS}",
            hint="get archive and SHA256SUMS again, together",
            detail=f"SHA-256 {found}, expected {expected}",
        )
    return found


def _archive(members: Mapping[str, bytes]) -> bytes:
    """A tar.gz that depends on names and contents alone."""
    import gzip

    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in sorted(members.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o644 if name == MANIFEST else 0o755
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
