"""Why a product disagrees: bisects the model to the first tensor that does."""

from __future__ import annotations

from edgeflow_converters.explain.explanation import Explanation, Point
from edgeflow_converters.explain.run import explain

__all__ = ["Explanation", "Point", "explain"]
