"""Where to clip a tensor before it becomes 8 bits: the range whose 8-bit copy tells the most. Pure numpy.

Migacz, "8-bit inference with TensorRT" (GTC 2017), as ncnn's ncnn2table does it: each candidate range of
the histogram of absolute values is compared with what 128 levels keep of it, by Kullback-Leibler divergence.
Exact zeros are left out: 8 bits hold them exactly, and in most networks they are half of all values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 2048
_LEVELS = 128
_STEP = 8  # bins between candidates: 0.4 % of the range
_NEVER = 1e-9  # the share given to what a candidate says cannot be


def histogram(values: NDArray[Any], largest: float) -> NDArray[np.int64]:
    """How many of |values| fall into each of BINS equal parts of 0 to `largest`; zeros are not counted."""
    absolute = np.abs(values[values != 0])
    return np.histogram(absolute, bins=BINS, range=(0.0, largest))[0]


def clipping_point(counts: NDArray[np.int64], largest: float) -> float:
    """The value at which to clip, at most `largest`, for a histogram as above. Without counts: `largest`."""
    if not counts.any():
        return largest
    edges = range(_LEVELS, BINS + 1, _STEP)
    best = min(edges, key=lambda edge: _divergence(counts, edge))
    return largest * best / BINS


def _divergence(counts: NDArray[np.int64], edge: int) -> float:
    """How far the histogram is from its part below bin `edge` in 128 levels, the rest being clipped."""
    kept = counts[:edge].astype(np.float64)
    wanted = kept.copy()
    wanted[-1] += counts[edge:].sum()
    level = np.arange(edge) * _LEVELS // edge
    filled = kept > 0
    held = np.bincount(level, kept, _LEVELS) / np.maximum(np.bincount(level, filled, _LEVELS), 1)
    told = np.where(filled, held[level], 0.0)
    some = wanted > 0
    p = wanted[some] / wanted.sum()
    q = np.maximum(told[some] / max(told.sum(), 1.0), _NEVER)
    return float(np.sum(p * np.log(p / q)))
