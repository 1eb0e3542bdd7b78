"""Builds the native agent and its workers: each once for its sources, compiler and options, and then kept."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow import __version__, resources
from edgeflow.errors import ToolMissingError
from edgeflow.toolchain import fetch, libraries, vendor
from edgeflow.toolchain.cmake import build_project
from edgeflow.toolchain.compilers import Compiler, find_compiler, find_release_compiler
from edgeflow.toolchain.runtimes import Runtime, files_for, load_runtimes, runtime_named
from edgeflow.toolchain.store import BuildStore, build_folder, key_of

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.toolchain.targets import Target
    from edgeflow.workspace import Workspace

AGENT, WORKER = "edgeflow-agent", "worker"
_RECIPE = 1  # counts up when the same sources are built in another way
_SHORT_CPU_MINUTES = 1.0


@dataclass(frozen=True, slots=True)
class Agent:
    """A built core: one program."""

    target: str
    build: str
    flags: str
    program: Path


@dataclass(frozen=True, slots=True)
class Worker:
    """A built worker with what lies beside it: the files of one site, by name."""

    runtime: str
    version: str
    target: str
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Builder:
    """Builds for one target. Finding what is built compiles nothing and fetches nothing."""

    target: Target
    workspace: Workspace
    progress: Progress
    layers: str = "all"
    compiler_kind: str = "auto"
    runtime_dirs: Sequence[str] = ()
    release: bool = False  # the core is to be published, so that its size counts

    @cached_property
    def store(self) -> BuildStore:
        return BuildStore(build_folder(self.workspace))

    @cached_property
    def compiler(self) -> Compiler:
        """Raises ToolMissingError with what to install."""
        return find_compiler(self.target, self.workspace.toolchain_dir, self.compiler_kind)

    @cached_property
    def core_compiler(self) -> Compiler:
        """That of the core; workers may need another, whose C library they bring. Raises ToolMissingError."""
        if self.release and self.compiler_kind == "auto":
            return find_release_compiler(self.target, self.workspace.toolchain_dir)
        return self.compiler

    @cached_property
    def runtimes(self) -> Mapping[str, Runtime]:
        return load_runtimes()

    @cached_property
    def sources_digest(self) -> str:
        """Of all that programs are compiled from, tests apart."""
        return _digest(resources.native_sources(), without="tests")

    @property
    def build_id(self) -> str:
        return self._agent_key()[:16]

    def find_agent(self) -> Agent | None:
        """The agent, if it is built. Raises ToolMissingError where no compiler tells which it would be."""
        folder = self.store.find("agents", self._agent_key())
        return None if folder is None else self._agent(folder)

    def agent(self) -> Agent:
        """The agent, built unless it is there. Raises ToolMissingError, UsageError."""
        what = f"the agent for {self.target.name}"
        return self._agent(
            self.store.entry(
                "agents", self._agent_key(), self._compile_agent, f"building {what}", self.progress
            )
        )

    def find_worker(self, runtime: str) -> Worker | None:
        """The worker, if it is built and what lies beside it is fetched."""
        own = runtime_named(runtime, self.runtimes).brought(runtime, self.runtime_dirs)
        if own is not None and own.find(self.store, self.progress) is None:
            return None
        folder = self.store.find("workers", self._worker_key(runtime))
        return None if folder is None else self._worker(runtime, folder)

    def worker(self, runtime: str) -> Worker:
        """The worker, built unless it is there. Raises ToolMissingError, UsageError."""
        what = f"the {runtime} worker for {self.target.name}"

        def fill(folder: Path, scratch: Path) -> None:
            self._compile_worker(runtime, folder, scratch)

        key = self._worker_key(runtime)
        return self._worker(
            runtime, self.store.entry("workers", key, fill, f"building {what}", self.progress)
        )

    def cpu_minutes(self, runtimes: Sequence[str]) -> float:
        """About how long it takes to build what is missing."""
        minutes = 0.0 if self.find_agent() else _SHORT_CPU_MINUTES
        for runtime in runtimes:
            if self.find_worker(runtime) is None:
                minutes += _SHORT_CPU_MINUTES / 2
                if (
                    runtime in libraries.RECIPES
                    and self.store.find("libraries", self._library_key(runtime)) is None
                ):
                    minutes += libraries.RECIPES[runtime].cpu_minutes(self.target, self.layers)
        return minutes

    @property
    def flags(self) -> str:
        """What the agent says of itself, for people."""
        return f"{self.target.name}, {self.core_compiler.label}"

    def _agent_key(self) -> str:
        return key_of(
            "agent", _RECIPE, __version__, self.sources_digest, self.target.name, self.core_compiler.identity
        )

    def _agent(self, folder: Path) -> Agent:
        return Agent(self.target.name, self.build_id, self.flags, folder / AGENT)

    def _compile_agent(self, folder: Path, scratch: Path) -> None:
        build = self._project("agent", self.core_compiler, {}, [AGENT], scratch)
        shutil.copy2(build / AGENT, folder / AGENT)

    def _worker_key(self, runtime: str) -> str:
        known = runtime_named(runtime, self.runtimes)
        code = self._library_key(runtime) if runtime in libraries.RECIPES else None
        pinned = known.model_dump_json()
        site = self._vendor_site(runtime)
        brought = () if site is None else (site.digest(), dict(site.more))
        return key_of(
            "worker", _RECIPE, self.sources_digest, self.target.name, self.compiler.identity, pinned, code,
            *brought,
        )  # fmt: skip

    def _library_key(self, runtime: str) -> str:
        recipe, known = libraries.RECIPES[runtime], runtime_named(runtime, self.runtimes)
        own = self._brought_folder(runtime)
        sources = _digest(own) if own else [source.model_dump() for source in known.build]
        definitions = recipe.definitions(known.version, self.target, self.compiler, self.layers)
        return key_of(
            "library", recipe.version, sources, dict(definitions), self.target.code_name,
            self.compiler.identity,
        )  # fmt: skip

    def _worker(self, runtime: str, folder: Path) -> Worker:
        site, known = self._vendor_site(runtime), runtime_named(runtime, self.runtimes)
        version = known.version if site is None else site.version
        files = {path.name: path for path in sorted(folder.iterdir()) if path.name != "entry.json"}
        return Worker(runtime, version, self.target.name, files)

    def _brought_folder(self, runtime: str) -> Path | None:
        own = runtime_named(runtime, self.runtimes).brought(runtime, self.runtime_dirs)
        return None if own is None else own.folder(self.store, self.progress)

    def _vendor_site(self, runtime: str) -> vendor.VendorSite | None:
        """What the user brings of a vendor's; None for what comes out of packages. Raises UsageError."""
        folder = self._brought_folder(runtime) if runtime in vendor.LAYOUTS else None
        if folder is not None:
            return vendor.vendor_site(runtime, self.target, folder)
        known = runtime_named(runtime, self.runtimes)
        if runtime in vendor.LAYOUTS and not files_for(known, self.target):
            raise ToolMissingError(
                f"{runtime} for {self.target.name} is in no package", hint=f"{known.bring}: see docs/agent.md"
            )
        return None

    def _compile_worker(self, runtime: str, folder: Path, scratch: Path) -> None:
        known = runtime_named(runtime, self.runtimes)
        site = self._vendor_site(runtime)
        if site is None:
            files = {
                file.file: fetch.device_file(file, self.store, self.progress)
                for file in files_for(known, self.target)
            }
        else:
            files = dict(site.files)
        definitions = {"EDGEFLOW_RUNTIME": runtime, "EDGEFLOW_RUNTIME_VERSION": known.version}
        if runtime in libraries.RECIPES:
            definitions["EDGEFLOW_RUNTIME_DIR"] = str(self._library(runtime))
        if site is not None:
            definitions |= site.definitions
        elif runtime in vendor.LAYOUTS:
            linked = next(file for file in files_for(known, self.target) if file.role == "library")
            definitions["EDGEFLOW_RUNTIME_LIBRARY"] = str(files[linked.file])
        build = self._project(f"{runtime} worker", self.compiler, definitions, [WORKER], scratch)
        for path in (build / "site").iterdir():
            shutil.copy2(path, folder / path.name)
        for name, path in files.items():
            shutil.copy2(path, folder / name)
            (folder / name).chmod(0o755)

    def _library(self, runtime: str) -> Path:
        """The runtime's static library with its headers and CMake package."""
        recipe, known = libraries.RECIPES[runtime], runtime_named(runtime, self.runtimes)
        what = f"{runtime} for {self.target.name}"

        def fill(folder: Path, scratch: Path) -> None:
            source = self._brought_folder(runtime)
            source = source or fetch.source_folder(known.build[0], self.store, self.progress)
            minutes = recipe.cpu_minutes(self.target, self.layers)
            self.progress.note(f"{what}, {self.layers} layers: about {minutes:.0f} min of CPU time, once")
            definitions = recipe.definitions(known.version, self.target, self.compiler, self.layers)
            how = {"CMAKE_BUILD_TYPE": "Release", "CMAKE_INSTALL_PREFIX": str(folder)}
            build_project(
                source, self.target, self.compiler, {**definitions, **how},
                what=what, targets=["install"], scratch=scratch, tools=self.workspace.toolchain_dir,
                progress=self.progress,
            )  # fmt: skip

        return self.store.entry(
            "libraries", self._library_key(runtime), fill, f"building {what}", self.progress
        )

    def _project(
        self,
        name: str,
        compiler: Compiler,
        definitions: Mapping[str, str],
        targets: Sequence[str],
        scratch: Path,
    ) -> Path:
        told = {
            "EDGEFLOW_BUILD": self.build_id,
            "EDGEFLOW_VERSION": __version__,
            "EDGEFLOW_FLAGS": self.flags,
        }
        return build_project(
            resources.native_sources(), self.target, compiler, {**told, **definitions},
            what=f"the {name} for {self.target.name}", targets=targets, scratch=scratch,
            tools=self.workspace.toolchain_dir, progress=self.progress,
        )  # fmt: skip


def _digest(root: Path, *, without: str | None = None) -> str:
    """Of all files below a folder, those in folders called `without` apart."""
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    contents = (
        (str(file), hashlib.sha256((root / file).read_bytes()).hexdigest())
        for file in files
        if without not in file.parts
    )
    return key_of(*contents)
