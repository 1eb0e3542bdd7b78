"""The main job through the real command line, the real agent and the real runtimes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

MODEL = "zoo:pplcnet-orientation"
QUICK = ("--budget-s", "1")

# The contract of `deploy --json`: scripts of users rest on these keys.
KEYS = {
    "schema", "result_id", "status", "started_at", "device", "agent", "runtime", "precision", "threads",
    "affinity", "model", "artifact", "prediction", "latency_ms", "init_ms", "first_ms", "memory", "energy",
    "conditions", "numerics", "validity", "transfer", "samples_ns",
}  # fmt: skip
LATENCY_KEYS = {"median", "mad", "mean", "std", "min", "p50", "p90", "p95", "p99", "max", "n", "ci95"}


@pytest.mark.network
@pytest.mark.parametrize(
    ("runtime", "precision"),
    [("ncnn", "fp32"), ("ncnn", "fp16"), ("onnxruntime", "fp32"), ("onnxruntime", "fp16")],
)
def test_deploy_gives_the_right_answer_and_a_whole_result(
    edgeflow: Callable[..., Any], runtime: str, precision: str
) -> None:
    done = edgeflow("deploy", MODEL, "-r", runtime, "-p", precision, *QUICK, "--json")
    assert done.code == 0, done.err
    result = done.document
    assert result.keys() >= KEYS
    assert result["latency_ms"].keys() >= LATENCY_KEYS
    assert result["status"] == "ok"
    assert result["numerics"]["verdict"] == "pass"
    assert result["prediction"]["label"] == result["prediction"]["expected"] == "0"
    assert result["runtime"]["name"] == runtime
    assert result["precision"]["name"] == precision
    assert len(result["samples_ns"]) == result["latency_ms"]["n"] > 0
    assert result["memory"]["peak_rss_bytes"] > result["memory"]["model_bytes"] > 0
    assert result["energy"]["mj_per_inference"] is None
    assert result["energy"]["reason"]
    assert not result["device"]["facts"]["emulated"]


@pytest.mark.network
def test_fp32_really_is_fp32(edgeflow: Callable[..., Any]) -> None:
    result = edgeflow("deploy", MODEL, "-r", "ncnn", "-p", "fp32", *QUICK, "--json").document
    reduced = {
        name: value
        for name, value in result["runtime"]["options"].items()
        if name.startswith(("use_fp16", "use_bf16", "use_int8"))
    }
    assert {"use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"} <= reduced.keys()
    assert not any(reduced.values())
    assert result["precision"] == {"name": "fp32", "weights": "fp32", "compute": "fp32"}


@pytest.mark.network
def test_second_deploy_converts_and_pushes_nothing(fresh_edgeflow: Callable[..., Any]) -> None:
    words = ("deploy", MODEL, "-r", "onnxruntime", *QUICK, "--json")
    first, second = fresh_edgeflow(*words).document, fresh_edgeflow(*words).document
    assert not first["artifact"]["cached"]
    assert first["transfer"]["pushed_bytes"] > first["artifact"]["size_bytes"] * 0.9
    assert second["artifact"]["cached"]
    assert second["transfer"]["pushed_bytes"] == 0
    assert second["transfer"]["skipped_bytes"] > 0
    assert first["artifact"]["key"] == second["artifact"]["key"]


@pytest.mark.network
def test_results_are_kept_with_their_samples(fresh_edgeflow: Callable[..., Any]) -> None:
    result = fresh_edgeflow("deploy", MODEL, "-r", "onnxruntime", *QUICK, "--json").document
    listed = fresh_edgeflow("results", "list", "--json").document["results"]
    assert [row["result_id"] for row in listed] == [result["result_id"]]
    shown = fresh_edgeflow("results", "show", "last", "--json").document
    assert shown["samples_ns"] == result["samples_ns"]
    assert shown["series"]["starts_ns"] == sorted(shown["series"]["starts_ns"])
    rows = list(csv.DictReader(io.StringIO(fresh_edgeflow("results", "export", "--format", "csv").out)))
    assert float(rows[0]["latency_median_ms"]) == pytest.approx(result["latency_ms"]["median"])
    exported = json.loads(fresh_edgeflow("results", "export", "-f", "json").out)
    assert exported["results"][0]["samples_ns"] == result["samples_ns"]


@pytest.mark.network
def test_without_a_model_the_demo_runs_and_says_so(edgeflow: Callable[..., Any]) -> None:
    done = edgeflow("deploy", "--device", "local", "--runtime", "ncnn", *QUICK)
    assert done.code == 0, done.err
    assert "demo model" in done.err
    assert "right" in done.out


@pytest.mark.network
def test_threads_and_affinity_reach_the_runtime(edgeflow: Callable[..., Any]) -> None:
    done = edgeflow("deploy", MODEL, "-r", "ncnn", "--threads", 2, "--affinity", "0", *QUICK, "--json")
    if "macOS" in done.err:
        pytest.skip("macOS cannot bind a process to cores")
    result = done.document
    assert result["threads"] == 2
    assert result["affinity"] == [0]
    assert result["runtime"]["options"]["num_threads"] == 2
    assert "threads 2 > 1 core" in result["validity"]["reasons"]


@pytest.mark.network
def test_require_valid_turns_an_invalid_result_into_an_error(edgeflow: Callable[..., Any]) -> None:
    words = ("deploy", MODEL, "-r", "ncnn", "--threads", 64, "--affinity", "0", *QUICK)
    assert edgeflow(*words).code == 0
    done = edgeflow(*words, "--require-valid", "--json")
    assert done.code == 1
    assert "threads 64 > 1 core" in done.error_line
    assert done.document["validity"]["state"] != "valid"
