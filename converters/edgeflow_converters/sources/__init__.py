"""Sources: models in forms of their own, on their way to ONNX, which is our intermediate representation.

`importing.import_model` takes a framework's model (kinds.py tells which), `build` weights without a graph,
by name.
"""

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
