"""How long `edgeflow --help` takes, beside a Python that does nothing, in turn.

python benchmarks/help_time.py [--runs 21]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=21)
    options = parser.parse_args()
    commands = {
        "edgeflow --help": [sys.executable, "-m", "edgeflow.cli.main", "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.runs):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - started)
    for name, times in seconds.items():
        print(f"{name}: median {statistics.median(times):.3f} s, min {min(times):.3f} s")
    pairs = zip(*seconds.values(), strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"ratio, median of pairs: {ratio:.1f}; limit 0.25 s on an idle core")


if __name__ == "__main__":
    main()
