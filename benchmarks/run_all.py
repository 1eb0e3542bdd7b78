"""Runs every benchmark with its defaults, one after another: what `make bench` does.

The last figures are in docs/performance.md. Run it on a quiet machine.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> None:
    for script in sorted(Path(__file__).parent.glob("*.py")):
        if script.name != Path(__file__).name:
            print(f"\n== {script.name}", flush=True)
            subprocess.run([sys.executable, str(script)], check=True)


if __name__ == "__main__":
    main()
