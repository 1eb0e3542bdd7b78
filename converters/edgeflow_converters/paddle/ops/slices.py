"""Parts of tensors: put together, cut out, picked, and put into a frame."""

from __future__ import annotations

from edgeflow_converters.paddle.graph import Graph, Node, Write


def concat(graph: Graph, node: Node) -> None:
    rank = len(graph.shape(node, node.outputs[0]))
    # A part without elements adds nothing, and Paddle Lite does not take it.
    parts = [
        graph.read(node, place) for place, name in enumerate(node.inputs) if 0 not in graph.shape(node, name)
    ]
    axis = node.whole("axis", 0) % rank
    graph.program.operation("concat", {"X": parts}, {"Out": [graph.write(node)]}, axis=axis)


def split(graph: Graph, node: Node) -> None:
    source, shape = graph.read(node, 0), graph.shape(node, node.inputs[0])
    axis = node.whole("axis", 0) % len(shape)
    sections = [graph.shape(node, name)[axis] for name in node.outputs]
    made = [graph.write(node, place) for place in range(len(node.outputs))]
    graph.program.operation("split", {"X": [source]}, {"Out": made}, axis=axis, num=0, sections=sections)


def cut(graph: Graph, node: Node) -> None:
    """Slice: forwards, by `slice` or, with steps, `strided_slice`."""
    shape = graph.shape(node, node.inputs[0])
    starts, ends = (graph.constant(node, place).tolist() for place in (1, 2))
    axes = graph.constant(node, 3).tolist() if node.has(3) else list(range(len(starts)))
    steps = graph.constant(node, 4).tolist() if node.has(4) else [1] * len(starts)
    axes = [axis % len(shape) for axis in axes]
    if any(step < 1 for step in steps):
        raise node.declined("it runs backwards")
    limits = [slice(*ends_).indices(shape[axis]) for axis, *ends_ in zip(axes, starts, ends, strict=True)]
    begins, stops = [each[0] for each in limits], [each[1] for each in limits]
    source = graph.read(node, 0)
    attributes = {"axes": axes, "starts": begins, "ends": stops, "decrease_axis": []}
    kind = "slice"
    if set(steps) != {1}:
        kind, attributes["strides"] = "strided_slice", steps
    graph.program.operation(
        kind,
        {"Input": [source]},
        {"Out": [graph.write(node)]},
        infer_flags=[1] * len(axes),
        **attributes,
    )


def pad(graph: Graph, node: Node) -> None:
    """Of the last two of four axes by `pad2d`; of any axes with one number by putting parts together."""
    import numpy as np

    shape = graph.shape(node, node.inputs[0])
    pads, rank = graph.constant(node, 1).tolist(), len(shape)
    if node.has(3):
        given, named = pads, [int(axis) % rank for axis in graph.constant(node, 3).tolist()]
        pads = [0] * 2 * rank
        for place, axis in enumerate(named):
            pads[axis], pads[rank + axis] = given[place], given[len(named) + place]
    mode = node.text("mode", "constant")
    value = float(graph.constant(node, 2).reshape(())) if node.has(2) else 0.0
    if mode not in ("constant", "reflect", "edge") or min(pads) < 0:
        raise node.declined(f"it pads by {mode}" if min(pads) >= 0 else "it cuts instead of padding")
    around = [axis for axis in range(rank) if pads[axis] or pads[rank + axis]]
    source = graph.read(node, 0)
    if mode != "constant" or (rank == 4 and all(axis > 1 for axis in around)):
        image = shape if rank == 4 else (1, *(1,) * (3 - rank), *shape)
        if rank > 4 or any(axis < rank - 2 for axis in around):
            raise node.declined(f"it pads by {mode} along other than the last two axes")
        if rank < 4:
            source = graph.reshaped(source, image)
        before, after = ([0, 0, *pads[:rank]][-2:], [0, 0, *pads[rank:]][-2:])
        frame = [before[0], after[0], before[1], after[1]]
        padded = (*image[:2], image[2] + sum(frame[:2]), image[3] + sum(frame[2:]))
        made = graph.write(node) if rank == 4 else graph.temporary(padded)
        graph.program.operation(
            "pad2d",
            {"X": [source]},
            {"Out": [made]},
            paddings=frame,
            mode=mode,
            pad_value=value,
            data_format="NCHW",
        )
        if rank < 4:
            graph.reshaped(made, graph.shape(node, node.outputs[0]), graph.write(node))
        return
    grown = list(shape)
    for axis in around or [0]:
        parts = [source]
        for count, place in ((pads[axis], 0), (pads[rank + axis], len(parts) + 1)):
            if count:
                edge = np.full([*grown[:axis], count, *grown[axis + 1 :]], value, np.float32)
                parts.insert(min(place, len(parts)), graph.program.parameter(edge))
        grown[axis] += pads[axis] + pads[rank + axis]
        last = axis == (around or [0])[-1]
        made = graph.write(node) if last else graph.temporary(tuple(grown))
        graph.program.operation("concat", {"X": parts}, {"Out": [made]}, axis=axis)
        source = made


def gather(graph: Graph, node: Node) -> None:
    import numpy as np

    shape = graph.shape(node, node.inputs[0])
    axis = node.whole("axis", 0) % len(shape)
    places = graph.constant(node, 1)
    if places.ndim > 1:
        raise node.declined("its places are a table")
    result = graph.shape(node, node.outputs[0])
    if not result:
        raise node.declined("its result is a number without axes, which Paddle 2.x does not have")
    source = graph.read(node, 0)
    flat = np.where(places < 0, places + shape[axis], places).astype(np.int64).reshape(-1)
    if flat.size == 1:
        made = graph.temporary((*shape[:axis], 1, *shape[axis + 1 :]))
        graph.program.operation(
            "slice",
            {"Input": [source]},
            {"Out": [made]},
            axes=[axis],
            starts=[int(flat[0])],
            ends=[int(flat[0]) + 1],
            infer_flags=[1],
            decrease_axis=[],
        )
        graph.reshaped(made, result, graph.write(node))
        return
    index = graph.program.parameter(flat)
    outputs = {"Out": [graph.write(node)]}
    graph.program.operation("gather", {"X": [source], "Index": [index]}, outputs, axis=axis)


WRITERS: dict[str, Write] = {"Concat": concat, "Split": split, "Slice": cut, "Pad": pad, "Gather": gather}
