"""What a sweep over two lab hosts costs home, Dask's scheduler and a lab host, by processes on this machine.

    python benchmarks/dask_scale.py [--devices 4,24] [--jobs 6] [--seconds 1]

The devices are work folders of this machine with real agents; their null jobs sleep for most of their time.
CPU time and memory are those of the three processes alone, without the agents below a lab host. Nothing is
judged: docs/scaling.md reckons with the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweep_scale import SAMPLES, own_cpu_s, rss_mib, write_model


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", default="4,24", help="how many, of each run")
    parser.add_argument("--jobs", type=int, default=6, help="jobs a device")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a job measures")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(sweep(options.one, options.jobs, options.seconds)))
        return 0
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    for count in map(int, options.devices.split(",")):
        words = [sys.executable, __file__, "--one", str(count), "--jobs", str(options.jobs)]
        done = subprocess.run(
            [*words, "--seconds", str(options.seconds)], check=True, stdout=subprocess.PIPE, text=True
        )
        row = json.loads(done.stdout.splitlines()[-1])
        parts = ", ".join(
            f"{name} {row[name]['cpu_ms']:.1f} ms a job and {row[name]['mib']:.1f} MiB (before: "
            f"{row[name]['before_mib']:.1f})"
            for name in ("home", "scheduler", "lab host")
        )
        print(f"{count} devices, {row['jobs']} jobs: {parts}; a result is {row['result_bytes']} bytes "
              f"on the way home, {row['store_bytes']} in the store", flush=True)  # fmt: skip
    return 0


def sweep(count: int, jobs: int, seconds: float) -> dict[str, Any]:
    """One sweep whose home is this process, on devices of two lab hosts."""
    from edgeflow.store import Store
    from edgeflow.sweep.request import SweepRequest
    from edgeflow.sweep.sweep import sweep_document
    from edgeflow.workspace import Workspace

    with tempfile.TemporaryDirectory(prefix="edgeflow-scale-") as name, cluster(Path(name), count) as (
        executor, scheduler, host,
    ):  # fmt: skip
        folder = Path(name)
        write_model(folder / "tiny.onnx")
        workspace = Workspace(folder / "home", folder)
        flags = {"models": ["tiny.onnx"], "runtimes": ["null"], "budget_s": seconds, "attempts": 1}
        delay = {"delay_ns": round(seconds * 1e9 / SAMPLES)}
        processes = {"home": None, "scheduler": scheduler, "lab host": host}
        # What is imported once, however many devices there are, is no cost of a device or a job.
        warm = {**flags, "devices": ["d0", "d1"]}
        sweep_document(SweepRequest(flags=warm, executor=executor), workspace, null_options=delay)
        before = {name: used(pid) for name, pid in processes.items()}
        flags = {**flags, "devices": ["all"], "repeats": jobs}
        document = sweep_document(SweepRequest(flags=flags, executor=executor), workspace, null_options=delay)
        after = {name: used(pid) for name, pid in processes.items()}
        done = document["counts"]["ok"]
        if done != count * jobs:
            raise SystemExit(f"{document['counts']}: {[job['error'] for job in document['jobs']][:3]}")
        result_id = document["jobs"][0]["result_id"]
        with Store.open(workspace.store_path) as store:
            result, samples = store.get(result_id), store.samples_of([result_id])[result_id]
        way_home = len(pickle.dumps((result, [int(value) for value in samples] * 2)))
        in_store = workspace.store_path.stat().st_size // done
    jobs_of = {"home": done, "scheduler": done, "lab host": done / 2}
    return {
        "jobs": done, "result_bytes": way_home, "store_bytes": in_store,
        **{
            name: {
                "cpu_ms": 1000 * (after[name][0] - before[name][0]) / jobs_of[name],
                "mib": after[name][1], "before_mib": before[name][1],
            }
            for name in processes
        },
    }  # fmt: skip


def used(pid: int | None) -> tuple[float, float]:
    """CPU seconds and MiB of a process; None: this one."""
    if pid is None:
        return own_cpu_s(), rss_mib()
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    ticks = int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def cluster(folder: Path, count: int) -> Iterator[tuple[str, int, int]]:
    """A scheduler and two lab hosts: the executor's name, and the processes of one and of the other."""
    started: list[subprocess.Popen[str]] = []
    words = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    try:
        told = start(started, [sys.executable, "-m", "distributed.cli.dask_scheduler", *words], folder)
        address = next(line for line in told if "Scheduler at:" in line).rpartition("//")[2].strip()
        for side in (0, 1):
            there = folder / f"host{side}"
            there.mkdir()
            names = [f"d{index}" for index in range(side, count, 2)]
            entries = "".join(f"  {name}: {{transport: local, work_dir: {there}/{name}}}\n" for name in names)
            (there / "devices.yaml").write_text("devices:\n" + entries)
            command = [sys.executable, "-m", "edgeflow.cli.main", "worker", f"dask://{address}"]
            told = start(started, command, there)
            next(line for line in told if "joined" in line)
        yield f"dask://{address}", started[0].pid, started[1].pid
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def start(started: list[subprocess.Popen[str]], command: list[str], folder: Path) -> Iterator[str]:
    """Starts a process in a folder with a home of its own; what it says at its beginning."""
    log = folder / f"log{len(started)}"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "EDGEFLOW_HOME": str(folder / "home")},
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, text=True,
        )  # fmt: skip
    started.append(process)
    seen = 0
    while process.poll() is None:
        lines = log.read_text().splitlines(keepends=True)
        yield from (line for line in lines[seen:] if line.endswith("\n"))
        seen = sum(line.endswith("\n") for line in lines)
        time.sleep(0.05)
    raise SystemExit(f"{' '.join(command)} ended: {log.read_text()[-500:]}")


if __name__ == "__main__":
    sys.exit(main())
