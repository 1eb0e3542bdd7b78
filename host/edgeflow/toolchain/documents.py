"""What `edgeflow agent build`, `edgeflow agent bundle` and `edgeflow toolchain` show."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow import resources
from edgeflow.errors import EdgeflowError, ToolMissingError, UsageError
from edgeflow.toolchain import converters as converter_tools
from edgeflow.toolchain import fetch, libraries, vendor
from edgeflow.toolchain.brought import pair_of
from edgeflow.toolchain.build import AGENT, Builder
from edgeflow.toolchain.bundle import find_bundle, write_bundle
from edgeflow.toolchain.cmake import (
    CMAKE_PACKAGE,
    NINJA_PACKAGE,
    cmake_program,
    ninja_program,
    require_cmake,
)
from edgeflow.toolchain.compilers import ZIG_PACKAGE, cure, find_compiler, zig_program
from edgeflow.toolchain.products import how_to_get, offered, published
from edgeflow.toolchain.runtimes import Runtime, files_for, load_runtimes, runtime_named
from edgeflow.toolchain.store import BuildStore, build_folder
from edgeflow.toolchain.targets import HOST, NULL, TARGETS, target_named

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace

Document = dict[str, Any]

RELEASED = ("linux-aarch64", "linux-armv7", "linux-x86_64", "android-arm64-static", "android-armv7-static")
"""What a bundle holds unless targets are named."""


def build_document(
    target: str,
    runtimes: Sequence[str],
    layers: str,
    compiler: str,
    runtime_dirs: Sequence[str],
    output: Path | None,
    workspace: Workspace,
    progress: Progress,
) -> Document:
    """The agent and workers of a target, built unless they are, copied to `output` if given.

    Schema edgeflow.agent-build/1. Raises UsageError, ToolMissingError.
    """
    wanted = target_named(target)
    libraries.check_layers(layers)
    for name, _ in map(pair_of, runtime_dirs):
        if name not in (*libraries.RECIPES, *vendor.LAYOUTS):
            raise UsageError(
                f"--runtime-dir {name}: only these can be brought: "
                f"{', '.join([*libraries.RECIPES, *vendor.LAYOUTS])}"
            )
    for runtime in runtimes:
        if runtime != NULL and runtime not in offered(wanted, runtime_dirs):
            runtime_named(runtime, load_runtimes())
            raise UsageError(
                f"there is no native {runtime} for {target}", hint=how_to_get(runtime, wanted, runtime_dirs)
            )
    workspace.ensure_home()
    started = time.monotonic()
    builder = Builder(wanted, workspace, progress, layers, compiler, runtime_dirs)
    require_cmake(workspace.toolchain_dir)
    progress.note(f"{target}: {builder.compiler.label}")
    cached = builder.find_agent() is not None
    agent = builder.agent()
    document: Document = {
        "schema": "edgeflow.agent-build/1",
        "target": target,
        "compiler": {"kind": builder.compiler.kind, "label": builder.compiler.label},
        "build": agent.build,
        "flags": agent.flags,
        "agent": {"path": str(agent.program), "size_bytes": agent.program.stat().st_size, "cached": cached},
        "workers": {},
    }
    for runtime in dict.fromkeys(name for name in runtimes if name != NULL):
        cached = builder.find_worker(runtime) is not None
        worker = builder.worker(runtime)
        files = [
            {"name": name, "path": str(path), "size_bytes": path.stat().st_size}
            for name, path in worker.files.items()
        ]
        document["workers"][runtime] = {
            "version": worker.version,
            "layers": layers if runtime in libraries.RECIPES else None,
            "cached": cached,
            "files": files,
        }
    if output is not None:
        _copy(document, workspace.cwd / output)
    document["seconds"] = time.monotonic() - started
    return document


def bundle_document(
    targets: Sequence[str], runtimes: Sequence[str], folder: Path, workspace: Workspace, progress: Progress
) -> Document:
    """All targets in one archive (schema edgeflow.agent-bundle-build/1). Raises as a build does."""
    workspace.ensure_home()
    chosen = [target_named(name) for name in targets or RELEASED]

    def workers(target: str) -> list[str]:
        there = published(target_named(target))  # never what is the user's own
        return [name for name in runtimes if name in there] if runtimes else there

    written = write_bundle(
        (Builder(target, workspace, progress, release=True) for target in chosen),
        workers,
        workspace.cwd / folder,
    )
    return {"schema": "edgeflow.agent-bundle-build/1", **written}


def list_document(workspace: Workspace, progress: Progress) -> Document:
    """Targets with their compilers, runtimes with where they can run, and converters' tools.

    Schema edgeflow.toolchain/1.
    """
    targets = []
    for target in TARGETS.values():
        try:
            label, fix = find_compiler(target, workspace.toolchain_dir).label, ""
        except EdgeflowError as error:
            label, fix = "", error.hint
        targets.append({"target": target.name, "compiler": label or None, "fix": fix})
    runtimes = [
        {
            "runtime": name,
            "version": runtime.version,
            "licence": runtime.licence,
            "targets": [target.name for target in TARGETS.values() if name in published(target)],
            "bring": runtime.bring or None,
            "brought": _brought_place(name, runtime),
        }
        for name, runtime in load_runtimes().items()
    ]
    bundle = find_bundle(workspace, progress)
    return {
        "schema": "edgeflow.toolchain/1",
        "builds": str(build_folder(workspace)),
        "bundle": None if bundle is None else bundle.origin,
        "targets": targets,
        "runtimes": runtimes,
        "tools": converter_tools.tool_rows(workspace),
    }


def doctor_document(workspace: Workspace, progress: Progress) -> Document:
    """What building and converting need, part by part, with the one command that mends it.

    Schema edgeflow.doctor/1.
    """
    checks = [_sources(), _cmake(workspace)]
    for target in TARGETS.values():
        try:
            found = find_compiler(target, workspace.toolchain_dir)
            checks.append(_check(f"compiler {target.name}", True, found.label))
        except EdgeflowError as error:
            # Nobody needs every target, and the NDK is a large thing that most do without.
            optional = target.needs_ndk or target.name == HOST
            checks.append(
                _check(f"compiler {target.name}", False, error.message, error.hint, optional=optional)
            )
    checks += [
        _brought_check(name, runtime, workspace, progress)
        for name, runtime in load_runtimes().items()
        if name in vendor.LAYOUTS
    ]
    try:
        bundle = find_bundle(workspace, progress)
        checks.append(
            _check("bundle", True, "no bundle: agents are compiled here" if bundle is None else bundle.origin)
        )
    except EdgeflowError as error:
        checks.append(_check("bundle", False, error.message, error.hint))
    checks += converter_tools.converter_checks(workspace)
    return {"schema": "edgeflow.doctor/1", "checks": checks}


def install_document(
    tools: Sequence[str],
    targets: Sequence[str],
    runtimes: Sequence[str],
    compiler: str,
    workspace: Workspace,
    progress: Progress,
) -> Document:
    """Brings what building for the targets needs and is not there: CMake, Ninja, zig, sources of runtimes.

    With `tools` named, brings those converters' environments, and of the rest only what is named too.

    Schema edgeflow.toolchain-install/1. Raises ToolMissingError, UsageError.
    """
    converter_tools.require_tools(tools)
    workspace.ensure_home()
    brought, there = converter_tools.install_tools(tools, workspace, progress)
    if not tools or targets or runtimes:
        _install_for_building(targets, runtimes, compiler, workspace, progress, brought, there)
    return {
        "schema": "edgeflow.toolchain-install/1",
        "brought": list(dict.fromkeys(brought)),
        "there": list(dict.fromkeys(there)),
    }


def _install_for_building(
    targets: Sequence[str],
    runtimes: Sequence[str],
    compiler: str,
    workspace: Workspace,
    progress: Progress,
    brought: list[str],
    there: list[str],
) -> None:
    """Adds to `brought` and `there` what building for the targets needs."""
    folder = workspace.toolchain_dir
    chosen = [target_named(name) for name in targets] or [t for t in TARGETS.values() if t.zig]
    for package, found in ((CMAKE_PACKAGE, cmake_program(folder)), (NINJA_PACKAGE, ninja_program(folder))):
        if found is None:
            fetch.install_package(package, _own(folder, package), progress)
            brought.append(package)
        else:
            there.append(str(found))
    for target in chosen:
        try:
            label = find_compiler(target, folder, compiler).label
        except ToolMissingError:
            if not target.zig or compiler in ("gcc", "ndk") or zig_program(folder) is not None:
                raise ToolMissingError(
                    f"{target.name}: edgeflow cannot bring a compiler for it", hint=cure(target, compiler)
                ) from None
            fetch.install_package(ZIG_PACKAGE, _own(folder, ZIG_PACKAGE), progress)
            brought.append(ZIG_PACKAGE)
            label = find_compiler(target, folder, compiler).label
        there.append(f"{target.name}: {label}")
    store = BuildStore(build_folder(workspace))
    known = load_runtimes()
    for name in runtimes or [name for target in chosen for name in published(target)]:
        runtime = runtime_named(name, known)
        for source in runtime.build:
            fetch.source_folder(source, store, progress)
        for target in chosen:
            for file in files_for(runtime, target):
                fetch.device_file(file, store, progress)
        there.append(f"{name} {runtime.version}")


def _own(folder: Path, package: str) -> Path:
    return folder / package.replace("==", "-")


def _sources() -> Document:
    try:
        return _check("sources", True, str(resources.native_sources()))
    except EdgeflowError as error:
        return _check("sources", False, error.message, error.hint)


def _cmake(workspace: Workspace) -> Document:
    try:
        return _check("cmake", True, str(require_cmake(workspace.toolchain_dir)))
    except EdgeflowError as error:
        return _check("cmake", False, error.message, error.hint)


def _brought_place(name: str, runtime: Runtime) -> str | None:
    """The place that the environment names for a runtime, or what is wrong with it."""
    try:
        own = runtime.brought(name)
    except UsageError as error:
        return error.message
    return None if own is None else own.place


def _brought_check(name: str, runtime: Runtime, workspace: Workspace, progress: Progress) -> Document:
    """What there is of a runtime that users bring. Nobody needs it, but what was brought should be of use."""
    packaged = [target.name for target in TARGETS.values() if files_for(runtime, target)]
    out_of_packages = f"for {', '.join(packaged)} out of packages" if packaged else "in no package"
    try:
        own = runtime.brought(name)
        if own is None:
            what = f"{out_of_packages}; nothing brought"
            return _check(f"runtime {name}", bool(packaged), what, runtime.bring, optional=True)
        folder = own.find(BuildStore(build_folder(workspace)), progress)
    except EdgeflowError as error:
        return _check(f"runtime {name}", False, error.message, runtime.bring)
    if folder is None:
        return _check(f"runtime {name}", True, f"{own.place} ({own.origin}), fetched when it is needed")
    serves, reasons = [], []
    for target in TARGETS.values():
        try:
            vendor.vendor_site(name, target, folder)
            serves.append(target.name)
        except UsageError as error:
            reasons.append(error.message)
    if not serves:
        return _check(f"runtime {name}", False, f"{own.origin}: {reasons[0]}", runtime.bring)
    return _check(f"runtime {name}", True, f"{own.place} ({own.origin}) for {', '.join(serves)}")


def _check(name: str, ready: bool, what: str, fix: str = "", *, optional: bool = False) -> Document:
    return {"name": name, "ready": ready, "optional": optional, "what": what, "fix": fix}


def _copy(document: Document, folder: Path) -> None:
    """The programs as OUTPUT/edgeflow-agent and OUTPUT/RUNTIME/…; their new paths in the document."""
    copies = [(document["agent"], folder / AGENT)]
    for runtime, worker in document["workers"].items():
        copies += [(file, folder / runtime / file["name"]) for file in worker["files"]]
    try:
        for entry, target in copies:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(entry["path"], target)
            entry["path"] = str(target)
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or folder}: {error.strerror}") from error
