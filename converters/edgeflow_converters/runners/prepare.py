"""Prepares a model in a process of its own. Spec: the arguments of prepare.prepare, files as paths."""

from __future__ import annotations

import sys
from pathlib import Path

from edgeflow_converters.arrays import load_sets
from edgeflow_converters.prepare import prepare
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    notes, trial_ns = prepare(
        Path(spec["source"]),
        Path(spec["out"]),
        shapes={name: tuple(shape) for name, shape in spec["shapes"].items()},
        samples=load_sets(Path(spec["samples"])),
        reference=load_sets(Path(spec["reference"])),
        simplify=spec["simplify"],
        expand=spec["expand"],
        rewrite_names=spec["rewrites"],
    )
    return {"notes": notes, "trial_ns": trial_ns}


if __name__ == "__main__":
    sys.exit(serve(work))
