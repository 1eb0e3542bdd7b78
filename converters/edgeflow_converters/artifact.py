"""artifact.json: everything that made an artifact, beside the artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeflow_converters.base import Artifact
from edgeflow_converters.check import Verdict
from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.needs import Needs
from edgeflow_converters.tensors import TensorSpec

SCHEMA = "edgeflow.artifact/1"
FILE_NAME = "artifact.json"


def write_artifact(artifact: Artifact, folder: Path) -> None:
    """Write artifact.json into `folder`. `path` and `cached` are not content and are left out."""
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "key": artifact.key,
        "runtime": artifact.runtime,
        "precision": {
            "name": artifact.precision,
            "weights": artifact.weights_dtype,
            "compute": artifact.compute_dtype,
        },
        "source_sha256": artifact.source_sha256,
        "files": {
            role: {"name": name, "sha256": artifact.sha256[role]} for role, name in artifact.files.items()
        },
        "size_bytes": artifact.size_bytes,
        "inputs": [spec.to_json() for spec in artifact.inputs],
        "outputs": [spec.to_json() for spec in artifact.outputs],
        "pinned": dict(artifact.pinned),
        "runtime_options": dict(artifact.runtime_options),
        "tools": dict(artifact.tools),
        "notes": list(artifact.notes),
        "verdict": artifact.verdict.to_json(),
        "needs": None if artifact.needs is None else artifact.needs.to_json(),
        "source": None if artifact.origin is None else dict(artifact.origin),
    }
    (folder / FILE_NAME).write_text(json.dumps(data, indent=1) + "\n")


def read_artifact(folder: Path, *, cached: bool) -> Artifact:
    """The artifact in `folder`. Raises ConverterFailed for a file that is not one of ours."""
    path = folder / FILE_NAME
    try:
        data = json.loads(path.read_text())
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r}, expected {SCHEMA!r}")
        return Artifact(
            path=folder,
            key=data["key"],
            runtime=data["runtime"],
            precision=data["precision"]["name"],
            weights_dtype=data["precision"]["weights"],
            compute_dtype=data["precision"]["compute"],
            source_sha256=data["source_sha256"],
            files={role: entry["name"] for role, entry in data["files"].items()},
            sha256={role: entry["sha256"] for role, entry in data["files"].items()},
            size_bytes=data["size_bytes"],
            inputs=tuple(TensorSpec.from_json(spec) for spec in data["inputs"]),
            outputs=tuple(TensorSpec.from_json(spec) for spec in data["outputs"]),
            pinned=data.get("pinned", {}),
            runtime_options=data["runtime_options"],
            tools=data["tools"],
            notes=tuple(data["notes"]),
            verdict=Verdict.from_json(data["verdict"]),
            cached=cached,
            needs=Needs.from_json(data["needs"]) if data.get("needs") else None,
            origin=data.get("source"),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConverterFailed(
            f"{path} is not an artifact description: {error}", hint="convert the model again"
        ) from error
