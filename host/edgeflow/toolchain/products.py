"""The native agent and workers for a device: out of a bundle, built before, or built now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from edgeflow import resources
from edgeflow.errors import DeviceError, EdgeflowError, ToolMissingError, UsageError
from edgeflow.toolchain import libraries, vendor
from edgeflow.toolchain.build import Agent, Builder, Worker
from edgeflow.toolchain.bundle import Bundle, find_bundle
from edgeflow.toolchain.runtimes import files_for, load_runtimes
from edgeflow.toolchain.targets import NULL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeflow.progress import Progress
    from edgeflow.toolchain.targets import Target
    from edgeflow.workspace import Workspace


COMMON = "common"  # of --layers: a worker that lacks some


def left_out() -> frozenset[str]:
    """The layers of ncnn that a worker with the common ones lacks, in lower case."""
    lines = (resources.toolchains() / "ncnn-layers.txt").read_text().splitlines()
    return frozenset(word.lower() for line in lines if not line.startswith("#") for word in line.split())


def offered(target: Target, runtime_dirs: Sequence[str] = ()) -> list[str]:
    """The runtimes that have a native worker for the target, null apart: out of packages, or brought."""
    there = published(target)
    return [name for name in load_runtimes() if name in there or _is_brought(name, runtime_dirs)]


def published(target: Target) -> list[str]:
    """The runtimes whose code is in packages, so that anybody has them and a bundle may hold them."""
    return [
        name
        for name, runtime in load_runtimes().items()
        if name in libraries.RECIPES or files_for(runtime, target)
    ]


def _is_brought(name: str, runtime_dirs: Sequence[str]) -> bool:
    """Whether the user names a place for it; what that lacks for a target is told when it is built."""
    if name not in vendor.LAYOUTS:
        return False
    try:
        return load_runtimes()[name].brought(name, runtime_dirs) is not None
    except UsageError:
        return False  # a stale variable is told where its runtime is asked for, not where another is


def how_to_get(name: str, target: Target, runtime_dirs: Sequence[str] = ()) -> str:
    """The hint where a runtime is not offered. Raises UsageError for a place that is named and not there."""
    known = load_runtimes().get(name)
    if known is not None and known.bring:
        known.brought(name, runtime_dirs)
        return known.bring
    return f"there is: {', '.join([*offered(target, runtime_dirs), NULL])}"


@dataclass(frozen=True)
class Products:
    """What one target has. `ready` asks; `agent` and `worker` build what is missing."""

    target: Target
    bundle: Bundle | None
    builder: Builder

    def ready(self, runtime: str | None) -> bool:
        """Whether nothing has to be compiled or fetched for the agent and this runtime."""
        try:
            return self._agent() is not None and (
                runtime in (None, NULL) or self._worker(str(runtime)) is not None
            )
        except EdgeflowError:
            return False  # no compiler, so nothing it has built can be known

    def agent(self) -> Agent:
        """Raises ToolMissingError, UsageError."""
        return self._agent() or self.builder.agent()

    def worker(self, runtime: str) -> Worker:
        """Raises ToolMissingError, UsageError."""
        return self._worker(runtime) or self.builder.worker(runtime)

    def layers(self, runtime: str | None) -> str | None:
        """Which layers `worker` gives: "all" or "common"; None for a runtime without that choice."""
        if runtime is None or runtime not in libraries.RECIPES:
            return None
        trimmed = self._complete(runtime) is None and self._trimmed.find_worker(runtime) is not None
        return COMMON if trimmed else "all"

    def cpu_minutes(self, runtime: str | None) -> float:
        """About how long the missing builds take. Raises ToolMissingError where there is no compiler."""
        return self.builder.cpu_minutes([] if runtime in (None, NULL) else [str(runtime)])

    @cached_property
    def _trimmed(self) -> Builder:
        return replace(self.builder, layers=COMMON)

    def _agent(self) -> Agent | None:
        return (self.bundle and self.bundle.agent(self.target.name)) or self.builder.find_agent()

    def _worker(self, runtime: str) -> Worker | None:
        return self._complete(runtime) or self._trimmed.find_worker(runtime)

    def _complete(self, runtime: str) -> Worker | None:
        found = self.bundle and self.bundle.worker(self.target.name, runtime)
        return found or self.builder.find_worker(runtime)


def products_for(
    targets: Sequence[Target], runtime: str | None, device: str, workspace: Workspace, progress: Progress
) -> Products:
    """Of the targets that a device runs, the first that is ready, else the first that can be built.

    Raises DeviceError when the runtime has no worker for any of them, UsageError for a damaged bundle.
    """
    fitting = [target for target in targets if runtime in (None, NULL) or runtime in offered(target)]
    if not fitting and runtime in vendor.LAYOUTS and runtime not in published(targets[-1]):
        known = load_runtimes()[str(runtime)]
        if known.variables:  # a vendor's SDK, which each user has for themselves
            raise ToolMissingError(
                f"{device}: {runtime} for {targets[-1].name} needs its vendor's libraries; none are named",
                hint=how_to_get(str(runtime), targets[-1]),
            )
    if not fitting:
        raise DeviceError(
            f"{device}: there is no native {runtime} for {targets[-1].name}",
            hint=how_to_get(str(runtime), targets[-1]),
        )
    bundle = find_bundle(workspace, progress)
    found = [Products(target, bundle, Builder(target, workspace, progress)) for target in fitting]
    for products in found:
        if products.ready(runtime):
            return products
    for products in found:
        try:
            _ = products.builder.compiler
        except EdgeflowError:
            continue
        return products
    return found[-1]
