"""Runs an ONNX model over samples: the product of target onnxruntime, or the reference.

Spec: model, optimise, samples, result (.npz files).
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.ort_session import Session
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    session = Session(Path(spec["model"]), optimise=spec["optimise"])
    samples = load_sets(Path(spec["samples"]))
    save_sets(Path(spec["result"]), [session.run(sample) for sample in samples])
    return {}


if __name__ == "__main__":
    sys.exit(serve(work))
