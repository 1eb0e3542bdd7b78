"""Remembers what a model file said about itself: reading it again would import ONNX for nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgeflow_converters import digest
from edgeflow_converters.cache import Cache
from edgeflow_converters.inspect import ModelInfo, PortInfo, inspect_model

_FILE = "model_info.json"
_LAYOUT = 1  # of the file: raise it with ModelInfo's fields


def inspect_cached(path: Path, cache: Cache) -> ModelInfo:
    """As inspect_model, by the file's content. Raises as it does, and CacheUnwritable.

    A model with external data is read every time: its own bytes do not say what the other files hold.
    """
    if not path.is_file():
        return inspect_model(path)
    key = digest.of_json({"layout": _LAYOUT, "sha256": digest.of_file(path), "onnx": version("onnx")})
    found = cache.find("inspect", key)
    if found is not None:
        return _from_json(json.loads((found / _FILE).read_text()), path)
    info = inspect_model(path)
    if info.size_bytes == path.stat().st_size:
        facts = {**asdict(info), "path": ""}
        cache.build("inspect", key, lambda folder: _write(folder / _FILE, facts))
    return info


def _write(path: Path, facts: dict[str, Any]) -> None:
    path.write_text(json.dumps(facts))


def _from_json(facts: dict[str, Any], path: Path) -> ModelInfo:
    ports = {
        side: tuple(PortInfo(port["name"], port["dtype"], tuple(port["shape"])) for port in facts[side])
        for side in ("inputs", "outputs")
    }
    return ModelInfo(**{**facts, **ports, "path": path})
