"""ncnn's text graph (.param) and what pnnx leaves in it. Pure parsing.

Format: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure . After the magic number and
the counts, each line is `type name #inputs #outputs inputs... outputs... key=value...`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgeflow_converters.errors import ConverterFailed

MAGIC = "7767517"

# The ONNX operators behind the layer names that pnnx invents, where they are not called the same.
_ONNX_OPS: Mapping[str, str] = MappingProxyType(
    {
        "Tensor.reshape": "Reshape", "Tensor.view": "Reshape", "Tensor.permute": "Transpose",
        "Tensor.to": "Cast", "Tensor.slice": "Slice", "Tensor.expand": "Expand",
        "torch.eq": "Equal", "torch.ne": "Not", "torch.lt": "Less", "torch.le": "LessOrEqual",
        "torch.gt": "Greater", "torch.ge": "GreaterOrEqual", "torch.where": "Where",
        "torch.unbind": "Split or Gather", "torch.gather": "GatherElements", "torch.topk": "TopK",
        "torch.stack": "Concat", "torch.argmax": "ArgMax", "torch.argmin": "ArgMin",
        "F.grid_sample": "GridSample", "torch.einsum": "Einsum", "torch.cumsum": "CumSum",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of a .param file. `params` holds its key=value part as text."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Mapping[str, str]


def parse_param(path: Path) -> list[Layer]:
    """The layers of a .param file. Raises ConverterFailed for one that is cut or malformed."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        if not lines or lines[0].strip() != MAGIC:
            raise ValueError("it does not begin with ncnn's magic number")
        expected = int(lines[1].split()[0])
        layers = [_parse_layer(line) for line in lines[2:] if line.strip()]
        if len(layers) != expected:
            raise ValueError(f"it says {expected} layers and has {len(layers)}")
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ConverterFailed(f"{path.name} is not a complete ncnn graph: {error}") from error
    return layers


def write_param(layers: Sequence[Layer], path: Path) -> None:
    """Write `layers` as a .param file."""
    blobs = {blob for layer in layers for blob in layer.outputs}
    lines = [MAGIC, f"{len(layers)} {len(blobs)}"]
    for layer in layers:
        counts = f"{len(layer.inputs)} {len(layer.outputs)}"
        params = [f"{key}={value}" for key, value in layer.params.items()]
        lines.append(" ".join([layer.kind, layer.name, counts, *layer.inputs, *layer.outputs, *params]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def pnnx_shapes(pnnx_param: Path) -> dict[str, str]:
    """Operator name -> `[in] -> [out]` shapes, from pnnx's own annotated graph (model.pnnx.param);
    none if it wrote none."""
    shapes: dict[str, str] = {}
    if not pnnx_param.is_file():
        return shapes
    for line in pnnx_param.read_text(encoding="utf-8", errors="replace").splitlines()[2:]:
        fields = line.split()
        if len(fields) < 4 or not (fields[2].isdigit() and fields[3].isdigit()):
            continue
        inputs = fields[4 : 4 + int(fields[2])]
        outputs = fields[4 + int(fields[2]) : 4 + int(fields[2]) + int(fields[3])]
        known = dict(re.findall(r"#(\S+?)=\(([^)]*)\)", line))
        shown = [", ".join(f"[{known.get(blob, '?')}]" for blob in blobs) for blobs in (inputs, outputs)]
        shapes[fields[1]] = " -> ".join(shown)
    return shapes


def onnx_op_of(kind: str) -> str:
    """The ONNX operator that pnnx made layer type `kind` from, as well as its name tells."""
    return _ONNX_OPS.get(kind, kind.rsplit(".", 1)[-1].rsplit("::", 1)[-1])


def batch_indexes(pnnx_script: Path) -> dict[str, int]:
    """Input name -> the axis that pnnx took for the batch, which ncnn's Mat drops; absent if it keeps all.

    pnnx says it only in the Python script that it writes beside the model.
    """
    pattern = re.compile(r'ex\.input\("(\w+)", ncnn\.Mat\(\w+\.numpy\(\)(?:, batch_index=(\d+))?\)')
    if not pnnx_script.is_file():
        raise ConverterFailed(f"pnnx said success and wrote no {pnnx_script.name}")
    found = pattern.findall(pnnx_script.read_text(encoding="utf-8"))
    if not found:
        raise ConverterFailed("pnnx's script does not say how the inputs lie in memory")
    return {name: int(axis) for name, axis in found if axis and int(axis) != _NO_BATCH}


_NO_BATCH = 233  # pnnx's mark for "no batch axis"


def _parse_layer(line: str) -> Layer:
    fields = line.split()
    n_inputs, n_outputs = int(fields[2]), int(fields[3])
    end_inputs = 4 + n_inputs
    end_outputs = end_inputs + n_outputs
    if len(fields) < end_outputs:
        raise ValueError(f"layer {fields[1]} names fewer blobs than it counts")
    return Layer(
        kind=fields[0],
        name=fields[1],
        inputs=tuple(fields[4:end_inputs]),
        outputs=tuple(fields[end_inputs:end_outputs]),
        params=dict(field.split("=", 1) for field in fields[end_outputs:] if "=" in field),
    )
