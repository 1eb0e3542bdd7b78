"""What edgeflow adds to a deploy whose artifact is cached and pushed: wall time minus the agent's loops.

    python benchmarks/second_deploy.py [--model zoo:pplcnet-orientation] [--runtime ncnn] [--runs 7]

Runs the real command line. The loops are the warm-up and the warm samples as the agent recorded them, which
last as long as the plan says; the rest (start of Python, probe, cache look-up, three worker starts, model
loads, the device's verdict, the store) is edgeflow's own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="zoo:pplcnet-orientation")
    parser.add_argument("--runtime", default="ncnn")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    deploy(options.model, options.runtime)
    own_s = []
    for _ in range(options.runs):
        wall_s, loops_s = deploy(options.model, options.runtime)
        own_s.append(wall_s - loops_s)
        print(f"wall {wall_s:.3f} s  loops {loops_s:.3f} s  own {own_s[-1]:.3f} s")
    print(f"own time: median {statistics.median(own_s):.3f} s, max {max(own_s):.3f} s; limit 1.0 s")


def deploy(model: str, runtime: str) -> tuple[float, float]:
    """Wall time of one deploy and the time its loops took, in seconds."""
    command = [sys.executable, "-m", "edgeflow.cli.main"]
    started = time.perf_counter()
    subprocess.run(
        [*command, "deploy", model, "-d", "local", "-r", runtime, "--quiet", "--json"],
        check=True,
        capture_output=True,
    )
    wall_s = time.perf_counter() - started
    shown = subprocess.run([*command, "results", "show", "last", "--json"], check=True, capture_output=True)
    result = json.loads(shown.stdout)
    if not result["artifact"]["cached"] or result["transfer"]["pushed_bytes"]:
        return wall_s, 0.0
    return wall_s, (sum(result["samples_ns"]) + sum(result["series"]["warmup_ns"])) / 1e9


if __name__ == "__main__":
    main()
