"""Prepares a model in a process of its own. Spec: the arguments of prepare.prepare, files as paths."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from edgeflow_converters.arrays import load_sets
from edgeflow_converters.prepare import prepare
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    prepared = prepare(
        Path(spec["source"]),
        Path(spec["out"]),
        shapes={name: tuple(shape) for name, shape in spec["shapes"].items()},
        samples=load_sets(Path(spec["samples"])),
        reference=load_sets(Path(spec["reference"])),
        simplify=spec["simplify"],
        expand=spec["expand"],
        types=spec["types"],
        flags=spec["flags"],
        opset=spec["opset"],
        rewrite_names=spec["rewrites"],
    )
    return asdict(prepared)


if __name__ == "__main__":
    sys.exit(serve(work))
