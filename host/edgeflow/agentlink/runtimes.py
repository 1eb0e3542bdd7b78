"""Gives a device the runtime that its Python lacks: wheels from the host, nothing sent twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeflow.agentlink import wheels
from edgeflow.agentlink.maintenance import run_command
from edgeflow.agentlink.provision import Transfer, push_files
from edgeflow.errors import DeviceError, ToolMissingError
from edgeflow.toolchain.targets import NULL
from edgeflow_agent.backends.base import REGISTRY

if TYPE_CHECKING:
    from edgeflow.agentlink.provision import InstalledAgent
    from edgeflow.agentlink.session import Calls
    from edgeflow.devices.device import Device
    from edgeflow.progress import Progress
    from edgeflow.toolchain.products import Products
    from edgeflow.workspace import Workspace

_TIMEOUT_S = 30.0
# Looks for the package without importing it: a runtime may take seconds, or crash.
_HAS_PACKAGE = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"


class Provided(NamedTuple):
    """A runtime that the agent can use: the site that holds it (None: the agent has it itself), its version
    where it is told, and what was sent for it."""

    site: str | None
    version: str | None
    transfer: Transfer


def require_runtime(device: Device, runtime: str) -> None:
    """Passes where the device's Python has the runtime or can be given it; cheap, before any slow work.

    Raises DeviceError that names why it can neither.
    """
    try:
        wheels.platform_for(device.spec.name, runtime, device.facts)
    except DeviceError:
        package = REGISTRY[runtime].package
        if package is None:
            return
        found = device.transport.run([device.python, "-c", _HAS_PACKAGE, package], timeout_s=_TIMEOUT_S)
        if found.exit_code != 0:
            raise


def provide_runtime(
    session: Calls,
    agent: InstalledAgent,
    device: Device,
    runtime: str,
    workspace: Workspace,
    progress: Progress,
    native: Products | None = None,
) -> Provided:
    """The runtime on the device, in a site of its own that is made unless it is there or the agent has it.

    A native agent gets the worker of `native`, which is built if need be.

    The wheels are of the version of this host's runtime, which the artifact was verified with, where there
    are some; a note tells another one. Raises DeviceError, ToolMissingError, UsageError, AgentError.
    """
    name = device.spec.name
    told = session.hello.backends.get(runtime)
    if told is None:
        raise ToolMissingError(
            f"{name}: its agent cannot run {runtime}", hint=f"it can run: {', '.join(session.hello.backends)}"
        )
    if native is not None:
        return _provide_worker(session, agent, runtime, native, progress)
    there = told.get("site")
    if told["available"] and there is None:
        return Provided(None, told["version"], Transfer())
    if there is not None and told["version"] == wheels.host_version(runtime):
        return Provided(str(there), told["version"], Transfer())
    platform = wheels.platform_for(name, runtime, device.facts)
    found = wheels.fetch(runtime, platform, name, workspace, progress)
    if agent.transport.file_size(agent.work_dir / wheels.manifest_of(found.site)) is not None:
        return Provided(found.site, found.version, Transfer(skipped_bytes=found.size_bytes))
    needed_bytes, free_bytes = found.size_bytes + found.unpacked_bytes, device.facts.disk_free_bytes
    if free_bytes is not None and free_bytes < needed_bytes:
        raise DeviceError(
            f"{name}: {runtime} needs {needed_bytes / 1e6:.0f} MB in its work folder, "
            f"{free_bytes / 1e6:.0f} MB are free",
            hint=f"edgeflow agent prune --device {name} --max-mib 0, or set work_dir to a larger disk",
        )
    progress.note(
        f"{name}: has no {runtime}: it gets {runtime} {found.version} for {platform.label}, "
        f"{len(found.files)} wheels, {found.size_bytes / 1e6:.1f} MB"
    )
    progress.step(f"push {runtime} {found.version} to {name}")
    transfer = push_files(session, agent, found.files, progress)
    progress.step(f"unpack {runtime} on {name}")
    run_command(
        agent, "unpack", "--runtime", runtime, "--version", found.version, "--python", platform.python_tag,
        *found.files, runtime=runtime,
    )  # fmt: skip
    return Provided(found.site, found.version, transfer)


def _provide_worker(
    session: Calls, agent: InstalledAgent, runtime: str, native: Products, progress: Progress
) -> Provided:
    """The site of a native worker and what lies beside it; the null runtime is in the agent itself."""
    if runtime == NULL:
        return Provided(None, None, Transfer())
    worker = native.worker(runtime)
    sha256 = {name: _sha256(path) for name, path in worker.files.items()}
    site = native_site_key(sha256)
    told = session.hello.backends[runtime]
    size_bytes = sum(path.stat().st_size for path in worker.files.values())
    if told["available"] and told.get("site") == site:
        return Provided(site, worker.version, Transfer(skipped_bytes=size_bytes))
    what = f"{runtime} {worker.version} for {worker.target}"
    progress.step(f"push {what} to {agent.device}")
    wanted = {sha256[name]: path for name, path in worker.files.items()}
    transfer = push_files(session, agent, wanted, progress)
    if transfer.pushed_bytes:
        progress.note(f"{agent.device}: gets {what}, {transfer.pushed_bytes / 1e6:.1f} MB")
    pairs = [f"{name}={digest}" for name, digest in sorted(sha256.items())]
    made = run_command(
        agent, "unpack", "--runtime", runtime, "--version", worker.version, "--target", worker.target, *pairs,
        runtime=runtime,
    )  # fmt: skip
    return Provided(str(made["site"]), worker.version, transfer)


def native_site_key(files: Mapping[str, str]) -> str:
    """The site's folder: of the sorted NAME=SHA256, as agent/PROTOCOL.md has it."""
    text = "\n".join(sorted(f"{name}={digest}" for name, digest in files.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
