"""What a .nb file says of itself: what Paddle Lite's opt wrote of the graph, read without Paddle Lite.

Paddle Lite runs a model for another processor and answers rubbish without a word. The graph is a FlatBuffer
of Paddle Lite's framework.fbs behind a header: u16 format, 16 bytes of opt's version, u64 size.
"""

from __future__ import annotations

import platform
import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

from edgeflow_agent.faults import Fault

HEADER_BYTES, FORMAT, MAX_GRAPH_BYTES = 26, 2, 64 << 20
KERNEL_ATTRIBUTE = "__@kernel_type_attr@__"

# TargetType and PrecisionType of Paddle Lite, as far as anything here asks for them.
HOST, X86, ARM, ANY = 1, 2, 4, 6
TARGETS = {X86: "x86", 3: "CUDA", ARM: "ARM", 5: "OpenCL", 9: "XPU", 17: "Metal", 18: "NNAdapter"}
INT8, FP16 = 2, 5

# Indexes of fields in framework.fbs.
PROGRAM_BLOCKS, BLOCK_VARS, BLOCK_OPS = 0, 2, 3
VAR_NAME, VAR_TYPE, TYPE_TENSOR, TENSOR_DESC, DESC_DIMS = 0, 1, 2, 0, 1
OP_TYPE, OP_OUTPUTS, OP_ATTRS, SLOT_NAMES, ATTR_NAME, ATTR_TEXT = 0, 2, 3, 1, 0, 4


class Kernel(NamedTuple):
    """A kernel that opt chose: `conv2d/def/4/1/1` is operator, alias, target, precision and layout."""

    operation: str
    target: int
    precision: int


class Model(NamedTuple):
    """The kernels, and the inputs' shapes: -1 where an axis is free."""

    kernels: Tuple[Kernel, ...]
    inputs: Dict[str, List[int]]


def read_model(path: str) -> Model:
    """Raises Fault load_failed where the file is none that opt wrote, or of a format that is not known."""
    with open(path, "rb") as file:
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            raise _refused("it is shorter than its header")
        format_number, size = struct.unpack("<H16xQ", header)
        if format_number != FORMAT:
            raise _refused("its format is number %d, and only 2 is known (opt 2.7 and newer)" % format_number)
        if not 0 < size <= MAX_GRAPH_BYTES:
            raise _refused("it is damaged")
        graph = file.read(size)
    if len(graph) < size:
        raise _refused("it is cut")
    try:
        return _model(graph)
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise _refused("it is damaged") from error


def require_target(model: Model, ours: Optional[int] = None) -> None:
    """Raises Fault load_failed unless target `ours`, by default this processor, can run every kernel."""
    if ours is None:
        ours = X86 if platform.machine() in ("x86_64", "AMD64", "i686") else ARM
    others = sorted({kernel.target for kernel in model.kernels} - {HOST, ANY, ours})
    if others:
        raise Fault(
            "load_failed",
            "the model was optimised for %s, but this device computes on %s: convert it for this device"
            % (" and ".join(TARGETS.get(target, "target %d" % target) for target in others), TARGETS[ours]),
        )


def compute_dtype(model: Model) -> str:
    """ "int8" or "fp16" where a kernel computes in it, else "fp32"."""
    precisions = {kernel.precision for kernel in model.kernels}
    return "int8" if INT8 in precisions else "fp16" if FP16 in precisions else "fp32"


def _refused(why: str) -> Fault:
    return Fault("load_failed", "the file is no .nb model of Paddle Lite's opt: %s" % why)


def _model(graph: bytes) -> Model:
    blocks = _Place(graph, 0).referred().children(PROGRAM_BLOCKS)
    if not blocks:
        raise _refused("it has no graph")
    kernels: List[Kernel] = []
    inputs: Dict[str, List[int]] = {}
    for operation in (operation for block in blocks for operation in block.children(BLOCK_OPS)):
        for attribute in operation.children(OP_ATTRS):
            if attribute.child(ATTR_NAME).text() == KERNEL_ATTRIBUTE:
                kernels.append(_kernel(attribute.child(ATTR_TEXT).text()))
        if operation.child(OP_TYPE).text() == "feed":
            for slot in operation.children(OP_OUTPUTS):
                inputs.update((name.text(), []) for name in slot.children(SLOT_NAMES))
    if not kernels:
        raise _refused("it names no kernel")
    for variable in blocks[0].children(BLOCK_VARS):
        name = variable.child(VAR_NAME).text()
        if name in inputs:
            description = variable.child(VAR_TYPE).child(TYPE_TENSOR).child(TENSOR_DESC)
            inputs[name] = description.longs(DESC_DIMS)
    return Model(tuple(kernels), inputs)


def _kernel(text: str) -> Kernel:
    words = text.split("/")
    if len(words) != 5 or not all(word.isdigit() and len(word) < 4 for word in words[2:4]):
        raise _refused("a kernel is called %.80s" % text)
    return Kernel(words[0], int(words[2]), int(words[3]))


class _Place:
    """A place in a FlatBuffer. Raises struct.error or ValueError where it leads out of it."""

    def __init__(self, graph: bytes, at: int) -> None:
        self._graph, self._at = graph, at

    def children(self, index: int) -> List[_Place]:
        """The items of a table's field that is a list of tables or texts."""
        found = self._list(index)
        if found is None:
            return []
        place, count = found
        return [place._moved(4 + 4 * item).referred() for item in range(count)]

    def longs(self, index: int) -> List[int]:
        found = self._list(index)
        if found is None:
            return []
        place, count = found
        return list(struct.unpack_from("<%dq" % count, self._graph, place._at + 4))

    def child(self, index: int) -> _Place:
        """A table's field that is a table or a text, and must be there."""
        found = self._field(index)
        if found is None:
            raise ValueError("a field is missing")
        return found.referred()

    def text(self) -> str:
        (length,) = struct.unpack_from("<I", self._graph, self._at)
        if length > len(self._graph) - self._at - 4:
            raise ValueError("a text is cut")
        return self._graph[self._at + 4 : self._at + 4 + length].decode()

    def referred(self) -> _Place:
        return self._moved(struct.unpack_from("<I", self._graph, self._at)[0])

    def _list(self, index: int) -> Tuple[_Place, int] | None:
        found = self._field(index)
        if found is None:
            return None
        place = found.referred()
        (count,) = struct.unpack_from("<I", self._graph, place._at)
        if count > len(self._graph) // 4:
            raise ValueError("a list is longer than the file")
        return place, count

    def _field(self, index: int) -> _Place | None:
        layout = self._at - struct.unpack_from("<i", self._graph, self._at)[0]
        if layout < 0:
            raise ValueError("a table's layout lies before the file")
        slot = 4 + 2 * index
        if slot + 2 > struct.unpack_from("<H", self._graph, layout)[0]:
            return None
        (offset,) = struct.unpack_from("<H", self._graph, layout + slot)
        return self._moved(offset) if offset else None

    def _moved(self, count: int) -> _Place:
        return _Place(self._graph, self._at + count)
