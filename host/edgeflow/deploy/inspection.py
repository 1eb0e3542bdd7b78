"""`edgeflow inspect`: what is inside of a model file or of an artifact's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.converter_errors import converter_errors
from edgeflow.errors import ConversionError, UsageError

if TYPE_CHECKING:
    from edgeflow.workspace import Workspace

SCHEMA = "edgeflow.inspect/1"


def inspect_document(named: Path, workspace: Workspace) -> dict[str, Any]:
    """The structure of a file, or of every model file of an artifact (schema edgeflow.inspect/1).

    Raises UsageError for what is not there, ConversionError for what is no whole model.
    """
    path = workspace.cwd / named
    if not path.exists():
        raise UsageError(f"{named}: no such file or folder")
    if path.is_dir():
        return _folder(named, path, workspace)
    return {"schema": SCHEMA, "path": str(named), "artifact": None, "files": [_file(path, workspace)]}


def _folder(named: Path, path: Path, workspace: Workspace) -> dict[str, Any]:
    from edgeflow_converters.artifact import FILE_NAME, read_artifact

    if not (path / FILE_NAME).is_file():
        raise ConversionError(
            f"{named}: holds no {FILE_NAME}, so it is no artifact", hint="name a model file, or that folder"
        )
    with converter_errors():
        artifact = read_artifact(path, cached=True)
    models = [name for name in artifact.files.values() if Path(name).suffix not in (".json", ".bin")]
    about = {
        "runtime": artifact.runtime,
        "precision": artifact.precision,
        "weights_dtype": artifact.weights_dtype,
        "compute_dtype": artifact.compute_dtype,
        "source_sha256": artifact.source_sha256,
        "size_bytes": artifact.size_bytes,
        "files": dict(artifact.files),
        "tools": dict(artifact.tools),
        "notes": list(artifact.notes),
        "numerics": artifact.verdict.to_json(),
    }
    files = [_file(path / name, workspace) for name in models]
    return {"schema": SCHEMA, "path": str(named), "artifact": about, "files": files}


def _file(path: Path, workspace: Workspace) -> dict[str, Any]:
    from edgeflow_converters.formats import describe

    with converter_errors():
        found = describe(path, workspace.tools_dir)
    return {"name": path.name, **found.to_json()}
