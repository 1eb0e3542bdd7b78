"""Models that come as weights without a graph: each is made into ONNX by a module of its own, by name."""

from __future__ import annotations

from pathlib import Path

from edgeflow_converters.errors import UnsupportedModel

BUILDS = ("efficientnet-lite0",)


def build(name: str, weights: Path, out: Path) -> None:
    """Write the ONNX model that build `name` makes of the file `weights` to `out`.

    Raises UnsupportedModel for a name that there is not, ModelUnreadable for weights that are not its own.
    """
    if name == "efficientnet-lite0":
        from edgeflow_converters.sources import efficientnet_lite0

        efficientnet_lite0.build(weights, out)
        return
    raise UnsupportedModel(f"no way is known to make {name!r} of weights", hint=f"known: {', '.join(BUILDS)}")
