"""`edgeflow convert`: a verified artifact, described and copied where the user wants it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.deploy import conversion
from edgeflow.deploy.resolve import resolve
from edgeflow.errors import NumericsError, UsageError
from edgeflow.inputs.samples import samples_for
from edgeflow.toolchain.targets import NULL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace
    from edgeflow_converters.base import Artifact, ConvertRequest

AGREES = "agrees: nothing to explain"
_CACHE_RECORD = "entry.json"  # the cache's own; no part of an artifact


def convert_document(
    spec: str | None,
    runtime: str,
    precision: str,
    output: Path | None,
    workspace: Workspace,
    progress: Progress,
    options: Mapping[str, Any] | None = None,
    *,
    explain: bool = False,
    trust: bool = False,
    shapes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Converts and verifies; copies the artifact's files to `output` if given (schema edgeflow.artifact/1).

    With `explain`, a product that disagrees is traced to the node to blame, which the NumericsError carries.
    Raises UsageError before the slow work when `output` cannot be written or holds another artifact.
    """
    conversion.check_target(runtime, precision)
    if runtime == NULL:
        raise UsageError("null converts nothing: it echoes a model's inputs", hint="name another runtime")
    target = None if output is None else _check_output(workspace.cwd / output)
    workspace.ensure_home()
    began_ns = time.monotonic_ns()
    model = resolve(spec, workspace, progress, trust=trust, shapes=shapes)
    resolved_ns = time.monotonic_ns()
    samples = samples_for(model.recipe, precision)
    phases_ns = {"resolve": resolved_ns - began_ns, "samples": time.monotonic_ns() - resolved_ns}
    try:
        artifact = conversion.make_artifact(model, runtime, precision, samples, workspace, progress, options)
    except NumericsError as error:
        if explain:
            request = conversion.request_of(model, runtime, precision, samples, options)
            _explain(error, request, workspace, progress)
        raise
    if target is not None:
        _copy(artifact, target)
    return {
        "schema": "edgeflow.artifact/1",
        "model": {"name": model.name, "origin": model.origin, "sha256": artifact.source_sha256},
        "path": str(target or artifact.path),
        "key": artifact.key,
        "runtime": artifact.runtime,
        "precision": artifact.precision,
        "weights_dtype": artifact.weights_dtype,
        "compute_dtype": artifact.compute_dtype,
        "files": dict(artifact.files),
        "sha256": dict(artifact.sha256),
        "size_bytes": artifact.size_bytes,
        "inputs": [tensor.to_json() for tensor in artifact.inputs],
        "outputs": [tensor.to_json() for tensor in artifact.outputs],
        "runtime_options": dict(artifact.runtime_options),
        "needs": None if artifact.needs is None else artifact.needs.to_json(),
        "tools": dict(artifact.tools),
        "notes": list(artifact.notes),
        "source": None if artifact.origin is None else dict(artifact.origin),
        "numerics": artifact.verdict.to_json(),
        "cached": artifact.cached,
        "phases_ns": {**phases_ns, **artifact.phases_ns},
        **({"explanation": AGREES} if explain else {}),
    }


def _explain(error: NumericsError, request: ConvertRequest, workspace: Workspace, progress: Progress) -> None:
    """Puts into `error` which node is to blame, or why that could not be told."""
    from edgeflow_converters.errors import ConvertError
    from edgeflow_converters.explain import explain

    try:
        found = explain(
            request,
            cache_root=workspace.cache_dir,
            tools_root=workspace.tools_dir,
            progress=lambda phase: progress.step(f"{phase} ({request.runtime} {request.precision})"),
        )
    except ConvertError as problem:
        error.hint = f"it could not be explained: {problem.message}"
        return
    if found is None:
        error.hint = f"{error.hint}; made again, its outputs agree as far as the samples tell"
        return
    error.explanation = {"schema": "edgeflow.explanation/1", **found.to_json()}
    error.hint = found.ways_out[0]


def _check_output(target: Path) -> Path:
    if target.exists() and not target.is_dir():
        raise UsageError(f"--output {target}: is a file, expected a folder")
    foreign = _foreign_files(target) if target.is_dir() else []
    if foreign:
        raise UsageError(
            f"--output {target}: holds other files ({foreign[0]})",
            hint="name a new folder, or one that holds nothing but an earlier artifact",
        )
    parent = next(folder for folder in (target, *target.parents) if folder.exists())
    if not os.access(parent, os.W_OK):
        raise UsageError(f"--output {target}: {parent} is not writable")
    return target


def _foreign_files(folder: Path) -> list[str]:
    """What a folder holds beside one artifact: replacing it would destroy these."""
    from edgeflow_converters.artifact import FILE_NAME, read_artifact
    from edgeflow_converters.errors import ConverterFailed

    try:
        own = {FILE_NAME, *read_artifact(folder, cached=True).files.values()}
    except ConverterFailed:
        own = set()
    return sorted(entry.name for entry in folder.iterdir() if entry.name not in own)


def _copy(artifact: Artifact, target: Path) -> None:
    """Fills a folder beside `target` and renames it there: the folder is whole or as it was."""
    staging = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    replaced = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(artifact.path, staging, ignore=shutil.ignore_patterns(_CACHE_RECORD))
        if target.exists():
            target.rename(replaced)
        staging.rename(target)
    except OSError as error:
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        raise UsageError(f"--output {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
