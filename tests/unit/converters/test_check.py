"""The gate: what it must catch, what it must let pass, and what it must say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeflow_converters.check import TOLERANCES, Verdict, compare, tolerance_for
from edgeflow_converters.errors import UnknownTarget

FP32 = TOLERANCES["fp32"]


def samples(*shape: int, count: int = 3, seed: int = 0) -> list[dict[str, NDArray[Any]]]:
    random = np.random.default_rng(seed)
    return [{"y": random.normal(size=shape).astype("f4")} for _ in range(count)]


def changed(reference: list[dict[str, NDArray[Any]]], change: Any) -> list[dict[str, NDArray[Any]]]:
    return [{name: change(array.copy()) for name, array in sample.items()} for sample in reference]


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[Any] = (powers / powers.sum(axis=-1, keepdims=True)).astype("f4")
    return probabilities


def test_equal_outputs_pass() -> None:
    reference = samples(1, 10)
    verdict = compare(reference, changed(reference, lambda y: y), FP32)
    assert verdict.passed and not verdict.reasons and not verdict.warnings
    assert verdict.cosine_min == pytest.approx(1.0)


def test_rounding_noise_passes() -> None:
    reference = samples(1, 8, 20, 20)
    noise = np.random.default_rng(1)
    assert compare(
        reference, changed(reference, lambda y: y + noise.normal(0, 1e-5, y.shape).astype("f4")), FP32
    ).passed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y: y * 1.05, "relative error"),
        (lambda y: -y, "cosine"),
        (lambda y: y + 0.01, "relative error"),
        (lambda y: y[:, ::-1].copy(), "cosine"),
        (lambda y: np.zeros_like(y), "cosine 0.000000"),
        (lambda y: y.reshape(10, 1), "shape is [10, 1], expected [1, 10]"),
        (lambda y: y.astype("i4"), "dtype is int32"),
    ],
)
def test_wrong_outputs_fail_with_the_reason(change: Any, words: str) -> None:
    reference = samples(1, 10)
    verdict = compare(reference, changed(reference, change), FP32)
    assert not verdict.passed
    assert any(words in reason for reason in verdict.reasons)
    assert all("\n" not in reason and "'y'" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (np.inf, "+inf"), (-np.inf, "-inf")])
def test_one_value_that_is_not_finite_fails(value: float, words: str) -> None:
    reference = samples(1, 10)
    actual = changed(reference, lambda y: y)
    actual[2]["y"][0, 7] = value
    verdict = compare(reference, actual, FP32)
    assert not verdict.passed
    assert words in verdict.reasons[0] and "sample 2" in verdict.reasons[0] and "[0, 7]" in verdict.reasons[0]


def test_infinities_of_the_reference_are_expected_in_the_product() -> None:
    reference = samples(1, 10)
    reference[0]["y"][0, 3] = -np.inf
    assert compare(reference, changed(reference, lambda y: y), FP32).passed
    assert not compare(reference, changed(reference, lambda y: np.nan_to_num(y)), FP32).passed


def test_a_wrong_sample_among_right_ones_fails_and_names_its_worst_element() -> None:
    reference = samples(1, 4, 6)
    actual = changed(reference, lambda y: y)
    actual[1]["y"][0, 2, 5] += 3.0
    verdict = compare(reference, actual, FP32)
    worst = verdict.outputs["y"].worst
    assert not verdict.passed and worst is not None
    assert (worst.sample, worst.index) == (1, (0, 2, 5))
    assert worst.actual - worst.expected == pytest.approx(3.0, rel=1e-5)


def test_missing_and_unknown_outputs_fail() -> None:
    reference = samples(1, 4)
    verdict = compare(reference, [{"z": sample["y"]} for sample in reference], FP32)
    assert [("no such output" in reason, "not one of" in reason) for reason in verdict.reasons] == [
        (True, False),
        (False, True),
    ]


def test_small_scores_beside_large_boxes_are_judged_by_their_own_scale() -> None:
    random = np.random.default_rng(5)
    reference = []
    for _ in range(3):
        boxes, scores = random.uniform(0, 800, (1, 50, 4)), random.uniform(0, 10, (1, 50, 1))
        reference.append({"y": np.concatenate([boxes, scores], -1).astype("f4")})

    def other_scores(y: NDArray[Any]) -> NDArray[Any]:
        y[..., 4] *= 1.03  # at most 0.3 beside 800: a relative error of 4e-4, and a cosine of 1.0
        return y

    verdict = compare(reference, changed(reference, other_scores), FP32)
    assert verdict.outputs["y"].rel_err_max < FP32.rel_err_max
    assert not verdict.passed and "one channel (axis 2, index 4)" in verdict.reasons[0]


def test_a_saturated_softmax_hides_nothing() -> None:
    logits = [np.array([[9.0 + i, 0.0, 1.0, -1.0]], "f4") for i in range(3)]
    reference = [{"y": softmax(logit)} for logit in logits]
    actual = [{"y": softmax(logit * np.array([1.1, 1, 1, 1], "f4"))} for logit in logits]
    verdict = compare(reference, actual, FP32)
    assert verdict.outputs["y"].rel_err_max < FP32.rel_err_max
    assert not verdict.passed and any("log-odds" in reason for reason in verdict.reasons)


def test_an_output_near_zero_in_one_sample_is_judged_by_its_range_over_all() -> None:
    reference = samples(1, 6, 6)
    reference[1]["y"] *= 1e-9
    noise = np.random.default_rng(2)
    verdict = compare(
        reference, changed(reference, lambda y: y + noise.normal(0, 1e-6, y.shape).astype("f4")), FP32
    )
    assert verdict.passed, verdict.reasons


def test_another_winner_fails_unless_the_reference_ties() -> None:
    loose = replace(FP32, rel_err_max=0.1, channel_err_max=0.1, cosine_min=0.9)
    reference = [{"y": np.array([[1.0, 3.0, 2.9]], "f4")}, {"y": np.array([[0.0, 2.0, 1.0]], "f4")}]
    actual = [{"y": np.array([[1.0, 3.0, 3.1]], "f4")}, {"y": np.array([[0.0, 2.0, 1.0]], "f4")}]
    assert compare(reference, actual, loose).passed
    verdict = compare(reference, actual, loose, top1_outputs=["y"])
    assert verdict.reasons == ("output 'y': another class wins in 1 rows",)
    reference[0]["y"][0, 2] = 3.0
    assert compare(reference, actual, loose, top1_outputs=["y"]).passed


def test_constant_outputs_prove_nothing() -> None:
    ones = [{"y": np.ones((1, 10), "f4")} for _ in range(3)]
    verdict = compare(ones, ones, FP32)
    assert not verdict.passed
    assert "no output tells" in verdict.reasons[0] and "same value everywhere" in verdict.warnings[0]


def test_outputs_that_ignore_the_input_prove_nothing() -> None:
    fixed = [samples(1, 10)[0]] * 3
    verdict = compare(fixed, fixed, FP32)
    assert not verdict.passed and "does not depend on the input" in verdict.warnings[0]


def test_a_suspect_output_beside_a_telling_one_is_a_warning() -> None:
    reference = [{**sample, "anchors": np.arange(6, dtype="f4")} for sample in samples(1, 10)]
    verdict = compare(reference, reference, FP32)
    assert verdict.passed and "'anchors'" in verdict.warnings[0]
    assert verdict.outputs["anchors"].suspect and not verdict.outputs["y"].suspect


def suppressed(
    flips: int, strength: float
) -> tuple[list[dict[str, NDArray[Any]]], list[dict[str, NDArray[Any]]]]:
    """Peaks on a map of zeros; in the product `flips` of them are missing."""
    random = np.random.default_rng(7)
    reference, actual = [], []
    for _ in range(2):
        peaks = np.where(random.random((1, 100, 100)) < 0.02, random.uniform(0.2, 0.9, (1, 100, 100)), 0.0)
        places = np.argwhere(peaks == 0)[:flips]
        peaks[tuple(places.T)] = strength
        missing = peaks.copy()
        missing[tuple(places.T)] = 0
        reference.append({"y": peaks.astype("f4")})
        actual.append({"y": missing.astype("f4")})
    return reference, actual


@pytest.mark.parametrize(
    ("flips", "strength", "passes"), [(1, 0.01, True), (1, 0.3, False), (20, 0.01, False)]
)
def test_suppressed_elements_may_flip_if_few_and_faint(flips: int, strength: float, passes: bool) -> None:
    reference, actual = suppressed(flips, strength)
    verdict = compare(reference, actual, FP32)
    assert verdict.passed is passes
    assert bool(verdict.warnings) is passes


def test_integers_and_booleans_are_compared_too() -> None:
    reference: list[dict[str, NDArray[Any]]] = [{"y": np.arange(5) + i} for i in range(2)]
    assert compare(reference, reference, FP32).passed
    assert not compare(reference, changed(reference, lambda y: y + 1), FP32).passed
    masks: list[dict[str, NDArray[Any]]] = [{"y": np.arange(5) > i} for i in range(2)]
    assert compare(masks, masks, FP32).passed
    assert not compare(masks, changed(masks, np.logical_not), FP32).passed


def test_a_verdict_survives_json() -> None:
    reference = samples(1, 10)
    actual = changed(reference, lambda y: y * 1.05)
    verdict = compare(reference, actual, FP32)
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_a_call_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="0 reference samples"):
        compare([], [], FP32)
    with pytest.raises(UnknownTarget, match="fp8"):
        tolerance_for("fp8")


def test_an_output_without_elements_proves_nothing_and_breaks_nothing() -> None:
    empty, full = np.zeros((1, 0, 8), "f4"), np.linspace(0, 1, 8, dtype="f4")
    sets = [{"none": empty, "some": full * scale} for scale in (1, 2)]
    verdict = compare(sets, sets, TOLERANCES["fp32"])
    assert verdict.passed and verdict.outputs["none"].suspect == "is empty"
