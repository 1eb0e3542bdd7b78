"""RSS of the Python agent's core before a model loads, as a zipapp on this interpreter: at most 20 MiB."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from edgeflow_agent.bundle import build_agent
from edgeflow_agent.channel import PipeStream
from edgeflow_agent.sysinfo import rss_bytes

TARGET_BYTES = 20 << 20


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        built = build_agent(Path(folder) / "agent.pyz")
        argv = [sys.executable, str(built.path), "core", "--work", folder]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert process.stdin is not None and process.stdout is not None
            PipeStream(process.stdout.fileno(), process.stdin.fileno()).read_frame()  # HELLO: it is ready
            found = rss_bytes(process.pid)
        finally:
            process.kill()
            process.wait()
    assert found is not None, "needs /proc"
    print(f"agent core before a model loads: {found / (1 << 20):.1f} MiB (target {TARGET_BYTES >> 20} MiB)")
    return 0 if found <= TARGET_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
