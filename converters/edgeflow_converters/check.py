"""The numeric gate: does a product compute what the model computes? Pure numpy.

Every output is judged on every sample: shape, kind of dtype, where it is not finite, cosine, relative
error, worst channel, log-odds where it holds probabilities, and top-1 where it holds classes (metrics.py
says what each is and what it is blind to). An output that would agree although the product were wrong,
because it is constant or the same for every sample, is reported as suspect and never counts as evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import UnknownTarget

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an output may be from its reference. The fields are the figures of metrics.py."""

    cosine_min: float
    rel_err_max: float
    channel_err_max: float
    log_odds_err_max: float
    tie_margin: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


# Calibrated on nine real models (docs/conversion.md). Sound fp32 products stay 10 times or more below these
# figures, but for one whose own conditioning takes rel_err to half; sound fp16 ones stay near or below half.
TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        "fp32": Tolerance(0.99999, 1e-3, 1e-3, 2e-2, 1e-5),
        "fp16": Tolerance(0.9995, 5e-2, 3e-2, 2.5e-1, 2e-3),
        "int8": Tolerance(0.97, 4e-1, 4e-1, 3.0, 1e-1),
        "int8-dynamic": Tolerance(0.97, 4e-1, 4e-1, 3.0, 1e-1),
    }
)


def tolerance_for(precision: str) -> Tolerance:
    """The table's tolerance for `precision`. Raises UnknownTarget."""
    try:
        return TOLERANCES[precision]
    except KeyError:
        raise UnknownTarget(
            f"no tolerance is known for precision {precision!r}", hint=f"known: {', '.join(TOLERANCES)}"
        ) from None


BLIND = "no output tells a right product from a wrong one on these samples"


@dataclass(frozen=True, slots=True)
class WorstElement:
    """Where an output is farthest from its reference, relative to the output's scale."""

    sample: int
    index: tuple[int, ...]
    expected: float
    actual: float


@dataclass(frozen=True, slots=True)
class OutputVerdict:
    """One output over all samples: its worst figures; `suspect` says why they prove nothing, else ""."""

    cosine_min: float
    rel_err_max: float
    channel_err_max: float
    log_odds_err_max: float
    top1_changes: int
    worst: WorstElement | None
    flips: int = 0
    suspect: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer. `reasons` say why it failed, one line each; `warnings` what it could not see."""

    passed: bool
    samples: int
    outputs: Mapping[str, OutputVerdict]
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tolerance: Tolerance = field(default_factory=lambda: TOLERANCES["fp32"])

    @property
    def cosine_min(self) -> float:
        return min((output.cosine_min for output in self.outputs.values()), default=0.0)

    @property
    def rel_err_max(self) -> float:
        return max((output.rel_err_max for output in self.outputs.values()), default=0.0)

    @property
    def blind(self) -> bool:
        """Nothing disagrees, and nothing could have."""
        return self.reasons == (BLIND,)

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": "pass" if self.passed else "fail",
            "samples": self.samples,
            "cosine_min": self.cosine_min,
            "rel_err_max": self.rel_err_max,
            "outputs": {name: asdict(output) for name, output in self.outputs.items()},
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
            "tolerance": self.tolerance.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        return cls(
            passed=data["verdict"] == "pass",
            samples=data["samples"],
            outputs={name: _output_from_json(output) for name, output in data["outputs"].items()},
            reasons=tuple(data["reasons"]),
            warnings=tuple(data["warnings"]),
            tolerance=Tolerance(**data["tolerance"]),
        )


def _output_from_json(data: Mapping[str, Any]) -> OutputVerdict:
    worst = data["worst"]
    element = None if worst is None else WorstElement(**{**worst, "index": tuple(worst["index"])})
    return OutputVerdict(**{**data, "worst": element})


def compare(
    reference: Sequence[Tensors],
    actual: Sequence[Tensors],
    tolerance: Tolerance,
    *,
    top1_outputs: Collection[str] = (),
) -> Verdict:
    """Judge `actual` by `reference`: one mapping of output name to array per sample, in the same order.

    Outputs whose last axis is a probability distribution are checked for top-1 by themselves; name others
    (logits) in `top1_outputs`. Fails, never raises, on outputs that are missing, too many or misshapen.
    Raises ValueError only for a call that makes no sense: no samples, or another number of them.
    """
    if not reference or len(reference) != len(actual):
        raise ValueError(f"{len(reference)} reference samples, {len(actual)} actual ones")
    outputs: dict[str, OutputVerdict] = {}
    reasons: list[str] = []
    warnings: list[str] = []
    for name in reference[0]:
        expected = [sample[name] for sample in reference]
        broken = _structure_reasons(name, expected, actual)
        if broken:
            reasons.extend(broken)
            continue
        got = [sample[name] for sample in actual]
        verdict, output_reasons = _judge(name, expected, got, tolerance, top1=name in top1_outputs)
        outputs[name] = verdict
        reasons.extend(output_reasons)
        if verdict.suspect:
            warnings.append(f"output {name!r} {verdict.suspect}: that it agrees proves nothing")
        not_finite = sum(_not_finite(array) for array in expected)
        if not_finite:
            warnings.append(
                f"output {name!r}: {not_finite} elements of the reference itself are NaN or infinite"
            )
        if verdict.flips:
            warnings.append(
                f"output {name!r}: {verdict.flips} faint elements are 0 on one side only, as near-ties are"
            )
    reasons.extend(
        f"output {name!r} is not one of the model's" for name in actual[0] if name not in reference[0]
    )
    if not reasons and all(output.suspect for output in outputs.values()):
        reasons.append(BLIND)
    return Verdict(not reasons, len(reference), outputs, tuple(reasons), tuple(warnings), tolerance)


def _structure_reasons(name: str, expected: Sequence[NDArray[Any]], actual: Sequence[Tensors]) -> list[str]:
    """What is wrong with the output before its values matter: at most one line, for the first sample hit."""
    import numpy as np

    for index, (b, sample) in enumerate(zip(expected, actual, strict=True)):
        where = f"output {name!r}, sample {index}"
        if name not in sample:
            return [f"{where}: the product has no such output"]
        a = sample[name]
        if a.shape != b.shape:
            return [f"{where}: shape is {list(a.shape)}, expected {list(b.shape)}"]
        if _kind(a) != _kind(b):
            return [f"{where}: dtype is {a.dtype}, expected {b.dtype}"]
        if _kind(b) == "float":
            for what, pattern in (("NaN", np.isnan), ("+inf", np.isposinf), ("-inf", np.isneginf)):
                differs = pattern(a) != pattern(b)
                if differs.any():
                    element = tuple(int(axis) for axis in np.argwhere(differs)[0])
                    line = (
                        f"{where}: {int(differs.sum())} elements differ in being {what}, "
                        f"first at {list(element)}: {a[element]:g}, expected {b[element]:g}"
                    )
                    return [line]
    return []


def _judge(
    name: str,
    expected: Sequence[NDArray[Any]],
    got: Sequence[NDArray[Any]],
    tolerance: Tolerance,
    *,
    top1: bool,
) -> tuple[OutputVerdict, list[str]]:
    from edgeflow_converters import metrics

    if not expected[0].size:
        return OutputVerdict(1.0, 0.0, 0.0, 0.0, 0, None, suspect=_why_suspect(expected, tolerance)), []
    verdict, channel = _figures(expected, got, tolerance, top1=top1 or metrics.is_distribution(expected))
    reasons = [f"output {name!r}: {line}" for line in _excesses(verdict, channel, tolerance)]
    return replace(verdict, suspect=_why_suspect(expected, tolerance)), reasons


def _figures(
    expected: Sequence[NDArray[Any]], got: Sequence[NDArray[Any]], tolerance: Tolerance, *, top1: bool
) -> tuple[OutputVerdict, str]:
    """The output's worst figures over all samples, and the name of its worst channel."""
    from edgeflow_converters import metrics

    scale = metrics.scale_of(expected)
    flips = 0
    if metrics.is_sparse(expected):
        pairs = [metrics.without_flips(b, a, overall_scale=scale) for b, a in zip(expected, got, strict=True)]
        got, flips = [pair[0] for pair in pairs], sum(pair[1] for pair in pairs)
    unit_interval = metrics.in_unit_interval(expected)
    distances = [
        metrics.sample_distance(b, a, overall_scale=scale, unit_interval=unit_interval)
        for b, a in zip(expected, got, strict=True)
    ]
    channel_err, channel = metrics.channel_err(expected, got)
    worst = max(range(len(distances)), key=lambda index: distances[index].rel_err)
    return (
        OutputVerdict(
            cosine_min=min(distance.cosine for distance in distances),
            rel_err_max=distances[worst].rel_err,
            channel_err_max=channel_err,
            log_odds_err_max=max(distance.log_odds_err for distance in distances),
            top1_changes=sum(
                metrics.top1_changes(b, a, tie_margin=tolerance.tie_margin)
                for b, a in zip(expected, got, strict=True)
            )
            if top1
            else 0,
            worst=WorstElement(
                worst, distances[worst].index, distances[worst].expected, distances[worst].actual
            ),
            flips=flips,
        ),
        channel,
    )


def _excesses(figures: OutputVerdict, channel: str, tolerance: Tolerance) -> list[str]:
    lines = []
    if figures.cosine_min < tolerance.cosine_min:
        lines.append(f"cosine {figures.cosine_min:.6f}, at least {tolerance.cosine_min:g} is needed")
    if figures.rel_err_max > tolerance.rel_err_max and figures.worst is not None:
        worst = figures.worst
        lines.append(
            f"relative error {figures.rel_err_max:.3g}, at most {tolerance.rel_err_max:g} is allowed; worst "
            f"at {list(worst.index)} of sample {worst.sample}: {worst.actual:g}, expected {worst.expected:g}"
        )
    if figures.channel_err_max > tolerance.channel_err_max:
        lines.append(
            f"error of one channel ({channel}) {figures.channel_err_max:.3g}, "
            f"at most {tolerance.channel_err_max:g} is allowed"
        )
    if figures.log_odds_err_max > tolerance.log_odds_err_max:
        lines.append(
            f"probabilities differ by {figures.log_odds_err_max:.3g} in log-odds, "
            f"at most {tolerance.log_odds_err_max:g} is allowed"
        )
    if figures.top1_changes:
        lines.append(f"another class wins in {figures.top1_changes} rows")
    return lines


def _why_suspect(expected: Sequence[NDArray[Any]], tolerance: Tolerance) -> str:
    """Why agreement of this output proves nothing; "" when it does prove something.

    Asks the gate itself: would a product that ignores its input, or fills the output with one value, pass?
    """
    import numpy as np

    if not expected[0].size:
        return "is empty"
    if expected[0].size > 1 and all(b.max() == b.min() for b in expected):
        return f"is the same value everywhere ({expected[0].flat[0]:g})"
    if expected[0].size > 1 and _kind(expected[0]) == "float" and all(np.isfinite(b).all() for b in expected):
        flat = [np.full_like(b, np.mean(b, dtype=np.float64)) for b in expected]
        if _would_pass(expected, flat, tolerance):
            return f"is the same value everywhere, within tolerance ({expected[0].flat[0]:g})"
    if len(expected) > 1 and _would_pass(expected, [expected[0]] * len(expected), tolerance):
        return "does not depend on the input"
    return ""


def _would_pass(expected: Sequence[NDArray[Any]], got: Sequence[NDArray[Any]], tolerance: Tolerance) -> bool:
    figures, channel = _figures(expected, got, tolerance, top1=False)
    return not _excesses(figures, channel, tolerance)


def _not_finite(array: NDArray[Any]) -> int:
    import numpy as np

    return int(np.count_nonzero(~np.isfinite(array))) if _kind(array) == "float" else 0


def _kind(array: NDArray[Any]) -> str:
    return {"f": "float", "i": "int", "u": "int", "b": "bool"}.get(array.dtype.kind, array.dtype.kind)
