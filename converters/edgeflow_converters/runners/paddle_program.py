"""Writes a Paddle program of a prepared model. Spec: source, model, parameters. Answer: inputs, outputs."""

from __future__ import annotations

import sys
from pathlib import Path

from edgeflow_converters.paddle.writer import write_program
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    inputs, outputs = write_program(Path(spec["source"]), Path(spec["model"]), Path(spec["parameters"]))
    return {"inputs": inputs, "outputs": outputs}


if __name__ == "__main__":
    sys.exit(serve(work))
