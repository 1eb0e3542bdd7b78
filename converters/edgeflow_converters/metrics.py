"""How far one output is from its reference. Pure numpy, float64, over all samples of the output.

No single figure is enough, so four are taken, each blind where another sees:

* cosine: direction of the whole tensor. Blind to scale, and to anything small beside something large. Taken
  as 1 in a sample whose max|b| is below RANGE_FLOOR of the output's: there it would measure rounding noise.
* rel_err: max|a-b| / scale, where scale is max|b| of the sample, but at least RANGE_FLOOR of the output's
  max|b| over all samples: an output that is almost zero in one sample is not judged on its rounding noise.
* channel_err: rms(a-b) / rms(b) of the worst channel (slices of axis 1 or of the last axis, whichever is
  shorter, over all samples), rms(b) floored at CHANNEL_FLOOR of the output's. One tensor often holds boxes
  in pixels beside scores in [0, 1]; rel_err cannot see wrong scores there, this can.
* log_odds_err: max|logit(a)-logit(b)| of outputs in [0, 1], clipped at LOG_ODDS_CLIP. A saturated softmax
  or sigmoid maps logits that are far apart to 0.9999 and 0.99999; in log-odds they are far apart again.

Outputs of which most is suppressed to exactly 0 (non-maximum suppression, thresholds) switch elements on
and off where two candidates tie to the last bit. A few such flips of faint elements are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RANGE_FLOOR = 0.1
CHANNEL_FLOOR = 1e-2
LOG_ODDS_CLIP = 9.0  # logit(1 - 1.2e-4): beyond it, rounding of fp16 weights is all there is to see
SPARSE_SHARE = 0.5  # of exact zeros, from which on an output counts as suppressed
FLIP_FLOOR = 1e-4  # of the output's max|b|: what is fainter need not be excused
FLIP_SHARE = 1e-4  # of the elements may flip (at least one) ...
FLIP_RANGE = 0.05  # ... if they are at most this part of the output's max|b|
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class SampleDistance:
    """Distances of one output in one sample. `index` is the worst element by rel_err."""

    cosine: float
    rel_err: float
    log_odds_err: float
    index: tuple[int, ...]
    expected: float
    actual: float


def scale_of(references: Sequence[NDArray[Any]]) -> float:
    """max|b| over all samples and all finite elements; 0 for an output that is zero everywhere."""
    return max(
        (float(np.max(np.abs(finite))) for b in references if (finite := _finite(b)).size), default=0.0
    )


def sample_distance(
    reference: NDArray[Any], actual: NDArray[Any], *, overall_scale: float, unit_interval: bool
) -> SampleDistance:
    """Distances of `actual` from `reference`, two arrays of one shape; non-finite elements are left out."""
    b = reference.astype(np.float64)
    a = actual.astype(np.float64)
    usable = np.isfinite(a) & np.isfinite(b)
    a, b = np.where(usable, a, 0.0), np.where(usable, b, 0.0)
    own_scale = float(np.max(np.abs(b), initial=0.0))
    faint = own_scale < RANGE_FLOOR * overall_scale
    scale = max(own_scale, RANGE_FLOOR * overall_scale)
    error = np.abs(a - b)
    # The worst element is one that has a distance: NaN on both sides is agreement, and no number.
    worst = np.unravel_index(int(np.argmax(np.where(usable, error, -1.0))), error.shape) if error.size else ()
    told = error.size > 0 and bool(usable[worst])
    return SampleDistance(
        cosine=1.0 if faint else cosine(a, b),
        # An output that is zero in every sample has no scale of its own: its error counts as it is.
        rel_err=float(np.max(error, initial=0.0)) / (scale if scale > _TINY else 1.0),
        log_odds_err=_log_odds_distance(a, b) if unit_interval else 0.0,
        index=tuple(int(axis) for axis in worst),
        expected=float(b[worst]) if told else 0.0,
        actual=float(a[worst]) if told else 0.0,
    )


def cosine(a: Floats, b: Floats) -> float:
    """Cosine of the angle between two tensors; 1 for two zero tensors, 0 if only one is zero."""
    norm_a, norm_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if norm_a <= _TINY and norm_b <= _TINY:
        return 1.0
    if norm_a <= _TINY or norm_b <= _TINY:
        return 0.0
    # Scaled first: the product of two norms may overflow or underflow.
    return float(np.vdot(a / norm_a, b / norm_b))


def channel_err(references: Sequence[NDArray[Any]], actuals: Sequence[NDArray[Any]]) -> tuple[float, str]:
    """The worst channel's rms(a-b)/rms(b) over all samples, and which one it is ("axis 1, index 7")."""
    squared_error = [np.square(a - b) for a, b in _finite_pairs(references, actuals)]
    squared_reference = [np.square(b) for _, b in _finite_pairs(references, actuals)]
    overall = float(np.sqrt(np.mean([np.mean(square) for square in squared_reference])))
    rank = squared_error[0].ndim
    if rank < 2:
        return 0.0, ""
    shape = squared_error[0].shape
    axis = 1 if shape[1] < shape[-1] else rank - 1
    others = tuple(other for other in range(rank) if other != axis)
    error = np.sqrt(np.mean([np.mean(square, axis=others) for square in squared_error], axis=0))
    own = np.sqrt(np.mean([np.mean(square, axis=others) for square in squared_reference], axis=0))
    ratio = error / np.maximum(own, max(CHANNEL_FLOOR * overall, _TINY))
    index = int(np.argmax(ratio))
    return float(ratio[index]), f"axis {axis}, index {index}"


def is_sparse(references: Sequence[NDArray[Any]]) -> bool:
    """Whether most of a float output is exactly 0: something suppressed it."""
    zeros = sum(int(np.count_nonzero(b == 0)) for b in references)
    return references[0].dtype.kind == "f" and zeros > SPARSE_SHARE * sum(b.size for b in references)


def without_flips(
    reference: NDArray[Any], actual: NDArray[Any], *, overall_scale: float
) -> tuple[NDArray[Any], int]:
    """`actual` with the few faint elements that are 0 on one side only set to the reference's, and how many.

    Where there are more of them, or stronger ones, it is no tie: nothing is changed and the number is 0.
    """
    error = np.abs(actual - reference)
    flips = ((reference == 0) != (actual == 0)) & (error > FLIP_FLOOR * overall_scale)
    count = int(np.count_nonzero(flips))
    if not count or count > max(1.0, FLIP_SHARE * reference.size):
        return actual, 0
    if float(np.max(error[flips])) > FLIP_RANGE * overall_scale:
        return actual, 0
    return np.where(flips, reference, actual), count


def in_unit_interval(references: Sequence[NDArray[Any]]) -> bool:
    """Whether every reference value lies in [0, 1] and some lie strictly inside: a sigmoid or softmax."""
    if any(b.dtype.kind != "f" for b in references):
        return False
    inside = [bool(np.all((b >= 0.0) & (b <= 1.0))) for b in references]
    return all(inside) and any(bool(np.any((b > 0.0) & (b < 1.0))) for b in references)


def is_distribution(references: Sequence[NDArray[Any]]) -> bool:
    """Whether the last axis holds class probabilities in every sample: in [0, 1], summing to one."""
    return in_unit_interval(references) and all(
        b.ndim >= 2 and b.shape[-1] >= 2 and bool(np.allclose(np.sum(b, axis=-1), 1.0, atol=1e-3))
        for b in references
    )


def top1_changes(reference: NDArray[Any], actual: NDArray[Any], *, tie_margin: float) -> int:
    """In how many rows of the last axis another class wins. Rows whose winners tie in the reference, to
    within `tie_margin` of the row's range, do not count."""
    b = reference.astype(np.float64).reshape(-1, reference.shape[-1])
    a = actual.astype(np.float64).reshape(b.shape)
    rows = np.arange(b.shape[0])
    chosen = np.argmax(a, axis=-1)
    lost = np.max(b, axis=-1) - b[rows, chosen]
    margin = tie_margin * (np.max(b, axis=-1) - np.min(b, axis=-1))
    return int(np.count_nonzero(lost > margin))


def _log_odds_distance(a: Floats, b: Floats) -> float:
    if not a.size:
        return 0.0
    return float(np.max(np.abs(_log_odds(a) - _log_odds(b))))


def _log_odds(p: Floats) -> Floats:
    smallest = 1.0 / (1.0 + np.exp(LOG_ODDS_CLIP))
    clipped = np.clip(p, smallest, 1.0 - smallest)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds


def _finite(array: NDArray[Any]) -> Floats:
    values = array.astype(np.float64)
    finite: Floats = values[np.isfinite(values)]
    return finite


def _finite_pairs(
    references: Sequence[NDArray[Any]], actuals: Sequence[NDArray[Any]]
) -> Iterator[tuple[Floats, Floats]]:
    for reference, actual in zip(references, actuals, strict=True):
        b, a = reference.astype(np.float64), actual.astype(np.float64)
        usable = np.isfinite(a) & np.isfinite(b)
        yield np.where(usable, a, 0.0), np.where(usable, b, 0.0)
