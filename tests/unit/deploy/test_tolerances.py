"""A recipe overrides the table's tolerances key by key."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from edgeflow.config.recipe import load_recipe
from edgeflow.config.recipe_schema import ToleranceSpec
from edgeflow.deploy.conversion import tolerance_of
from edgeflow.deploy.resolve import ResolvedModel
from edgeflow_converters.check import Tolerance, tolerance_for


def test_every_figure_of_the_gate_can_be_set() -> None:
    assert set(ToleranceSpec.model_fields) == {field.name for field in fields(Tolerance)}


def test_only_what_is_named_changes(tmp_path: Path) -> None:
    path = tmp_path / "edgeflow.yaml"
    path.write_text(
        "name: m\nmodel: m.onnx\ninputs: {x: {shape: [1, 4]}}\ntolerances: {fp16: {rel_err_max: 0.2}}\n"
    )
    model = ResolvedModel(load_recipe(path), tmp_path / "m.onnx", "m", "test")
    table = tolerance_for("fp16")
    assert tolerance_of(model, "fp16").rel_err_max == 0.2
    assert tolerance_of(model, "fp16").cosine_min == table.cosine_min
    assert tolerance_of(model, "fp32") == tolerance_for("fp32")
