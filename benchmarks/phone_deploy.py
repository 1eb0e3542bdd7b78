"""What edgeflow adds to a deploy on a phone that has everything: wall time minus push and the model's time.

    edgeflow lab up lab-pixel7          (root; or a real phone in devices.yaml)
    python benchmarks/phone_deploy.py --devices-file FILE --device lab-pixel7 [--runs 5]

The model's time is the bench's load, first run, warm-up and samples as the agent recorded them, and the
phases that are made of inferences: verify (the gate's inputs), memory and energy. On an emulated phone these
take longer than all else. What is left is edgeflow's own: probe, starts of workers, look-ups, verdict, store.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from edgeflow import api
from edgeflow.workspace import Workspace

LIMIT_S = 2.0
INFERENCES = ("verify", "measure memory", "measure energy")


class Clock:
    """A Progress that adds up how long each phase took, by its first words."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._phase, self._since = "before", time.perf_counter()

    def step(self, text: str) -> None:
        now = time.perf_counter()
        self.seconds[self._phase] += now - self._since
        words = text.split()
        self._phase, self._since = " ".join(words[: 2 if words[0] == "measure" else 1]), now
        if words[0] == "measure" and words[1] not in ("memory", "energy"):
            self._phase = "bench"

    def update(self, done: float, total: float | None) -> None:
        del done, total

    def note(self, text: str) -> None:
        print(f"  note: {text}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--devices-file", type=Path)
    parser.add_argument("--device", default="lab-pixel7")
    parser.add_argument("--model", default="zoo:pplcnet-orientation")
    parser.add_argument("--runtime", default="ncnn")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    workspace = Workspace.default(devices_file=options.devices_file)
    request = api.DeployRequest(
        model=options.model, device=options.device, runtime=options.runtime, budget_s=1.0
    )
    api.deploy(request, workspace)  # what is slow once: conversion, build, push
    own = [measured(request, workspace) for _ in range(options.runs)]
    median = statistics.median(own)
    print(f"own time: median {median:.3f} s, max {max(own):.3f} s; limit {LIMIT_S} s")
    return 0 if median <= LIMIT_S else 1


def measured(request: api.DeployRequest, workspace: Workspace) -> float:
    """The own time of one deploy, in seconds; prints where its time went."""
    clock, started = Clock(), time.perf_counter()
    result = api.deploy(request, workspace, clock).document
    clock.step("end")
    wall_s = time.perf_counter() - started
    series = api.show_result(str(result["result_id"]), workspace)["series"]
    loops_s = (sum(result["samples_ns"]) + sum(series["warmup_ns"])) / 1e9
    loops_s += (result["init_ms"] + result["first_ms"]) / 1e3
    inferences_s = sum(clock.seconds[name] for name in INFERENCES)
    push_s = result["transfer"]["seconds"]
    own_s = wall_s - loops_s - push_s - inferences_s
    phases = "  ".join(f"{name} {seconds:.2f}" for name, seconds in clock.seconds.items())
    print(
        f"wall {wall_s:.2f} s  bench {loops_s:.2f}  push {push_s:.2f}  other inferences {inferences_s:.2f}  "
        f"own {own_s:.2f}\n  phases: {phases}"
    )
    return own_s


if __name__ == "__main__":
    sys.exit(main())
