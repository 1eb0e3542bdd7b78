"""Resize of images. Paddle knows fewer ways to lay one grid over another: those that agree are written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgeflow_converters.paddle.graph import Graph, Node, Write

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LINEAR = {
    "half_pixel": (False, 0),
    "pytorch_half_pixel": (False, 0),
    "asymmetric": (False, 1),
    "align_corners": (True, 1),
}
"""How ONNX lays the grids -> Paddle's align_corners and align_mode."""


def resize(graph: Graph, node: Node) -> None:
    shape, result = graph.shape(node, node.inputs[0]), graph.shape(node, node.outputs[0])
    if len(shape) != 4 or shape[:2] != result[:2]:
        raise node.declined("it resizes other than the two axes of an image")
    mode = node.text("mode", "nearest")
    grid = node.text("coordinate_transformation_mode", "half_pixel")
    scales = _scales(graph, node, shape, result)
    if node.whole("antialias", 0) or node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.declined("it filters before it shrinks, or keeps the aspect")
    if mode == "nearest":
        for axis in (2, 3):
            ours = _nearest(node, grid, shape[axis], result[axis], scales[axis])
            if ours is None or list(ours) != _floored(shape[axis], result[axis]):
                raise node.declined(f"Paddle Lite takes other neighbours than {grid} does here")
        kind, corners, align = "nearest_interp_v2", False, 1
    elif mode == "linear" and grid in _LINEAR:
        if any(abs(scales[axis] * shape[axis] - result[axis]) > 1e-3 for axis in (2, 3)):
            raise node.declined("its scale is none of whole sizes")
        if grid == "pytorch_half_pixel" and 1 in result[2:] and shape[2:] != result[2:]:
            raise node.declined("it shrinks an axis to one element")
        kind, (corners, align) = "bilinear_interp_v2", _LINEAR[grid]
    else:
        raise node.declined(f"it resizes by {mode}, {grid}")
    graph.one_to_one(
        node,
        kind,
        out_h=result[2],
        out_w=result[3],
        out_d=-1,
        interp_method="nearest" if mode == "nearest" else "bilinear",
        align_corners=corners,
        align_mode=align,
        data_layout="NCHW",
    )


def _scales(graph: Graph, node: Node, shape: tuple[int, ...], result: tuple[int, ...]) -> list[float]:
    """The scale of every axis. An older model's Upsample has them where Resize has its region."""
    place = 1 if node.kind == "Upsample" else 2
    if node.has(place) and graph.constant(node, place).size:
        given = [float(value) for value in graph.constant(node, place)]
        if len(given) == len(shape):
            return given
    return [after / before for before, after in zip(shape, result, strict=True)]


def _nearest(node: Node, grid: str, before: int, after: int, scale: float) -> NDArray[Any] | None:
    """Which element of the source ONNX takes for each of the result; None where we do not know."""
    import numpy as np

    places = np.arange(after, dtype=np.float64)
    if grid in ("half_pixel", "pytorch_half_pixel"):
        places = (places + 0.5) / scale - 0.5
    elif grid == "asymmetric":
        places = places / scale
    elif grid == "align_corners":
        places = places * (before - 1) / max(after - 1, 1)
    else:
        return None
    rounding = node.text("nearest_mode", "round_prefer_floor")
    found = {
        "round_prefer_floor": np.ceil(places - 0.5),
        "round_prefer_ceil": np.floor(places + 0.5),
        "floor": np.floor(places),
        "ceil": np.ceil(places),
    }[rounding]
    return np.clip(found, 0, before - 1).astype(int)


def _floored(before: int, after: int) -> list[int]:
    """Which element Paddle takes."""
    return [min(math.floor(place * before / after), before - 1) for place in range(after)]


WRITERS: dict[str, Write] = {"Resize": resize}
