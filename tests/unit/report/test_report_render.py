"""The HTML around a report's document: hostile names, the policy, and the bundled library."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

import edgeflow.report
from edgeflow.report.document import command_of
from edgeflow.report.render import MARK, render
from edgeflow.report.warnings import warnings_of

ASSETS = Path(edgeflow.report.__file__).parent / "assets"
HOSTILE = "</script><img src=x onerror=alert(1)><!-- {{script}} & \u2028 \\u003c"


def test_a_hostile_name_stays_data() -> None:
    text = render({"name": HOSTILE, "results": [HOSTILE]}).decode()
    plain = render({"name": "x", "results": ["x"]}).decode()
    for word in ("<img", "</script", "<!--"):
        assert text.count(word) == plain.count(word), word
    (data,) = re.findall(r'id="report-data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data)["results"] == [HOSTILE]


def test_only_the_two_scripts_may_run_and_nothing_may_be_loaded() -> None:
    text = render({"name": "x"}).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy and "http" not in policy
    assert policy.count("'sha256-") == 2
    assert MARK in render({"name": "x"})[:4096]


def test_our_scripts_make_no_html_of_text() -> None:
    for script in ASSETS.glob("*.js"):
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script.read_text()
        )
        assert found is None, f"{script.name}: {found}"


def test_the_library_is_the_one_that_its_note_names() -> None:
    note = (ASSETS / "echarts" / "README.md").read_text()
    library = (ASSETS / "echarts" / "echarts.min.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() in note
    version = re.findall(rb'[a-z]\.version="([\d.]+)"', library)
    assert version and f"version {version[-1].decode()}" in note
    assert "Apache License" in (ASSETS / "echarts" / "LICENSE").read_text()
    assert "Apache ECharts" in (ASSETS / "echarts" / "NOTICE").read_text()


def document(**changes: Any) -> dict[str, Any]:
    return {
        "result_id": "r1", "device": {"name": "my phone", "facts": {"emulated": False}}, "threads": 4,
        "mode": "quick", "precision": {"name": "fp16"}, "affinity": [4, 5], "governor": "performance",
        "runtime": {"name": "ncnn", "version": "1", "accelerator": "cpu"},
        "model": {"name": "m", "origin": "zoo model m", "sha256": "a"}, "validity": {"state": "valid"},
        "request": {"model": "a b.onnx", "budget_s": 2.0, "agent": None},
    } | changes  # fmt: skip


def test_the_command_repeats_what_was_measured() -> None:
    command = command_of(document())
    assert command is not None
    assert " ".join(command) == (
        "edgeflow deploy 'a b.onnx' --device 'my phone' --runtime ncnn --precision fp16 --threads 4 "
        "--affinity 4,5 --governor performance --mode quick --budget-s 2"
    )


def test_of_an_old_result_only_a_zoo_model_is_known() -> None:
    old = document()
    del old["request"]
    command = command_of(old)
    assert command is not None and command[0] == "edgeflow deploy zoo:m"
    assert command_of({**old, "model": {"name": "m", "origin": "m.onnx with a default recipe"}}) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"validity": {"state": "suspect"}}, "1 suspect"),
        ({"device": {"name": "lab", "facts": {"emulated": True}}}, "prove nothing: lab"),
        ({"model": {"name": "m", "sha256": "b"}}, "several model files (their SHA-256 differ): m"),
        ({"runtime": {"name": "ncnn", "version": "2"}}, "ncnn on my phone (1, 2)"),
    ],
)
def test_what_a_reader_must_know_is_told(changes: dict[str, Any], words: str) -> None:
    assert warnings_of([document(), document()], None, 0) == []
    (warning,) = warnings_of([document(), document(**changes)], None, 0)
    assert words in warning
