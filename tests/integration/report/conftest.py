"""A store with what a report has to show: valid, suspect, invalid and emulated results, rounds, a sustained
run with temperatures, a failed job, one that did not run, cells that were left out, and a hostile model name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.bench.stats import summarize
from edgeflow.store import JobRow, Store, SweepBook, SweepRow, new_result_id

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">&{{data}}"
SWEEP = "swp1"
FACTORS = {
    ("ncnn", "fp32"): 1.0,
    ("ncnn", "fp16"): 0.82,
    ("onnxruntime", "fp32"): 1.31,
    ("onnxruntime", "fp16"): 1.62,
}
REL_ERR = {"fp32": 2e-6, "fp16": 4e-3}


@dataclass(frozen=True)
class Made:
    """Where the store is, and ids of results worth looking at."""

    home: Path
    sustained: str
    invalid: str
    hostile: str
    emulated: str
    samples: dict[str, list[int]]


def document(
    model: str, device: str, runtime: str, precision: str, samples: list[int], **changes: Any
) -> dict[str, Any]:
    emulated = device == "lab-phone"
    state, reasons = ("invalid", ["emulated"]) if emulated else changes.pop("validity", ("valid", []))
    sweep, repeat, mode = changes.pop("sweep", SWEEP), changes.pop("repeat", 1), changes.pop("mode", "quick")
    heat = changes.pop("heat", (None, None, None))
    return {
        "schema": "edgeflow.result/1", "result_id": new_result_id(), "status": "ok",
        "started_at": f"2026-11-2{repeat}T10:00:00.000+00:00", "elapsed_s": 3.0, "mode": mode,
        "request": {"model": f"zoo:{model}", "budget_s": None, "agent": None},
        "device": {"name": device, "transport": "adb", "facts": {
            "os": "android", "os_version": "14", "model": f"{device} model", "soc": "G2", "arch": "aarch64",
            "cores": 8, "clusters": [{"cores": [0, 1], "max_mhz": 2850.0, "part": "Cortex-X1"}],
            "memory_bytes": 8 << 30, "emulated": emulated, "thermal_zones": {"thermal_zone0": "cpu"},
        }},
        "agent": {"kind": "native", "version": "0.1.0", "build": "b1", "flags": "", "carrier": "stdio"},
        "runtime": {"name": runtime, "version": "1.20", "accelerator": "cpu", "options": {"threads": 2}},
        "precision": {"name": precision, "weights": precision, "compute": precision}, "threads": 2,
        "model": {"name": model, "origin": f"zoo model {model}", "sha256": "ab" * 32, "size_bytes": 7},
        "artifact": {"key": "k", "size_bytes": 6_500_000 if precision == "fp32" else 3_300_000, "tools": {}},
        "prediction": {"label": "0", "score": 0.9, "expected": "0", "input": "page.png"},
        "latency_ms": summarize(samples).to_json(), "init_ms": 8.0, "first_ms": 7.1, "stop": "ci",
        "memory": {"peak_rss_bytes": 50_000_000 if runtime == "ncnn" else 82_000_000, "model_bytes": 9},
        "energy": {"available": False, "reason": "no power sensor", "mj_per_inference": None},
        "conditions": {"temperature_c": dict(zip(("start", "end", "max"), heat, strict=True)),
                       "frequency_mhz": {}, "load": 0.2, "other_load": 0.01, "throttled": None},
        "numerics": {"verdict": "pass", "cosine_min": 0.999999, "rel_err_max": REL_ERR[precision]},
        "validity": {"state": state, "reasons": reasons, "notes": []},
        "sweep": {"id": sweep, "cell": "", "repeat": repeat},
    }  # fmt: skip


def fill(home: Path) -> Made:
    generator = np.random.default_rng(7)

    def drawn(ms: float, n: int = 120, drift: float = 0.0) -> list[int]:
        body = generator.lognormal(0, 0.03, n) + (generator.random(n) < 0.03) * generator.random(n)
        return [round(value) for value in 1e6 * ms * body * (1 + drift * np.linspace(0, 1, n))]

    with Store.open(home / "results.db") as store:
        book = SweepBook(store)
        made: list[tuple[dict[str, Any], dict[str, list[int]], JobRow]] = []

        def job(model: str, device: str, runtime: str, precision: str, repeat: int, mode: str) -> JobRow:
            cell = {
                "model": f"zoo:{model}", "device": device, "runtime": runtime, "precision": precision,
                "accelerator": "cpu", "threads": None, "mode": mode,
            }  # fmt: skip
            name = f"{model}-{device}-{runtime}-{precision}-{mode}"
            return JobRow(name, repeat, len(made), cell, "pending", device)

        def add(
            model: str, device: str, runtime: str, precision: str, samples: list[int],
            *, series: dict[str, list[int]] | None = None, **changes: Any,
        ) -> str:  # fmt: skip
            found = document(model, device, runtime, precision, samples, **changes)
            row = job(
                model, device, runtime, precision, changes.get("repeat", 1), changes.get("mode", "quick")
            )
            starts = [int(value) for value in np.cumsum([5_000, *samples[:-1]])]
            made.append((found, {"samples_ns": samples, "starts_ns": starts, **(series or {})}, row))
            return str(found["result_id"])

        for base, model in ((4.0, "pplcnet-orientation"), (15.0, "ppocr-det")):
            for speed, device in ((1.0, "pixel7"), (3.4, "rpi4"), (40.0, "lab-phone")):
                for (runtime, precision), factor in FACTORS.items():
                    if device == "rpi4" and (runtime, precision) == ("onnxruntime", "fp16"):
                        continue
                    for repeat in (1, 2):
                        emulated = add(
                            model, device, runtime, precision, drawn(base * speed * factor), repeat=repeat
                        )
        # The fastest of all on pixel7, and worth nothing.
        shaky = ("suspect", ["other load 31 %"])
        add("blazeface", "pixel7", "ncnn", "fp16", drawn(0.5), validity=shaky)
        wrong = ("invalid", ["CI ±24 %", "only 5 samples"])
        invalid = add("blazeface", "pixel7", "onnxruntime", "fp16", drawn(0.4), validity=wrong)
        add("blazeface", "pixel7", "ncnn", "fp32", drawn(1.0))
        hostile = add(HOSTILE, "pixel7", "ncnn", "fp32", drawn(2.0))
        hot = drawn(4.0, 3000, drift=0.45)
        seconds = sum(hot) / 1e9
        instants = [round(1e9 * at) for at in np.arange(0, seconds, 0.1)]
        warm = [round(1000 * (41 + 22 * (1 - np.exp(-at / 4e9)))) for at in instants]
        sustained = add(
            "pplcnet-orientation", "pixel7", "ncnn", "fp32", hot, mode="sustained",
            heat=(41.0, 62.0, 63.0), series={"temperature_t_ns": instants, "temperature_mc": warm},
        )  # fmt: skip
        failed = job("ppocr-det", "rpi4", "onnxruntime", "fp16", 1, "quick")
        pending = job("pplcnet-orientation", "rpi4", "onnxruntime", "fp16", 1, "quick")
        dropped = [
            {**failed.cell, "model": "zoo:blazeface", "device": "rpi4", "cell": "x",
             "reason": "ncnn does not offer int8 there", "runtime": "ncnn", "precision": "int8"},
        ]  # fmt: skip
        book.begin(
            SweepRow(
                SWEEP, "2026-11-21T10:00:00.000+00:00", "runtime choice", "plan.yaml", "d1", "/", None,
                {"models": ["zoo:ppocr-det"]}, {"notes": [], "dropped": dropped}, {},
            ),
            [*(row for _, _, row in made), failed, pending],
        )  # fmt: skip
        for found, series, row in made:
            commit = book.finisher(
                SWEEP, row.cell_id, row.repeat,
                device=row.device, attempts=1, result_id=found["result_id"],
            )  # fmt: skip
            store.add(found, series, also=commit)
        error = {"kind": "agent", "message": "rpi4: the worker was killed (signal 9)", "hint": "free memory"}
        book.settle(SWEEP, failed.cell_id, 1, status="failed", device="rpi4", attempts=2, error=error)
    samples = {found["result_id"]: series["samples_ns"] for found, series, _ in made}
    return Made(home, sustained, invalid, hostile, emulated, samples)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    home = tmp_path_factory.mktemp("report") / "home"
    home.mkdir()
    return fill(home)
