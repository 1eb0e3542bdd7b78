"""ncnn, by way of pnnx from ONNX.

pnnx exits 0 and leaves operators that ncnn does not have in the .param file, so its exit code counts for
nothing: every layer is looked up in ncnn, and the product is loaded and run before it counts.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgeflow_converters import precision, tool, tools
from edgeflow_converters.acceptance import nodes_of
from edgeflow_converters.arrays import save_sets
from edgeflow_converters.base import ConvertRequest, Product, ProgressFn, ToolStatus
from edgeflow_converters.errors import ConverterFailed, UnsupportedModel
from edgeflow_converters.inspect import ModelInfo, PortInfo, inspect_model
from edgeflow_converters.runners import process
from edgeflow_converters.targets import half_range, ncnn_param, ncnn_quantize, ncnn_weights
from edgeflow_converters.tensors import TensorSpec

_PARAM, _BIN = "model.param", "model.bin"
_MAX_MAT_DIMS = 4
_COMPUTES = "float32"
"""Whatever a model's numbers are: whole ones are exact in it up to 2^24."""
_PNNX_TYPES = {
    "float32": "f32", "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8", "uint16": "u16",
    "uint8": "u8", "bool": "bool",
}  # fmt: skip


class NcnnConverter:
    """ONNX to ncnn's .param and .bin."""

    name = "ncnn"
    rewrites: tuple[str, ...] = (
        "explicit_padding",
        "average_pool_of_padded",
        "booleans_as_arithmetic",
        "explicit_axes",
        "variadic_as_binary",
        "explicit_pad",
        "reduce_sum_as_mean",
        "norms_of_computed_scale",
        "split_fused_heads",
        "single_step_lstm",
        "state_batch_first",
    )

    def __init__(self, tools_root: Path) -> None:
        self._tools_root = tools_root

    def doctor(self) -> ToolStatus:
        try:
            ncnn_version = version("ncnn")
        except PackageNotFoundError:
            return ToolStatus(
                "ncnn", ready=False, missing="the ncnn package", fix="python -m pip install ncnn"
            )
        status = tools.pnnx_status(self._tools_root)
        return ToolStatus(
            "ncnn",
            status.ready,
            f"{ncnn_version}, pnnx {status.version}",
            status.missing,
            status.fix,
            status.on_demand,
        )

    def versions(self) -> dict[str, str]:
        return {"pnnx": tools.PNNX_VERSION, "ncnn": version("ncnn")}

    def requires(self, request: ConvertRequest, info: ModelInfo) -> None:
        """Nothing beyond acceptance.py's table."""

    def convert(self, request: ConvertRequest, out: Path, progress: ProgressFn) -> Product:
        """pnnx in a private folder; `request.source` is the prepared model."""
        cell = precision.lookup(self.name, request.precision)
        pnnx = tools.ensure_pnnx(self._tools_root, progress)
        info = inspect_model(request.source)
        progress("pnnx")
        # pnnx writes half a dozen files beside its input: it gets a copy in a folder of its own.
        work = out.parent / "pnnx"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        shutil.copyfile(request.source, work / "model.onnx")
        shapes = ",".join(
            f"{list(port.shape)}{_PNNX_TYPES[port.dtype]}".replace(" ", "") for port in info.inputs
        )
        argv = [
            str(pnnx), "model.onnx", f"inputshape={shapes}",
            "fp16=0",  # its default is 1; ncnn_weights.py says why we store half-precision weights ourselves
            f"ncnnparam={_PARAM}", f"ncnnbin={_BIN}",
        ]  # fmt: skip
        log = tool.run_checked(argv, name="pnnx", cwd=work, timeout_s=request.timeout_s)
        for name in (_PARAM, _BIN):
            if not (work / name).is_file():
                raise ConverterFailed(f"pnnx said success and wrote no {name}{tool.last_words(log)}", log=log)
        layers = ncnn_param.parse_param(work / _PARAM)
        self._require_known_layers(layers, work, info, request.timeout_s)
        batch = ncnn_param.batch_indexes(work / "model_ncnn.py")
        product = self._float32(info, batch)
        if cell.weights_dtype == "int8":
            fp32 = ncnn_quantize.Float32Model(product, work)
            return ncnn_quantize.quantized(self, request, fp32, out, work, progress)
        for name in (_PARAM, _BIN):
            shutil.copyfile(work / name, out / name)
        if cell.weights_dtype == "fp32":
            return product
        islands: frozenset[str] = frozenset()
        overflows = half_range.overflows(request, work)
        if overflows:
            islands = self._beyond_half(product, layers, request, work)
        notes = _store_as_half(layers, out, islands)
        if islands:
            which = f"{len(islands)} of {len(layers)} layers stay fp32 ({_listed(sorted(islands))})"
            notes = (*notes, f"{which}: {half_range.told(overflows)}")
        elif overflows:
            # Inside a layer that pnnx made of several nodes: there is no telling what half makes of it.
            cell = replace(cell, compute_dtype="fp32", runtime_flags=product.runtime_options)
            notes = (*notes, f"all of it is computed in fp32: {half_range.told(overflows)}")
        return replace(
            product,
            runtime_options=dict(cell.runtime_flags),
            weights_dtype=cell.weights_dtype,
            compute_dtype=cell.compute_dtype,
            notes=notes,
        )

    def _beyond_half(
        self, product: Product, layers: list[ncnn_param.Layer], request: ConvertRequest, work: Path
    ) -> frozenset[str]:
        """The layers that give or take a value beyond half_range.LIMIT, by the fp32 model in `work`."""
        save_sets(work / "peak-samples.npz", request.samples)
        blobs = [blob for layer in layers for blob in layer.outputs]
        spec: dict[str, Any] = {
            "param": str(work / _PARAM),
            "bin": str(work / _BIN),
            "options": dict(product.runtime_options),
            "inputs": [item.to_json() for item in product.inputs],
            "samples": str(work / "peak-samples.npz"),
            "blobs": blobs,
        }
        what = "ncnn, looking up the range of values,"
        answer = process.call("ncnn_peaks", spec, what=what, cwd=work, timeout_s=request.timeout_s)
        beyond = {blob for blob, peak in answer["peaks"].items() if peak > half_range.LIMIT}
        return frozenset(layer.name for layer in layers if beyond & {*layer.inputs, *layer.outputs})

    def _float32(self, info: ModelInfo, batch: Mapping[str, int]) -> Product:
        """The product as pnnx makes it; `batch`: what batch_indexes says."""
        cell = precision.lookup(self.name, "fp32")
        return Product(
            files={"param": _PARAM, "bin": _BIN},
            inputs=tuple(
                _input_spec(port, f"in{index}", batch.get(f"in{index}"))
                for index, port in enumerate(info.inputs)
            ),
            outputs=tuple(_output_spec(port, f"out{index}") for index, port in enumerate(info.outputs)),
            runtime_options=dict(cell.runtime_flags),
            weights_dtype=cell.weights_dtype,
            compute_dtype=cell.compute_dtype,
            tools=self.versions(),
        )

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        """Run the product over samples in a subprocess; see runners/ncnn.py."""
        spec: dict[str, Any] = {
            "param": str(folder / product.files["param"]),
            "bin": str(folder / product.files["bin"]),
            "options": dict(product.runtime_options),
            "inputs": [item.to_json() for item in product.inputs],
            "outputs": [item.to_json() for item in product.outputs],
            "samples": str(samples),
            "result": str(result),
        }
        process.call("ncnn", spec, what="ncnn, running the converted model,", cwd=work, timeout_s=timeout_s)

    def _require_known_layers(
        self, layers: list[ncnn_param.Layer], work: Path, info: ModelInfo, timeout_s: float
    ) -> None:
        kinds = sorted({layer.kind for layer in layers})
        answer = process.call("ncnn_layers", {"kinds": kinds}, what="ncnn", cwd=work, timeout_s=timeout_s)
        unknown = [layer for layer in layers if layer.kind in answer["unknown"]]
        if not unknown:
            return
        shapes = ncnn_param.pnnx_shapes(work / "model.pnnx.param")
        first = unknown[0]
        op = ncnn_param.onnx_op_of(first.kind)
        given = shapes.get(first.name, "").rpartition(" -> ")[2]
        sizes = (
            [int(size) for size in given.strip("[]").split(",")]
            if re.fullmatch(r"\[[\d,]+\]", given)
            else None
        )
        node = nodes_of(info.path, op, None if sizes is None else tuple(sizes))
        others = f", and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UnsupportedModel(
            f"ncnn has no layer {first.kind} (ONNX {op}{node}, pnnx's {first.name}, "
            f"shapes {shapes.get(first.name, 'unknown')}){others}",
            hint="pnnx could not express it; change the model's code there, or use --runtime onnxruntime",
            log="\n".join(f"{layer.kind} {layer.name}" for layer in unknown),
        )


def _listed(names: list[str], shown: int = 6) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _store_as_half(layers: list[ncnn_param.Layer], folder: Path, islands: frozenset[str]) -> tuple[str, ...]:
    """Rewrite the float32 model in `folder` with float16 weights, but for the layers in `islands`, which stay
    fp32 in the file and when they run; returns what there is to say about it."""
    half = ncnn_weights.store_as_half(layers, (folder / _BIN).read_bytes(), islands)
    ncnn_param.write_param(half.layers, folder / _PARAM)
    (folder / _BIN).write_bytes(half.data)
    share = half.kept_bytes / max(1, len(half.data))
    notes = [f"{share:.0%} of the weight bytes stay fp32 (biases, and layers that fp16 would change)"]
    if half.islands:
        notes.append(f"these layers stay fp32, their weights do not fit fp16: {', '.join(half.islands)}")
    return tuple(notes)


def _input_spec(port: PortInfo, runtime_name: str, batch_axis: int | None) -> TensorSpec:
    shape = tuple(dim for dim in port.shape if isinstance(dim, int))
    runtime_shape = shape
    if batch_axis is not None:
        if shape[batch_axis] != 1:
            raise UnsupportedModel(
                f"ncnn runs one item at a time; axis {batch_axis} of input {port.name!r} "
                f"holds {shape[batch_axis]}",
                hint="use --runtime onnxruntime, or give that axis the size 1: in the recipe where it is "
                "dynamic, else by exporting the model so",
            )
        runtime_shape = shape[:batch_axis] + shape[batch_axis + 1 :]
    if len(runtime_shape) > _MAX_MAT_DIMS:
        raise UnsupportedModel(
            f"ncnn tensors have up to {_MAX_MAT_DIMS} axes; input {port.name!r} is {list(shape)}"
        )
    return TensorSpec(port.name, _COMPUTES, shape, runtime_name, runtime_shape or (1,))


def _output_spec(port: PortInfo, runtime_name: str) -> TensorSpec:
    # ncnn gives an output's values in the model's order, with or without an axis of one: a reshape maps it.
    shape = tuple(dim for dim in port.shape if isinstance(dim, int))
    return TensorSpec(port.name, _COMPUTES, shape, runtime_name, shape)
