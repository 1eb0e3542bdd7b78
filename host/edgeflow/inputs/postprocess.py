"""What a model's outputs answer, where the recipe says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow.config.recipe import Recipe
from edgeflow.errors import NumericsError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUM_TOLERANCE = 1e-2
"""How far from 1 a probability vector may sum (half-precision outputs drift)."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The best class and its probability; `index` is its element in the score vector."""

    label: str
    score: float
    index: int


def predict(recipe: Recipe, outputs: Mapping[str, NDArray[Any]]) -> Prediction | None:
    """The answer of a classification model, or None for another task.

    The recipe's `output` (default: the first) holds one score per class, batch size 1. Softmax is applied
    unless the scores already are probabilities (each in [0, 1], summing to 1). One score with two labels is
    the probability of the second. Raises UsageError when output or labels do not fit, NumericsError on NaN or
    infinity.
    """
    import numpy as np

    if recipe.task != "classification":
        return None
    name = recipe.output or next(iter(outputs))
    if name not in outputs:
        raise UsageError(f"{recipe.origin}: output '{name}' is not among the outputs: {', '.join(outputs)}")
    array = np.asarray(outputs[name])
    if sum(size > 1 for size in array.shape) > 1:
        raise UsageError(
            f"{recipe.origin}: output '{name}' has shape {list(array.shape)}, not one score per class",
            hint="set 'output' in the recipe to the tensor of scores, or remove 'task: classification'",
        )
    scores = array.reshape(-1).astype(np.float64)
    if not np.isfinite(scores).all():
        raise NumericsError(f"output '{name}' holds NaN or infinity: no answer can be read from it")
    labels = recipe.label_names()
    if scores.size == 1 and len(labels) == 2:
        scores = _binary(recipe, name, float(scores[0]))
    if labels and len(labels) != scores.size:
        raise UsageError(
            f"{recipe.origin}: {len(labels)} labels, but output '{name}' has {scores.size} scores"
        )
    probabilities = scores if is_probability(scores) else softmax(scores)
    index = int(np.argmax(probabilities))
    return Prediction(labels[index] if labels else str(index), float(probabilities[index]), index)


def is_probability(scores: NDArray[np.float64]) -> bool:
    """Whether a vector is a distribution: each element in [0, 1], the sum 1 within `SUM_TOLERANCE`."""
    return bool(
        (scores >= 0).all() and (scores <= 1 + SUM_TOLERANCE).all() and abs(scores.sum() - 1) <= SUM_TOLERANCE
    )


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(x - max x), divided by its sum."""
    import numpy as np

    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())


def _binary(recipe: Recipe, name: str, score: float) -> NDArray[np.float64]:
    import numpy as np

    if not -SUM_TOLERANCE <= score <= 1 + SUM_TOLERANCE:
        raise UsageError(
            f"{recipe.origin}: output '{name}' is {score:g}, not a probability of the second label"
        )
    clipped = min(max(score, 0.0), 1.0)
    return np.array([1.0 - clipped, clipped])
