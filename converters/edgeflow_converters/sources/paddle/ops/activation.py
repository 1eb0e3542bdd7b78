"""Functions of one tensor, element by element."""

from __future__ import annotations

import math

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror

_PLAIN = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "abs": "Abs", "floor": "Floor", "ceil": "Ceil", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos",
    "erf": "Erf", "softsign": "Softsign", "sign": "Sign", "assign": "Identity", "logical_not": "Not",
}  # fmt: skip


def plain(builder: Builder, operation: Operation) -> None:
    builder.write(operation, "Out", builder.node(_PLAIN[operation.kind], builder.read(operation, "X")))


def relu6(builder: Builder, operation: Operation) -> None:
    limits = [builder.constant(value, dtype="float32") for value in (0.0, _told(operation, "threshold", 6.0))]
    builder.write(operation, "Out", builder.node("Clip", builder.read(operation, "X"), *limits))


def leaky_relu(builder: Builder, operation: Operation) -> None:
    alpha = _told(operation, "alpha", 0.02)
    builder.write(operation, "Out", builder.node("LeakyRelu", builder.read(operation, "X"), alpha=alpha))


def elu(builder: Builder, operation: Operation) -> None:
    alpha = _told(operation, "alpha", 1.0)
    builder.write(operation, "Out", builder.node("Elu", builder.read(operation, "X"), alpha=alpha))


def hard_sigmoid(builder: Builder, operation: Operation) -> None:
    slope, offset = _told(operation, "slope", 0.2), _told(operation, "offset", 0.5)
    made = builder.node("HardSigmoid", builder.read(operation, "X"), alpha=slope, beta=offset)
    builder.write(operation, "Out", made)


def hard_swish(builder: Builder, operation: Operation) -> None:
    """x * min(max(x + offset, 0), threshold) / scale, which ONNX has for 3, 6 and 6."""
    told = [_told(operation, *each) for each in (("offset", 3.0), ("threshold", 6.0), ("scale", 6.0))]
    offset, threshold, scale = told
    source = builder.read(operation, "X")
    if told == [3.0, 6.0, 6.0]:
        builder.write(operation, "Out", builder.node("HardSwish", source))
        return
    if threshold != scale:
        raise builder.declined(operation, "its threshold is other than its scale")
    gate = builder.node("HardSigmoid", source, alpha=1.0 / scale, beta=offset / scale)
    builder.write(operation, "Out", builder.node("Mul", source, gate))


def swish(builder: Builder, operation: Operation) -> None:
    """x * sigmoid(beta * x); silu is that with 1."""
    source, beta = builder.read(operation, "X"), _told(operation, "beta", 1.0)
    scaled = source if beta == 1.0 else builder.node("Mul", source, builder.constant(beta, dtype="float32"))
    builder.write(operation, "Out", builder.node("Mul", source, builder.node("Sigmoid", scaled)))


def mish(builder: Builder, operation: Operation) -> None:
    source = builder.read(operation, "X")
    builder.write(
        operation, "Out", builder.node("Mul", source, builder.node("Tanh", builder.node("Softplus", source)))
    )


def softplus(builder: Builder, operation: Operation) -> None:
    if _told(operation, "beta", 1.0) != 1.0:
        raise builder.declined(operation, "its beta is other than 1")
    builder.write(operation, "Out", builder.node("Softplus", builder.read(operation, "X")))


def gelu(builder: Builder, operation: Operation) -> None:
    """x / 2 * (1 + erf(x / sqrt 2)), or its approximation by tanh."""
    source = builder.read(operation, "X")

    def number(value: float) -> str:
        return builder.constant(value, dtype="float32")

    if operation.attributes.get("approximate"):
        cube = builder.node("Mul", builder.node("Mul", source, source), source)
        inside = builder.node("Add", source, builder.node("Mul", cube, number(0.044715)))
        bent = builder.node("Tanh", builder.node("Mul", inside, number(math.sqrt(2 / math.pi))))
    else:
        bent = builder.node("Erf", builder.node("Mul", source, number(math.sqrt(0.5))))
    half = builder.node("Mul", source, number(0.5))
    builder.write(operation, "Out", builder.node("Mul", half, builder.node("Add", bent, number(1.0))))


def prelu(builder: Builder, operation: Operation) -> None:
    slopes, rank = builder.value(operation, "Alpha"), builder.rank(operation, "X")
    mode = operation.attributes.get("mode", "all")
    if operation.attributes.get("data_format", "NCHW") not in ("NCHW", "AnyLayout"):
        raise builder.declined(operation, "its channels come last")
    if mode == "channel":
        slopes = slopes.reshape(-1, *(1,) * (rank - 2))
    elif mode == "all":
        slopes = slopes.reshape(-1)
    else:
        raise builder.declined(operation, f"its slopes are by {mode}")
    made = builder.node("PRelu", builder.read(operation, "X"), builder.constant(slopes))
    builder.write(operation, "Out", made)


def clip(builder: Builder, operation: Operation) -> None:
    limits = []
    for slot, name in (("Min", "min"), ("Max", "max")):
        if builder.has(operation, slot):
            value = builder.value(operation, slot).reshape(())
        else:
            value = operation.attributes[name]
        limits.append(builder.constant(value, dtype=builder.dtype(operation, "X")))
    builder.write(operation, "Out", builder.node("Clip", builder.read(operation, "X"), *limits))


def square(builder: Builder, operation: Operation) -> None:
    source = builder.read(operation, "X")
    builder.write(operation, "Out", builder.node("Mul", source, source))


def rsqrt(builder: Builder, operation: Operation) -> None:
    root = builder.node("Sqrt", builder.read(operation, "X"))
    builder.write(operation, "Out", builder.node("Reciprocal", root))


def power(builder: Builder, operation: Operation) -> None:
    if builder.has(operation, "FactorTensor"):
        raise builder.declined(operation, "its factor is a tensor")
    factor = builder.constant(_told(operation, "factor", 1.0), dtype=builder.dtype(operation, "X"))
    builder.write(operation, "Out", builder.node("Pow", builder.read(operation, "X"), factor))


def scale(builder: Builder, operation: Operation) -> None:
    """x * scale + bias, or (x + bias) * scale."""
    dtype, made = builder.dtype(operation, "X"), builder.read(operation, "X")
    by = _told(operation, "scale", 1.0)
    if builder.has(operation, "ScaleTensor"):
        by = float(builder.value(operation, "ScaleTensor").reshape(-1)[0])
    shift = _told(operation, "bias", 0.0)
    steps = [("Mul", by, 1.0), ("Add", shift, 0.0)]
    for kind, value, nothing in steps if operation.attributes.get("bias_after_scale", True) else steps[::-1]:
        if value != nothing:
            made = builder.node(kind, made, builder.constant(value, dtype=dtype))
    builder.write(operation, "Out", made)


def dropout(builder: Builder, operation: Operation) -> None:
    """Nothing, or, where training did not scale what it left, that scaling."""
    if not operation.attributes.get("is_test", False):
        raise builder.declined(operation, "it is in training mode: it draws random numbers")
    made = builder.read(operation, "X")
    if operation.attributes.get("dropout_implementation") == "downgrade_in_infer":
        kept = 1.0 - _told(operation, "dropout_prob", 0.5)
        made = builder.node("Mul", made, builder.constant(kept, dtype="float32"))
    builder.write(operation, "Out", made)


def _told(operation: Operation, name: str, default: float) -> float:
    found = operation.attributes.get(name)
    return default if found is None else float(found)


MIRRORS: dict[str, Mirror] = {
    **dict.fromkeys(_PLAIN, plain),
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "swish": swish,
    "silu": swish,
    "mish": mish,
    "softplus": softplus,
    "gelu": gelu,
    "prelu": prelu,
    "clip": clip,
    "square": square,
    "rsqrt": rsqrt,
    "pow": power,
    "scale": scale,
    "dropout": dropout,
}
