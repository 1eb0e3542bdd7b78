"""A report of 10,000 results of 100 samples: the time it takes, its size, and how soon it is drawn.

    python benchmarks/report_scale.py [--results 10000] [--keep FILE.html]

The report is made by the command line, interpreter and imports included, of a store that is filled first with
documents of a real one's size. With chromium and playwright there, the page is opened as well: the time until
it is drawn is told, without a limit. Exit 1 where a limit is missed: 10 s, 10 MB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SAMPLES, DEVICES = 100, 50
TIME_LIMIT_S, SIZE_LIMIT_BYTES = 10.0, 10_000_000
ZONES = {f"thermal_zone{zone}": "cpu-thermal" for zone in range(30)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="a copy of the report")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="edgeflow-report-") as name:
        folder = Path(name)
        fill(folder, options.results)
        page = folder / "report.html"
        began = time.monotonic()
        words = [sys.executable, "-m", "edgeflow.cli.main", "report", "--all", "--quiet", "-o", str(page)]
        subprocess.run(
            words, check=True, env={**os.environ, "EDGEFLOW_HOME": name}, stdout=subprocess.DEVNULL
        )
        took, size = time.monotonic() - began, page.stat().st_size
        print(f"report of {options.results} results of {SAMPLES} samples: {took:.2f} s, {size / 1e6:.2f} MB")
        shown = drawn_after_s(page)
        print("browser: not there" if shown is None else f"browser: all is drawn after {shown:.2f} s")
        if options.keep:
            shutil.copyfile(page, options.keep)
    missed = [
        word for word, met in (("time", took <= TIME_LIMIT_S), ("size", size <= SIZE_LIMIT_BYTES)) if not met
    ]
    if missed:
        print("missed: " + ", ".join(missed))
    return 1 if missed else 0


def fill(home: Path, count: int) -> None:
    """Fifty devices, four configurations of each model, latencies of 1 to 30 ms that spread by 5 %."""
    import numpy as np

    from edgeflow.bench.stats import summarize
    from edgeflow.store import Store, new_result_id

    generator = np.random.default_rng(1)
    with Store.open(home / "results.db") as store:
        for index in range(count):
            middle = 1e6 * (1 + 29 * generator.random())
            samples = [round(x) for x in middle * generator.lognormal(0, 0.05, SAMPLES)]
            document = plausible(new_result_id(), index, summarize(samples).to_json(), generator)
            store.add(document, {"samples_ns": samples, "starts_ns": samples, "warmup_ns": samples[:5]})


def plausible(result_id: str, index: int, latency: dict[str, Any], generator: Any) -> dict[str, Any]:
    """A document of about a real one's size, with figures that differ as real ones do."""
    device, kind = index % DEVICES, index // DEVICES % 4
    figures = [float(x) for x in generator.random(8)]
    outputs = {
        name: {"cosine": 1 - 1e-6 * kind, "rel_err": 1e-6 * device, "shape": [1, 1000]} for name in ("a", "b")
    }
    return {
        "schema": "edgeflow.result/1", "result_id": result_id, "status": "ok", "mode": "quick",
        "started_at": f"2026-11-22T10:{index // 60 % 60:02}:{index % 60:02}.{index % 1000:03}+00:00",
        "elapsed_s": 3.0,
        "request": {"model": f"zoo:model{index // (4 * DEVICES)}", "budget_s": None, "agent": None},
        "device": {"name": f"device{device}", "transport": "ssh", "facts": {
            "model": f"Board {device}", "os": "linux", "memory_bytes": 8 << 30,
            "memory_available_bytes": int(8e9 * figures[7]), "disk_free_bytes": int(8e9 * figures[6]),
            "thermal_zones": ZONES, "emulated": False}},
        "agent": {"kind": "native", "version": "0.1.0", "build": f"b{device}", "flags": ""},
        "runtime": {"name": ("ncnn", "onnxruntime")[kind % 2], "version": "1.0", "accelerator": "cpu",
                    "options": dict.fromkeys(ZONES, 0)},
        "precision": {"name": ("fp32", "fp16")[kind // 2], "weights": "fp32", "compute": "fp32"},
        "threads": 1,
        "model": {"name": f"model{index // (4 * DEVICES)}", "sha256": "ab" * 32, "size_bytes": 7},
        "artifact": {"key": f"{index // DEVICES:064}", "size_bytes": 6_000_000 + index // DEVICES},
        "latency_ms": latency, "init_ms": 9 * figures[0], "first_ms": 9 * figures[1],
        "memory": {"peak_rss_bytes": int(1e8 * figures[2]), "model_bytes": int(1e7 * figures[3])},
        "energy": {"available": False, "reason": "no sensor", "mj_per_inference": None},
        "conditions": {"temperature_c": {"start": 40 + figures[4], "end": 41.0, "max": 42.0},
                       "frequency_mhz": {}, "load": 0.5, "other_load": figures[5] / 9, "throttled": None},
        "numerics": {"verdict": "pass", "cosine_min": 1 - 1e-6 * kind, "rel_err_max": 1e-6 * device,
                     "outputs": outputs},
        "validity": {"state": "valid", "reasons": [], "notes": []},
    }  # fmt: skip


def drawn_after_s(page: Path) -> float | None:
    """From the address to the drawn page, in the browser that is here; None where there is none."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if browser is None:
        return None
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = opened.new_page()
        began = time.monotonic()
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready]", state="attached")
        took = time.monotonic() - began
        opened.close()
    return took


if __name__ == "__main__":
    sys.exit(main())
