"""TensorFlow Lite's operators as ONNX nodes.

TensorFlow keeps channels last, ONNX's convolutions take them second. A tensor of four axes may be had in both
orders here; each is made when first asked for. So between convolutions nothing is transposed: what works
element by element takes the order that its operands are already in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import UnsupportedModel
from edgeflow_converters.sources.onnx_graph import OnnxGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.sources.tflite_graph import Graph, Operator, Tensor

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
_SAME = 0
_UNARY: Mapping[str, str] = MappingProxyType(
    {
        "LOGISTIC": "Sigmoid", "TANH": "Tanh", "RELU": "Relu", "EXP": "Exp", "NEG": "Neg", "ABS": "Abs",
        "SQRT": "Sqrt", "LOG": "Log", "FLOOR": "Floor", "HARD_SWISH": "HardSwish",
    }
)  # fmt: skip
_BINARY: Mapping[str, str] = MappingProxyType(
    {"ADD": "Add", "MUL": "Mul", "SUB": "Sub", "DIV": "Div", "MAXIMUM": "Max", "MINIMUM": "Min", "POW": "Pow"}
)
_REDUCTIONS: Mapping[str, str] = MappingProxyType(
    {"MEAN": "ReduceMean", "SUM": "ReduceSum", "REDUCE_MAX": "ReduceMax", "REDUCE_MIN": "ReduceMin"}
)


class Translation:
    """One graph on its way. `last[i]` and `first[i]` name tensor i with its channels last, and second."""

    def __init__(self, source: Graph, name: str) -> None:
        self.source, self.name, self.onnx = source, name, OnnxGraph()
        self._last: dict[int, str] = {}
        self._first: dict[int, str] = {}
        self._values: dict[int, NDArray[Any]] = {
            index: tensor.data for index, tensor in enumerate(source.tensors) if tensor.data is not None
        }

    def run(self) -> None:
        """Translate every operator. Raises UnsupportedModel naming the first that is not known."""
        for index in self.source.inputs:
            self._last[index] = self.source.tensors[index].name
        for operator in self.source.operators:
            self._translate(operator)

    def _translate(self, operator: Operator) -> None:
        where = self.source.tensors[operator.outputs[0]].name
        if operator.name != "DEQUANTIZE" or self.value(operator.inputs[0]) is None:
            for index in (*operator.inputs, *operator.outputs):
                if index >= 0 and self.source.tensors[index].quantized:
                    raise UnsupportedModel(
                        f"{self.name} is quantized ({self.tensor(index).name}): only floats are read",
                        hint="export it without quantization",
                    )
        if operator.name in _UNARY:
            self.elementwise(operator, _UNARY[operator.name])
        elif operator.name in _BINARY:
            self.elementwise(operator, _BINARY[operator.name])
        elif operator.name in _REDUCTIONS:
            reduction(self, operator, _REDUCTIONS[operator.name])
        elif operator.name in _OTHERS:
            _OTHERS[operator.name](self, operator)
        else:
            raise UnsupportedModel(
                f"{self.name}: {operator.name} (at {where}) is not read from TensorFlow Lite",
                hint="export the model as ONNX",
            )

    # --- tensors --------------------------------------------------------------------------------------
    def tensor(self, index: int) -> Tensor:
        return self.source.tensors[index]

    def value(self, index: int) -> NDArray[Any] | None:
        """A constant's numbers."""
        return self._values.get(index)

    def known(self, operator: Operator, position: int, what: str) -> NDArray[Any]:
        """An input that must be constant."""
        found = self.value(operator.inputs[position]) if position < len(operator.inputs) else None
        if found is None:
            raise UnsupportedModel(f"{self.name}: {operator.name} with {what} that is computed is not read")
        return found

    def let_value(self, index: int, value: NDArray[Any]) -> None:
        self._values[index] = value

    def last(self, index: int) -> str:
        """The tensor as TensorFlow Lite has it."""
        if index not in self._last:
            value = self.value(index)
            if value is not None:
                self._last[index] = self.onnx.constant(value, f"c{index}:{self.tensor(index).name}")
            else:
                self._last[index] = self.onnx.node("Transpose", [self._first[index]], perm=list(TO_LAST))
        return self._last[index]

    def first(self, index: int) -> str:
        """The tensor of four axes with its channels second."""
        if index not in self._first:
            value = self.value(index)
            if value is not None:
                self._first[index] = self.onnx.constant(value.transpose(TO_FIRST))
            else:
                self._first[index] = self.onnx.node("Transpose", [self._last[index]], perm=list(TO_FIRST))
        return self._first[index]

    def is_first(self, index: int) -> bool:
        return index in self._first and len(self.tensor(index).shape) == 4

    def give(self, index: int, name: str, *, first: bool) -> None:
        """`name` is tensor `index` from now on."""
        (self._first if first else self._last)[index] = name

    def activated(self, name: str, activation: int) -> str:
        """What a fused activation makes of `name`."""
        import numpy as np

        if activation == 0:
            return name
        if activation == 1:
            return self.onnx.node("Relu", [name])
        if activation in (2, 3):
            low, high = (-1.0, 1.0) if activation == 2 else (0.0, 6.0)
            bounds = [self.onnx.constant(np.float32(bound), f"bound{bound:g}") for bound in (low, high)]
            return self.onnx.node("Clip", [name, *bounds])
        if activation == 4:
            return self.onnx.node("Tanh", [name])
        raise UnsupportedModel(f"{self.name}: the fused activation {activation} is not read")

    def elementwise(self, operator: Operator, op: str) -> None:
        """An operator that takes numbers at the same place: in whichever order they are already in."""
        output = operator.outputs[0]
        computed = [index for index in operator.inputs if self.value(index) is None]
        first = any(self.is_first(index) for index in computed) and all(
            len(self.tensor(index).shape) == 4 for index in computed
        )
        names = []
        for index in operator.inputs:
            value = self.value(index)
            if first and value is not None and value.ndim < 4:
                spread = value.reshape((1,) * (4 - value.ndim) + value.shape)
                names.append(self.onnx.constant(spread.transpose(TO_FIRST)))
            else:
                names.append(self.first(index) if first else self.last(index))
        result = self.onnx.node(op, names)
        fused = operator.option(0) if operator.name in ("ADD", "MUL", "SUB", "DIV") else 0
        self.give(output, self.activated(result, fused), first=first)


# --- convolutions and pools --------------------------------------------------------------------------------
def _pads(
    operator: Operator,
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[int]:
    """ONNX's pads of TensorFlow's SAME or VALID; SAME puts the odd one behind."""
    if operator.option(0) != _SAME:
        return [0, 0, 0, 0]
    before, after = [], []
    for length, window, step, spread in zip(size, kernel, stride, dilation, strict=True):
        reach = (window - 1) * spread + 1
        total = max((-(-length // step) - 1) * step + reach - length, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return [*before, *after]


def convolution(t: Translation, operator: Operator) -> None:
    import numpy as np

    weights = t.known(operator, 1, "weights")
    depthwise = operator.name == "DEPTHWISE_CONV_2D"
    stride = [operator.option(2, "i", 1), operator.option(1, "i", 1)]
    fused, far = (4, 5) if depthwise else (3, 4)
    dilation = [operator.option(far + 1, "i", 1), operator.option(far, "i", 1)]
    size = t.tensor(operator.inputs[0]).shape
    if depthwise:
        weights = weights.transpose(3, 0, 1, 2)  # 1,h,w,c*m -> c*m,1,h,w
        group = size[3]
    else:
        weights = weights.transpose(0, 3, 1, 2)
        group = size[3] // weights.shape[1]
    kernel = weights.shape[2:]
    inputs = [t.first(operator.inputs[0]), t.onnx.constant(weights.astype(np.float32))]
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        inputs.append(t.onnx.constant(t.known(operator, 2, "a bias").astype(np.float32)))
    result = t.onnx.node(
        "Conv", inputs, kernel_shape=list(kernel), strides=stride, dilations=dilation, group=group,
        pads=_pads(operator, size[1:3], kernel, stride, dilation),
    )  # fmt: skip
    t.give(operator.outputs[0], t.activated(result, operator.option(fused)), first=True)


def transposed_convolution(t: Translation, operator: Operator) -> None:
    import numpy as np

    shape = [int(size) for size in t.known(operator, 0, "a shape")]
    weights = t.known(operator, 1, "weights").transpose(3, 0, 1, 2)  # o,h,w,i -> i,o,h,w
    stride = [operator.option(2, "i", 1), operator.option(1, "i", 1)]
    kernel = weights.shape[2:]
    size = t.tensor(operator.inputs[2]).shape[1:3]
    before, after, more = [], [], []
    for wanted, length, window, step in zip(shape[1:3], size, kernel, stride, strict=True):
        total = (length - 1) * step + window - wanted
        cut = max(total, 0)
        before.append(cut // 2)
        after.append(cut - cut // 2)
        more.append(max(-total, 0))
    inputs = [t.first(operator.inputs[2]), t.onnx.constant(weights.astype(np.float32))]
    if len(operator.inputs) > 3 and operator.inputs[3] >= 0:
        inputs.append(t.onnx.constant(t.known(operator, 3, "a bias").astype(np.float32)))
    result = t.onnx.node(
        "ConvTranspose", inputs, kernel_shape=list(kernel), strides=stride, pads=[*before, *after],
        output_padding=more,
    )  # fmt: skip
    t.give(operator.outputs[0], t.activated(result, operator.option(3)), first=True)


def pool(t: Translation, operator: Operator) -> None:
    stride = [operator.option(2, "i", 1), operator.option(1, "i", 1)]
    kernel = [operator.option(4, "i", 1), operator.option(3, "i", 1)]
    size = t.tensor(operator.inputs[0]).shape[1:3]
    pads = _pads(operator, size, kernel, stride, (1, 1))
    op = "MaxPool" if operator.name == "MAX_POOL_2D" else "AveragePool"
    x = t.first(operator.inputs[0])
    result = t.onnx.node(op, [x], kernel_shape=kernel, strides=stride, pads=pads)
    t.give(operator.outputs[0], t.activated(result, operator.option(5)), first=True)


# --- shapes ------------------------------------------------------------------------------------------------
def reshape(t: Translation, operator: Operator) -> None:
    import numpy as np

    source, output = operator.inputs[0], operator.outputs[0]
    shape = np.array(t.tensor(output).shape, np.int64)
    t.give(output, t.onnx.node("Reshape", [t.last(source), t.onnx.constant(shape)]), first=False)


def pad(t: Translation, operator: Operator) -> None:
    import numpy as np

    source, output = operator.inputs[0], operator.outputs[0]
    widths = t.known(operator, 1, "widths").astype(np.int64)
    first = t.is_first(source)
    if first:
        widths = widths[list(TO_FIRST)]
    inputs = [t.first(source) if first else t.last(source), t.onnx.constant(widths.T.reshape(-1))]
    if operator.name == "PADV2":
        inputs.append(t.onnx.constant(t.known(operator, 2, "a value").reshape(())))
    t.give(output, t.onnx.node("Pad", inputs), first=first)


def concatenation(t: Translation, operator: Operator) -> None:
    output = operator.outputs[0]
    rank = len(t.tensor(output).shape)
    axis = operator.option(0, "i") % rank
    first = rank == 4 and any(t.is_first(index) for index in operator.inputs)
    names = [t.first(index) if first else t.last(index) for index in operator.inputs]
    result = t.onnx.node("Concat", names, axis=TO_FIRST.index(axis) if first else axis)
    t.give(output, t.activated(result, operator.option(1)), first=first)


def reduction(t: Translation, operator: Operator, op: str) -> None:
    import numpy as np

    source, output = operator.inputs[0], operator.outputs[0]
    rank = len(t.tensor(source).shape)
    axes = sorted(int(axis) % rank for axis in t.known(operator, 1, "axes").reshape(-1))
    keep = bool(operator.option(0, "?"))
    first = t.is_first(source) and (keep or axes == [1, 2])  # of what remains, the order is the same
    if op == "ReduceMean" and first and axes == [1, 2]:
        result = t.onnx.node("GlobalAveragePool", [t.first(source)])
        if not keep:
            result = t.onnx.node("Flatten", [result])
        t.give(output, result, first=keep)
        return
    name = t.first(source) if first else t.last(source)
    moved = [TO_FIRST.index(axis) for axis in axes] if first else axes
    if op == "ReduceSum":
        result = t.onnx.node(op, [name, t.onnx.constant(np.array(moved, np.int64))], keepdims=int(keep))
    else:
        result = t.onnx.node(op, [name], axes=moved, keepdims=int(keep))
    t.give(output, result, first=first and keep)


def resize(t: Translation, operator: Operator) -> None:
    import numpy as np

    linear = operator.name == "RESIZE_BILINEAR"
    aligned, half = (operator.option(field, "?") for field in ((2, 3) if linear else (0, 1)))
    source, output = operator.inputs[0], operator.outputs[0]
    batch, height, width, channels = t.tensor(output).shape
    sizes = t.onnx.constant(np.array([batch, channels, height, width], np.int64))
    modes = {
        "mode": "linear" if linear else "nearest",
        "coordinate_transformation_mode": "align_corners"
        if aligned
        else "half_pixel"
        if half
        else "asymmetric",
    }
    if not linear:
        modes["nearest_mode"] = "round_prefer_ceil" if aligned or half else "floor"
        if half:
            modes["nearest_mode"] = "floor"  # of half-pixel places, as TensorFlow Lite rounds them
            modes["coordinate_transformation_mode"] = "asymmetric"
            if height % t.tensor(source).shape[1] or width % t.tensor(source).shape[2]:
                raise UnsupportedModel(f"{t.name}: RESIZE_NEAREST_NEIGHBOR by a fraction is not read")
    t.give(output, t.onnx.node("Resize", [t.first(source), "", "", sizes], **modes), first=True)


def transpose(t: Translation, operator: Operator) -> None:
    order = [int(axis) for axis in t.known(operator, 1, "an order")]
    t.give(
        operator.outputs[0], t.onnx.node("Transpose", [t.last(operator.inputs[0])], perm=order), first=False
    )


def slice_of(t: Translation, operator: Operator) -> None:
    import numpy as np

    source, output = operator.inputs[0], operator.outputs[0]
    shape = t.tensor(source).shape
    begin = [int(value) for value in t.known(operator, 1, "a beginning")]
    if operator.name == "SLICE":
        sizes = [int(value) for value in t.known(operator, 2, "a size")]
        end = [b + s if s >= 0 else n for b, s, n in zip(begin, sizes, shape, strict=True)]
        steps, dropped = [1] * len(shape), []
    else:
        end = [int(value) for value in t.known(operator, 2, "an end")]
        steps = [int(value) for value in t.known(operator, 3, "strides")]
        begins, ends, ellipsis, added, shrunk = (operator.option(field, "i") for field in range(5))
        if ellipsis or added or min(steps) < 1 or len(begin) != len(shape):
            raise UnsupportedModel(f"{t.name}: this STRIDED_SLICE (at {t.tensor(output).name}) is not read")
        dropped = [axis for axis in range(len(shape)) if shrunk >> axis & 1]
        begin = [0 if begins >> axis & 1 else value for axis, value in enumerate(begin)]
        end = [shape[axis] if ends >> axis & 1 else value for axis, value in enumerate(end)]
        for axis in dropped:
            end[axis] = begin[axis] + 1 if begin[axis] != -1 else shape[axis]
    first = t.is_first(source) and not dropped
    parts: list[list[int]] = [begin, end, list(range(len(shape))), steps]
    if first:
        parts = [begin, end, [TO_FIRST.index(axis) for axis in range(4)], steps]
    constants = [t.onnx.constant(np.array(part, np.int64)) for part in parts]
    result = t.onnx.node("Slice", [t.first(source) if first else t.last(source), *constants])
    if dropped:
        result = t.onnx.node("Squeeze", [result, t.onnx.constant(np.array(dropped, np.int64))])
    t.give(output, result, first=first)


# --- the rest ----------------------------------------------------------------------------------------------
def dequantize(t: Translation, operator: Operator) -> None:
    import numpy as np

    source, output = operator.inputs[0], operator.outputs[0]
    value = t.value(source)
    if t.tensor(source).dtype != "float16":
        raise UnsupportedModel(
            f"{t.name} is quantized ({t.tensor(source).name}): only models of floats are read",
            hint="export it without quantization",
        )
    if value is not None:
        t.let_value(output, value.astype(np.float32))
    else:
        t.give(output, t.onnx.node("Cast", [t.last(source)], to=1), first=False)


def fully_connected(t: Translation, operator: Operator) -> None:
    import numpy as np

    source, output = operator.inputs[0], operator.outputs[0]
    weights = t.known(operator, 1, "weights").astype(np.float32)
    rows = t.onnx.constant(np.array([-1, weights.shape[1]], np.int64))
    x = t.onnx.node("Reshape", [t.last(source), rows])
    inputs = [x, t.onnx.constant(weights)]
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        inputs.append(t.onnx.constant(t.known(operator, 2, "a bias").astype(np.float32)))
    result = t.activated(t.onnx.node("Gemm", inputs, transB=1), operator.option(0))
    if len(t.tensor(output).shape) != 2:
        shape = np.array(t.tensor(output).shape, np.int64)
        result = t.onnx.node("Reshape", [result, t.onnx.constant(shape)])
    t.give(output, result, first=False)


def softmax(t: Translation, operator: Operator) -> None:
    import numpy as np

    x = t.last(operator.inputs[0])
    beta = operator.option(0, "f", 0.0) if operator.name == "SOFTMAX" else 1.0
    if beta != 1.0:
        x = t.onnx.node("Mul", [x, t.onnx.constant(np.float32(beta))])
    op = "Softmax" if operator.name == "SOFTMAX" else "LogSoftmax"
    t.give(operator.outputs[0], t.onnx.node(op, [x], axis=-1), first=False)


def prelu(t: Translation, operator: Operator) -> None:
    slope = t.known(operator, 1, "slopes")
    if len(t.tensor(operator.inputs[0]).shape) == 4 and slope.ndim == 3:
        flat = t.onnx.constant(slope.transpose(2, 0, 1))
        t.give(operator.outputs[0], t.onnx.node("PRelu", [t.first(operator.inputs[0]), flat]), first=True)
        return
    names = [t.last(operator.inputs[0]), t.onnx.constant(slope)]
    t.give(operator.outputs[0], t.onnx.node("PRelu", names), first=False)


def leaky(t: Translation, operator: Operator) -> None:
    source = operator.inputs[0]
    first = t.is_first(source)
    name = t.first(source) if first else t.last(source)
    alpha = float(operator.option(0, "f"))
    t.give(operator.outputs[0], t.onnx.node("LeakyRelu", [name], alpha=alpha), first=first)


def clipped(t: Translation, operator: Operator) -> None:
    source = operator.inputs[0]
    first = t.is_first(source)
    name = t.first(source) if first else t.last(source)
    fused = 3 if operator.name == "RELU6" else 2
    t.give(operator.outputs[0], t.activated(name, fused), first=first)


def depth_to_space(t: Translation, operator: Operator) -> None:
    size = operator.option(0, "i")
    x = t.first(operator.inputs[0])
    if operator.name == "DEPTH_TO_SPACE":
        result = t.onnx.node("DepthToSpace", [x], blocksize=size, mode="DCR")
    else:
        result = t.onnx.node("SpaceToDepth", [x], blocksize=size)
    t.give(operator.outputs[0], result, first=True)


_OTHERS: Mapping[str, Callable[[Translation, Any], None]] = MappingProxyType(
    {
        "CONV_2D": convolution, "DEPTHWISE_CONV_2D": convolution, "TRANSPOSE_CONV": transposed_convolution,
        "MAX_POOL_2D": pool, "AVERAGE_POOL_2D": pool, "RESHAPE": reshape, "SQUEEZE": reshape,
        "EXPAND_DIMS": reshape, "PAD": pad, "PADV2": pad, "CONCATENATION": concatenation,
        "RESIZE_BILINEAR": resize, "RESIZE_NEAREST_NEIGHBOR": resize, "TRANSPOSE": transpose,
        "SLICE": slice_of, "STRIDED_SLICE": slice_of, "DEQUANTIZE": dequantize,
        "FULLY_CONNECTED": fully_connected, "SOFTMAX": softmax, "LOG_SOFTMAX": softmax, "PRELU": prelu,
        "LEAKY_RELU": leaky, "RELU6": clipped, "RELU_N1_TO_1": clipped, "DEPTH_TO_SPACE": depth_to_space,
        "SPACE_TO_DEPTH": depth_to_space,
    }
)  # fmt: skip
