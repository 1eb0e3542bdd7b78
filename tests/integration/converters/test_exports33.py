"""The suite of PyTorch exports: made whole or not at all, and what converters alone get wrong agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeflow_converters import foreign
from edgeflow_converters.coverage import exports33
from edgeflow_converters.coverage.book import Book
from edgeflow_converters.coverage.case import AGREES, Ask, Case
from edgeflow_converters.coverage.run import Plan, run
from edgeflow_converters.errors import ConverterFailed

KEPT_BY_NO_TOOL_ALONE = {
    ("ncnn", "fp16"): ["vit-dynamo-20", "vit-torchscript-17"],
    ("mnn", "fp32"): ["bilstm-dynamo-18", "gru-torchscript-13"],
    ("tflite", "fp32"): ["bilstm-dynamo-18"],
    ("tflite", "int8-dynamic"): ["yolo-torchscript-17"],
}


@pytest.fixture(scope="module")
def exported(warm_home: Path, tools_root: Path) -> list[Case]:
    return exports33.cases(warm_home / "coverage", tools_root, lambda phase: None)


@pytest.mark.network
@pytest.mark.timeout(900)
def test_every_architecture_is_exported_each_way(exported: list[Case]) -> None:
    assert len(exported) == 33
    assert {name.rpartition("-torchscript")[0] for name in names(exported) if name.endswith("-13")} > {
        "mobilenet-v2", "efficientnet", "yolo", "unet", "vit", "gru", "bilstm",
    }  # fmt: skip
    assert all(len(case.inputs) == len(case.expected) > 1 for case in exported)


@pytest.mark.network
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("runtime", "precision"), KEPT_BY_NO_TOOL_ALONE)
def test_what_converters_alone_do_not_keep_agrees(
    runtime: str, precision: str, exported: list[Case], tools_root: Path, tmp_path: Path
) -> None:
    wanted = KEPT_BY_NO_TOOL_ALONE[runtime, precision]
    plan = Plan([case for case in exported if case.name in wanted], [Ask(runtime, precision)], limit_s=200)
    assert names(plan.cases) == wanted
    book = Book(tmp_path / "book.jsonl", "exports33", tools_root)
    results = run(plan, book, tools_root, tmp_path / "scratch", lambda *told: None)
    assert {name: outcome.why for (name, _), outcome in results.items() if outcome.state != AGREES} == {}


def test_exports_that_are_not_all_there_are_none(
    tmp_path: Path, tools_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(script: str, python: Path, spec: dict[str, Any], **options: object) -> dict[str, Any]:
        for number in range(32):
            folder = Path(spec["out"]) / str(number)
            folder.mkdir(parents=True)
            (folder / "model.onnx").write_bytes(b"")
        return {}

    monkeypatch.setattr(foreign, "call", call)
    with pytest.raises(ConverterFailed, match="32 of the 33"):
        exports33.cases(tmp_path / "kept", tools_root, lambda phase: None)
    assert list((tmp_path / "kept").iterdir()) == []


def names(cases: Any) -> list[str]:
    return [case.name for case in cases]
