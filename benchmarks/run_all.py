"""Runs every benchmark, one after another: what `make bench` does.

The last figures are in docs/performance.md. Run it on a quiet machine. A script that misses its limit says so
and exits 1; the others run all the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMMANDS = (
    ("harness_overhead.py", "--zoo", "ppocr-det", "--runtime", "ncnn"),
    ("harness_overhead.py", "--zoo", "mlsd-tiny", "--runtime", "onnxruntime"),
    ("second_deploy.py",),
    ("help_time.py",),
    ("agent_rss.py",),
    ("native_idle.py",),
    ("ssh_push.py",),
    ("adb_push.py",),
    ("sweep_scale.py",),
    ("report_scale.py",),
    ("dask_scale.py",),
    ("int8_accuracy.py",),
    ("convert_time.py",),
)


def main() -> int:
    missed = []
    for script, *arguments in COMMANDS:
        print(f"\n== {script} {' '.join(arguments)}", flush=True)
        path = Path(__file__).parent / script
        if subprocess.run([sys.executable, str(path), *arguments], check=False).returncode:
            missed.append(script)
    if missed:
        print(f"\nmissed or failed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
