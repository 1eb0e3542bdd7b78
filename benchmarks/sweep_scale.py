"""What a sweep costs its host, on 10 to 200 simulated devices, and lists and comparisons of 10,000 results.

    python benchmarks/sweep_scale.py [--devices 10,50,200] [--jobs 4] [--seconds 1]

A simulated device is a work folder of this machine with a real agent of its own, held open through the sweep;
its null jobs sleep for most of their time, so that many fit on a few cores. The host's own CPU time and
memory are those of this process alone: agents and workers are its children and are not counted. Each size is
run in a process of its own. Exit 1 where a limit is missed: 25 ms of host CPU a job, 1 MiB of host memory a
device, 1 s for a list and for a comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CPU_LIMIT_MS, MEMORY_LIMIT_MIB, QUERY_LIMIT_S = 25.0, 1.0, 1.0
RESULTS, SAMPLES = 10_000, 100


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", default="10,50,200", help="how many, of each run")
    parser.add_argument("--jobs", type=int, default=4, help="jobs a device")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a job measures")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(sweep(options.one, options.jobs, options.seconds)))
        return 0
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    rows = []
    for count in map(int, options.devices.split(",")):
        words = [sys.executable, __file__, "--one", str(count), "--jobs", str(options.jobs)]
        done = subprocess.run(
            [*words, "--seconds", str(options.seconds)], check=True, stdout=subprocess.PIPE, text=True
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        row = rows[-1]
        print(
            f"{row['devices']:4} devices  {row['jobs']:5} jobs  {row['jobs'] / row['wall_s']:6.2f} jobs/s  "
            f"host CPU {row['cpu_ms']:5.1f} ms a job  host memory {row['rss_mib']:6.1f} MiB "
            f"({row['start_mib']:.1f} before)",
            flush=True,
        )
    missed = [f"{row['devices']} devices: CPU" for row in rows if row["cpu_ms"] > CPU_LIMIT_MS]
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        each = (last["rss_mib"] - first["rss_mib"]) / (last["devices"] - first["devices"])
        print(f"each further device: {each:.2f} MiB of host memory")
        missed += ["memory"] if each > MEMORY_LIMIT_MIB else []
    for name, seconds in queries().items():
        print(f"{name} over {RESULTS} results of {SAMPLES} samples: {seconds:.2f} s")
        missed += [name] if seconds > QUERY_LIMIT_S else []
    if missed:
        print("missed: " + ", ".join(missed))
    return 1 if missed else 0


def sweep(count: int, jobs: int, seconds: float) -> dict[str, Any]:
    """One sweep in this process."""
    from edgeflow.sweep.request import SweepRequest
    from edgeflow.sweep.sweep import sweep_document
    from edgeflow.workspace import Workspace

    with tempfile.TemporaryDirectory(prefix="edgeflow-scale-") as name:
        folder = Path(name)
        write_model(folder / "tiny.onnx")
        devices = "".join(f"  d{i}: {{transport: local, work_dir: {folder}/d{i}}}\n" for i in range(count))
        (folder / "devices.yaml").write_text("devices:\n" + devices)
        workspace = Workspace(folder / "home", folder, folder / "devices.yaml")
        words = {"models": ["tiny.onnx"], "runtimes": ["null"], "repeats": jobs, "budget_s": seconds}
        flags = {**words, "devices": [f"d{i}" for i in range(count)], "attempts": 1}
        sleep_ns = round(seconds * 1e9 / SAMPLES)
        # What is imported once, however many devices there are, is no cost of a device or a job.
        warm = {**flags, "devices": ["d0"], "repeats": 1}
        sweep_document(SweepRequest(flags=warm), workspace, null_options={"delay_ns": sleep_ns})
        before, cpu, began = rss_mib(), own_cpu_s(), time.monotonic()
        document = sweep_document(SweepRequest(flags=flags), workspace, null_options={"delay_ns": sleep_ns})
        wall_s, used_s = time.monotonic() - began, own_cpu_s() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        done = document["counts"]["ok"]
        if done != count * jobs:
            raise SystemExit(f"{document['counts']}: {[job['error'] for job in document['jobs']][:3]}")
    return {
        "devices": count, "jobs": done, "wall_s": wall_s, "cpu_ms": 1000 * used_s / done, "rss_mib": peak,
        "start_mib": before,
    }  # fmt: skip


def queries() -> dict[str, float]:
    """A list and a comparison, each as the command line calls it, in a new store."""
    import numpy as np

    from edgeflow import api
    from edgeflow.bench.stats import summarize
    from edgeflow.store import Store, SweepBook, SweepRow, new_result_id
    from edgeflow.workspace import Workspace

    with tempfile.TemporaryDirectory(prefix="edgeflow-scale-") as name:
        home = Path(name)
        generator = np.random.default_rng(1)
        with Store.open(home / "results.db") as store:
            book = SweepBook(store)
            for sweep_id in ("aaaa", "bbbb"):
                book.begin(
                    SweepRow(
                        sweep_id, "2026", None, None, "0", "/", None, {}, {"dropped": [], "notes": []}, {}
                    ),
                    [],
                )
                for index in range(RESULTS // 2):
                    samples = [round(x) for x in 1e6 * generator.lognormal(0, 0.05, SAMPLES)]
                    document = plausible(new_result_id(), index, summarize(samples).to_json(), sweep_id)
                    with_samples = {"samples_ns": samples, "starts_ns": samples, "warmup_ns": samples[:5]}
                    store.add(document, with_samples)
        workspace = Workspace(home, home)
        took = {}
        for what, call in (
            ("results list", lambda: api.list_results(workspace)),
            ("results list --limit 10000", lambda: api.list_results(workspace, limit=RESULTS)),
            ("compare", lambda: api.compare("aaaa", "bbbb", workspace)),
        ):
            began = time.monotonic()
            call()
            took[what] = time.monotonic() - began
    return took


def plausible(result_id: str, index: int, latency: dict[str, Any], sweep_id: str) -> dict[str, Any]:
    """A document of about a real one's size."""
    zones = {f"thermal_zone{zone}": "cpu-thermal" for zone in range(30)}
    return {
        "schema": "edgeflow.result/1", "result_id": result_id, "status": "ok", "mode": "quick",
        "started_at": "2026-11-22T10:00:00.000+00:00", "elapsed_s": 3.0,
        "device": {"name": f"device{index % 200}", "transport": "ssh", "facts": {"thermal_zones": zones}},
        "runtime": {"name": "ncnn", "version": "1.0", "accelerator": "cpu",
                    "options": dict.fromkeys(zones, 0)},
        "precision": {"name": "fp32", "weights": "fp32", "compute": "fp32"}, "threads": 1,
        "model": {"name": f"model{index // 200}", "sha256": "ab" * 32, "size_bytes": 7},
        "latency_ms": latency, "numerics": {"verdict": "pass", "outputs": dict.fromkeys(zones, 1.0)},
        "validity": {"state": "valid", "reasons": []}, "sweep": {"id": sweep_id, "cell": "", "repeat": 1},
    }  # fmt: skip


def write_model(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "tiny",
        [tensor("x", TensorProto.FLOAT, [1, 8])], [tensor("y", TensorProto.FLOAT, [1, 8])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)


def own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    sys.exit(main())
