"""Conv and ConvTranspose over images, and Conv over sequences as images of one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow_converters.paddle.graph import Graph, Node, Write
from edgeflow_converters.paddle.windows import padding

if TYPE_CHECKING:
    from numpy.typing import NDArray


def conv(graph: Graph, node: Node) -> None:
    filters = graph.constant(node, 1)
    rank = filters.ndim - 2
    if rank not in (1, 2):
        raise node.declined(f"it convolves over {rank} axes, and Paddle Lite over 1 or 2")
    shape = graph.shape(node, node.inputs[0])
    strides, dilations = node.list("strides", [1] * rank), node.list("dilations", [1] * rank)
    pads = padding(node, shape[2:], list(filters.shape[2:]), strides, dilations)
    source = graph.read(node, 0)
    if rank == 1:
        source = graph.reshaped(source, (*shape[:2], 1, shape[2]))
        filters = filters[:, :, None, :]
        strides, dilations, pads = [1, *strides], [1, *dilations], [0, 0, *pads]
    groups = node.whole("group", 1)
    depthwise = groups == filters.shape[0] and filters.shape[1] == 1 and groups > 1
    _biased(
        graph,
        node,
        "depthwise_conv2d" if depthwise else "conv2d",
        source,
        filters,
        flat=rank == 1,
        strides=strides,
        paddings=pads,
        dilations=dilations,
        groups=groups,
    )


def conv_transpose(graph: Graph, node: Node) -> None:
    filters = graph.constant(node, 1)
    if filters.ndim != 4:
        raise node.declined("it convolves over other than 2 axes")
    if node.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in node.attributes:
        raise node.declined("it tells its output's shape instead of its pads")
    strides, dilations = node.list("strides", [1, 1]), node.list("dilations", [1, 1])
    shape = graph.shape(node, node.inputs[0])
    pads = padding(node, shape[2:], list(filters.shape[2:]), strides, dilations)
    more = node.list("output_padding", [0, 0])
    _biased(
        graph,
        node,
        "conv2d_transpose",
        graph.read(node, 0),
        filters,
        flat=False,
        strides=strides,
        paddings=pads,
        dilations=dilations,
        groups=node.whole("group", 1),
        output_padding=more if any(more) else [],
        output_size=[],
    )


def _biased(
    graph: Graph, node: Node, kind: str, source: str, filters: NDArray[Any], *, flat: bool, **attributes: Any
) -> None:
    """The convolution and the bias after it, which opt joins; `flat` where its line becomes a sequence."""
    shape = graph.shape(node, node.outputs[0])
    image = (*shape[:2], 1, shape[2]) if flat else shape
    bias = graph.constant(node, 2) if node.has(2) else None
    made = graph.temporary(image) if flat or bias is not None else graph.write(node)
    graph.program.operation(
        kind,
        {"Input": [source], "Filter": [graph.program.parameter(filters)]},
        {"Output": [made]},
        padding_algorithm="EXPLICIT",
        data_format="NCHW",
        **attributes,
    )
    if bias is not None:
        summed = graph.temporary(image) if flat else graph.write(node)
        graph.program.operation(
            "elementwise_add", {"X": [made], "Y": [graph.program.parameter(bias)]}, {"Out": [summed]}, axis=1
        )
        made = summed
    if flat:
        graph.reshaped(made, shape, graph.write(node))


WRITERS: dict[str, Write] = {"Conv": conv, "ConvTranspose": conv_transpose}
