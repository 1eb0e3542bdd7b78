"""What the native agent's idle daemon costs: RSS at most 2 MiB, no CPU time; beside it sleep and an sshd."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import native_agent

RSS_LIMIT_BYTES = 2 << 20
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long CPU time is counted")
    seconds = parser.parse_args().seconds
    program = native_agent.program("edgeflow-agent")
    with tempfile.TemporaryDirectory() as folder:
        work = ["--work", folder]
        subprocess.run([program, "daemon", *work], stdout=subprocess.DEVNULL, check=True)
        try:
            (pid_file,) = Path(folder).glob("run/*/agent.pid")
            daemon = int(pid_file.read_text().split()[0])
            with subprocess.Popen(["sleep", str(seconds + 60)]) as sleep:
                try:
                    return _measure({"edgeflow-agent": daemon, "sleep": sleep.pid, **_sshd()}, seconds)
                finally:
                    sleep.kill()
        finally:
            subprocess.run([program, "stop", *work, "--force"], stdout=subprocess.DEVNULL, check=True)
            print(f"size of the core: {program.stat().st_size:,} bytes")


def _measure(processes: dict[str, int], seconds: float) -> int:
    before = {name: _cpu_s(pid) for name, pid in processes.items()}
    time.sleep(seconds)
    for name, pid in processes.items():
        used_s = _cpu_s(pid) - before[name]
        print(
            f"{name}: RSS {_status_kib(pid, 'VmRSS') / 1024:.2f} MiB "
            f"(its own pages {_status_kib(pid, 'RssAnon') / 1024:.2f} MiB), "
            f"CPU {used_s:.2f} s of {seconds:g} s ({100 * used_s / seconds:.2f} %)"
        )
    daemon = processes["edgeflow-agent"]
    is_small = _status_kib(daemon, "VmRSS") * 1024 <= RSS_LIMIT_BYTES
    is_idle = _cpu_s(daemon) - before["edgeflow-agent"] <= _TICK_S  # one tick is the smallest that shows
    return 0 if is_small and is_idle else 1


def _sshd() -> dict[str, int]:
    """An sshd of this machine, where one runs: the usual neighbour on a board."""
    found = subprocess.run(["pgrep", "-o", "-x", "sshd"], capture_output=True, text=True, check=False)
    return {"sshd": int(found.stdout)} if shutil.which("pgrep") and found.stdout.strip() else {}


def _status_kib(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/status has no {key}")


def _cpu_s(pid: int) -> float:
    """User and system time of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


if __name__ == "__main__":
    sys.exit(main())
