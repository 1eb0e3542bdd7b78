"""Of several ways to quantize, the gate's favourite: what is tried, what is kept, what is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.base import ConvertRequest, Product
from edgeflow_converters.check import compare, tolerance_for
from edgeflow_converters.errors import ConverterFailed, UnsupportedModel
from edgeflow_converters.targets import best
from edgeflow_converters.targets.best import best_of, strain

RIGHT = [{"y": np.random.default_rng(seed).normal(size=(1, 40)).astype("f4")} for seed in range(3)]
PRODUCT = Product({"model": "m.bin"}, (), (), {}, "int8", "int8", {}, ("made",))


class Scales:
    """A target whose product is one number, by which it multiplies the right outputs."""

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        factor = float((folder / product.files["model"]).read_text())
        save_sets(result, [{"y": sample["y"] * factor} for sample in load_sets(samples)])


@pytest.fixture
def tried() -> list[float]:
    return []


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: list[float]) -> Callable[..., str]:
    """best_of over ways that are factors or errors; the text of the file that it kept, and its notes."""

    def reference(runner: str, spec: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        assert runner == "onnxruntime"
        save_sets(Path(spec["result"]), RIGHT)
        return {}

    monkeypatch.setattr(best.process, "call", reference)

    def maker(way: float | Exception) -> best.Maker:
        def make(folder: Path) -> Product:
            if isinstance(way, Exception):
                raise way
            tried.append(way)
            (folder / "m.bin").write_text(str(way))
            return PRODUCT

        return make

    def run(ways: Mapping[str, Any], fallbacks: Mapping[str, Any] | None = None, **more: Any) -> str:
        out, work = tmp_path / "out", tmp_path / "work"
        out.mkdir()
        work.mkdir()
        request = ConvertRequest(tmp_path / "m.onnx", "any", "int8", {}, RIGHT)
        makers = {name: maker(way) for name, way in ways.items()}
        more["fallbacks"] = {name: maker(way) for name, way in (fallbacks or {}).items()}
        product = best_of(Scales(), makers, request, out, work, lambda phase: None, **more)  # type: ignore[arg-type]
        assert product.notes[0] == "made"
        return (out / "m.bin").read_text() + " " + product.notes[-1]

    return run


def test_the_way_that_takes_least_of_the_tolerance_is_kept_and_all_shares_are_told(
    choose: Callable[..., str], tried: list[float]
) -> None:
    told = choose({"a": 1.2, "b": 1.1, "c": 1.3})
    assert told.startswith("1.1 quantized by b; ") and tried == [1.2, 1.1, 1.3]
    assert "a 0.5, b 0.25, c 0.75" in told


def test_the_first_way_that_is_good_enough_ends_the_search(
    choose: Callable[..., str], tried: list[float]
) -> None:
    assert choose({"a": 2.0, "b": 1.2, "c": 1.0}, enough=1.0).startswith("1.2")
    assert tried == [2.0, 1.2]


def test_a_way_that_fails_is_told_and_another_is_kept(choose: Callable[..., str]) -> None:
    told = choose({"a": ConverterFailed("it broke"), "b": 1.1})
    assert told.startswith("1.1") and "a failed (it broke)" in told


def test_when_every_way_fails_the_first_reason_counts(choose: Callable[..., str]) -> None:
    with pytest.raises(UnsupportedModel, match="the first"):
        choose({"a": UnsupportedModel("the first"), "b": ConverterFailed("the second")})


def test_a_fallback_is_tried_only_while_nothing_is_within_the_tolerance(
    choose: Callable[..., str], tried: list[float]
) -> None:
    assert choose({"a": 1.2, "b": 1.3}, {"c": 1.0}).startswith("1.2")
    assert tried == [1.2, 1.3]


def test_fallbacks_are_tried_in_turn_until_one_is(choose: Callable[..., str], tried: list[float]) -> None:
    fallbacks = {"c": ConverterFailed("no"), "d": 1.9, "e": 1.1, "f": 1.0}
    assert choose({"a": 3.0, "b": 2.0}, fallbacks).startswith("1.1")
    assert tried == [3.0, 2.0, 1.9, 1.1]


def test_the_least_wrong_is_handed_on_when_none_is_right(choose: Callable[..., str]) -> None:
    """So that the gate's refusal is about the best that could be had."""
    assert choose({"a": 4.0, "b": 2.0}).startswith("2.0")


@pytest.mark.parametrize(("change", "share"), [(1.0, 0.0), (1.2, 0.5), (1.4, 1.0), (1.8, 2.0)])
def test_strain_is_the_share_of_the_tolerance_that_the_worst_figure_takes(
    change: float, share: float
) -> None:
    got = [{"y": sample["y"] * np.float32(change)} for sample in RIGHT]
    assert strain(compare(RIGHT, got, tolerance_for("int8"))) == pytest.approx(share, abs=1e-4)


def test_no_share_makes_up_for_another_class_or_shape() -> None:
    tolerance = tolerance_for("int8")
    swapped = [{"y": -sample["y"]} for sample in RIGHT]
    assert strain(compare(RIGHT, swapped, tolerance, top1_outputs=["y"])) == math.inf
    assert strain(compare(RIGHT, [{"y": s["y"][:, :9]} for s in RIGHT], tolerance)) == math.inf
