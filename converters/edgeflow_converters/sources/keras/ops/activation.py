"""Activations: layers of their own, and those inside of other layers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from edgeflow_converters.sources.keras.translation import FIRST_AXIS, Layer, Translation, Write

_NODES: Mapping[str, tuple[str, dict[str, Any]]] = MappingProxyType(
    {
        "relu": ("Relu", {}), "sigmoid": ("Sigmoid", {}), "tanh": ("Tanh", {}), "elu": ("Elu", {}),
        "selu": ("Selu", {}), "softplus": ("Softplus", {}), "softsign": ("Softsign", {}),
        "exponential": ("Exp", {}), "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
        "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
        "hard_swish": ("HardSwish", {}), "hard_silu": ("HardSwish", {}),
    }
)  # fmt: skip


def activated(t: Translation, layer: Layer, name: str, *, first: bool) -> str:
    """What the activation that a layer's configuration names makes of `name`."""
    function = layer.config.get("activation") or "linear"
    if function == "linear":
        return name
    if function == "softmax":
        rank = t.rank(layer.output)
        return t.onnx.node("Softmax", [name], axis=1 if first else rank - 1)
    if function == "relu6":
        return t.onnx.node("Clip", [name, t.number(0), t.number(6)])
    if function in ("swish", "silu"):
        return t.onnx.node("Mul", [name, t.onnx.node("Sigmoid", [name])])
    if function == "gelu":  # the exact one, x (1 + erf(x / sqrt 2)) / 2
        error = t.onnx.node("Erf", [t.onnx.node("Mul", [name, t.number(0.5**0.5)])])
        half = t.onnx.node("Mul", [name, t.number(0.5)])
        return t.onnx.node("Mul", [half, t.onnx.node("Add", [error, t.number(1)])])
    if function == "hard_sigmoid" and t.made_by.split(".")[0] in ("1", "2"):
        raise t.declined(layer, "hard_sigmoid has another slope in Keras 2, which wrote it, than in Keras 3")
    if not isinstance(function, str) or function not in _NODES:
        raise t.declined(layer, f"its activation is {function}")
    kind, attributes = _NODES[function]
    return t.onnx.node(kind, [name], **attributes)


def activation(t: Translation, layer: Layer) -> None:
    (source,) = layer.inputs
    first = t.is_first(source)
    name = t.first(source) if first else t.last(source)
    t.give(layer.output, activated(t, layer, name, first=first), first=first)


def relu(t: Translation, layer: Layer) -> None:
    slope, highest, threshold = (
        layer.config.get(key) for key in ("negative_slope", "max_value", "threshold")
    )
    if threshold:
        raise t.declined(layer, f"its threshold is {threshold}")

    def make(name: str) -> str:
        if slope:
            name = t.onnx.node("LeakyRelu", [name], alpha=float(slope))
            return name if highest is None else t.onnx.node("Min", [name, t.number(highest)])
        if highest is not None:
            return t.onnx.node("Clip", [name, t.number(0), t.number(highest)])
        return t.onnx.node("Relu", [name])

    t.same(layer, make)


def leaky(t: Translation, layer: Layer) -> None:
    alpha = float(layer.config["negative_slope"])
    t.same(layer, lambda name: t.onnx.node("LeakyRelu", [name], alpha=alpha))


def elu(t: Translation, layer: Layer) -> None:
    alpha = float(layer.config.get("alpha", 1.0))
    t.same(layer, lambda name: t.onnx.node("Elu", [name], alpha=alpha))


def prelu(t: Translation, layer: Layer) -> None:
    (source,) = layer.inputs
    alpha: Any = layer.weights["alpha"]
    first = t.is_first(source)
    if first:
        alpha = alpha.transpose(2, 0, 1)
    name = t.first(source) if first else t.last(source)
    t.give(layer.output, t.onnx.node("PRelu", [name, t.onnx.constant(alpha)]), first=first)


def softmax(t: Translation, layer: Layer) -> None:
    axis = layer.config.get("axis", -1)
    if not isinstance(axis, int):
        raise t.declined(layer, f"its axes are {axis}")
    (source,) = layer.inputs
    axis %= t.rank(source)
    first = t.is_first(source)
    name = t.first(source) if first else t.last(source)
    place = FIRST_AXIS[axis] if first else axis
    t.give(layer.output, t.onnx.node("Softmax", [name], axis=place), first=first)


KINDS: dict[str, Write] = {
    "Activation": activation, "ReLU": relu, "LeakyReLU": leaky, "ELU": elu, "PReLU": prelu,
    "Softmax": softmax,
}  # fmt: skip
