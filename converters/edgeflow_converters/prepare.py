"""From a model as it was exported to one that converters understand. Changes form, never meaning.

Drops initializers from the inputs, pins shapes, upgrades the opset, writes out operators that the runtime
lacks (expand.py), simplifies, and applies the rewrites a target asks for. Each step's result is run and
compared with the reference before the next; a step that breaks or changes the model is left out, with a note.
Runs in a subprocess (runners/prepare.py): onnxsim and the version converter are native code that may crash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import rewrites
from edgeflow_converters.check import TOLERANCES, compare
from edgeflow_converters.errors import ConverterFailed, ConvertError, UnsupportedModel
from edgeflow_converters.expand import LACKS, expanded
from edgeflow_converters.inspect import all_nodes, dtype_name, standard_opset
from edgeflow_converters.older_opset import OPSETS, older
from edgeflow_converters.retype import FLAGS, TYPES, retyped, with_flags_as

if TYPE_CHECKING:
    import onnx

    from edgeflow_converters.tensors import Tensors

MIN_OPSET = 13
MAX_IR_VERSION = 10
"""ONNX's tools write the newest, which the ONNX Runtime inside of pnnx does not read; nothing here needs
it."""


def wanted_by(runtime: str, rewrite_names: Sequence[str]) -> dict[str, Any]:
    """How a model is prepared for `runtime`, as JSON: the part of a runner's spec, and of an artifact's key,
    that says so."""
    return {
        "expand": list(LACKS.get(runtime, ())),
        "types": [dict(way) for way in TYPES.get(runtime, ())],
        "flags": FLAGS.get(runtime),
        "opset": OPSETS.get(runtime),
        "rewrites": list(rewrite_names),
    }


@dataclass(frozen=True, slots=True)
class Prepared:
    """What preparing has to say: notes on what was done or given up, how many nanoseconds of it went into
    running and comparing what the steps made, and the types of the model's inputs now."""

    notes: tuple[str, ...]
    trial_ns: int
    input_dtypes: Mapping[str, str]


def prepare(
    source: Path,
    out: Path,
    *,
    shapes: Mapping[str, tuple[int, ...]],
    samples: Sequence[Tensors],
    reference: Sequence[Tensors],
    simplify: bool,
    expand: Sequence[str] = (),
    types: Sequence[Mapping[str, str]] = (),
    flags: str | None = None,
    opset: int | None = None,
    rewrite_names: Sequence[str],
) -> Prepared:
    """Write the prepared model of `source` to `out`.

    `reference` holds the source's outputs for `samples`; `expand` names operators to write out; `types` and
    `flags` say what stands for types of numbers (retype.py), `opset` which operator set is wanted at most
    (older_opset.py). Raises ConverterFailed if even the pinned model does not reproduce the reference.
    """
    import onnx

    model = onnx.load(source)
    trial = _Trial(out.with_suffix(".trial.onnx"), samples, reference)
    drop_initializers_from_inputs(model)
    pin(model, shapes, {name: array.shape for name, array in reference[0].items()})
    drop_unused_opsets(model)
    problem = trial.problem(model)
    if problem:
        raise ConverterFailed(f"pinning the shapes of {source.name} changed its outputs: {problem}")

    notes: list[str] = []
    steps: list[tuple[str, Callable[[onnx.ModelProto], onnx.ModelProto]]] = []
    if model.functions:
        steps.append(("functions of the model itself inlined", inlined))
    if standard_opset(model) < MIN_OPSET:
        steps.append((f"opset upgrade {standard_opset(model)} -> {MIN_OPSET}", upgrade_opset))
    if expand:  # before simplifying, which folds what the bodies compute of shapes
        steps.append(("operators that the runtime lacks written out", lambda model: expanded(model, expand)))
    if flags:
        steps.append((f"bool inputs and outputs as {flags}", lambda model: with_flags_as(model, flags)))
    if simplify:
        steps.append(("simplification by onnxsim", simplified))
    steps.append(("constants as initializers", lift_constants))
    for way in types:
        steps.append((_retyping(way), partial(retyped, types=way)))
    for name in rewrite_names:
        steps.append((f"rewrite {name}", rewrites.get(name)))
    if opset is not None:
        steps.append((f"opset {opset}, or the next that has it", lambda model: older(model, opset)))
    for what, step in steps:
        model = _attempt(what, step, model, trial, notes)
    drop_unused_initializers(model)
    model.ir_version = min(model.ir_version, MAX_IR_VERSION)
    onnx.save(model, out)
    dtypes = {value.name: dtype_name(value.type.tensor_type.elem_type) for value in model.graph.input}
    return Prepared(tuple(notes), trial.spent_ns, dtypes)


def _retyping(types: Mapping[str, str]) -> str:
    return f"{', '.join(types)} as {', '.join(sorted(set(types.values())))}"


def drop_initializers_from_inputs(model: onnx.ModelProto) -> None:
    """Before IR version 4 weights had to be listed as inputs; pnnx then takes the first for the image."""
    names = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)


def drop_unused_opsets(model: onnx.ModelProto) -> None:
    """Imports of operator sets that no node uses: the version converter refuses a model with two."""
    used = {"", *(node.domain for node in all_nodes(model.graph))}
    used.update(function.domain for function in model.functions)
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def pin(
    model: onnx.ModelProto,
    input_shapes: Mapping[str, tuple[int, ...]],
    output_shapes: Mapping[str, tuple[int, ...]],
) -> None:
    """Give every graph input and output its fixed shape; inner shapes are left to inference."""
    del model.graph.value_info[:]
    for values, shapes in ((model.graph.input, input_shapes), (model.graph.output, output_shapes)):
        for value in values:
            tensor = value.type.tensor_type
            tensor.ClearField("shape")
            tensor.shape.SetInParent()
            for size in shapes[value.name]:
                tensor.shape.dim.add().dim_value = size


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its own functions in place of the nodes that call them."""
    import onnx.inliner

    return onnx.inliner.inline_local_functions(model)


def upgrade_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model at MIN_OPSET, by ONNX's own converter."""
    import onnx.version_converter

    upgraded: onnx.ModelProto = onnx.version_converter.convert_version(model, MIN_OPSET)
    return upgraded


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model after onnxsim's folding and shape inference. Raises ConverterFailed if it gives up."""
    import onnxsim

    result, checked = onnxsim.simplify(model, check_n=0)
    if not checked:
        raise ConverterFailed("onnxsim gave up")
    simpler: onnx.ModelProto = result
    return simpler


def lift_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Constant nodes of the main graph as initializers: where pnnx and the rewrites look for weights."""
    kept = []
    for node in model.graph.node:
        value = _constant_value(node)
        if value is None:
            kept.append(node)
            continue
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
    if len(kept) < len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(kept)
    return model


def _constant_value(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """What a Constant node holds, in whichever of the attributes; None for strings, sparse and any other
    node."""
    import numpy as np
    from onnx import numpy_helper

    if node.op_type != "Constant":
        return None
    attribute = node.attribute[0]
    if attribute.name == "value":
        tensor: onnx.TensorProto = attribute.t
        return tensor
    numbers: dict[str, tuple[Any, type]] = {
        "value_float": (attribute.f, np.float32),
        "value_floats": (attribute.floats, np.float32),
        "value_int": (attribute.i, np.int64),
        "value_ints": (attribute.ints, np.int64),
    }
    if attribute.name not in numbers:
        return None
    value, dtype = numbers[attribute.name]
    return numpy_helper.from_array(np.array(value, dtype))


def drop_unused_initializers(model: onnx.ModelProto) -> None:
    """Weights that no node reads."""
    used = {name for node in all_nodes(model.graph) for name in node.input}
    used.update(value.name for value in model.graph.output)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


class _Trial:
    """Runs a candidate over the samples and compares it with the reference."""

    def __init__(self, path: Path, samples: Sequence[Tensors], reference: Sequence[Tensors]) -> None:
        self._path = path
        # Two sets tell whether a step kept the meaning; the gate on the product uses them all.
        self._samples = samples[:2]
        self._reference = reference[:2]
        self.spent_ns = 0

    def problem(self, model: onnx.ModelProto) -> str:
        """Why `model` does not do what the source does; "" if it does."""
        began_ns = time.monotonic_ns()
        try:
            return self._problem(model)
        finally:
            self.spent_ns += time.monotonic_ns() - began_ns

    def _problem(self, model: onnx.ModelProto) -> str:
        import onnx

        from edgeflow_converters.ort_session import Session

        try:
            onnx.save(model, self._path)
            session = Session(self._path, optimise=False)
            dtypes = {value.name: dtype_name(value.type.tensor_type.elem_type) for value in model.graph.input}
            outputs = [
                session.run({name: sample[name].astype(dtype) for name, dtype in dtypes.items()})
                for sample in self._samples
            ]
        except ConvertError as error:
            return error.message
        finally:
            self._path.unlink(missing_ok=True)
        verdict = compare(self._reference, outputs, TOLERANCES["fp32"])
        if all(output.suspect for output in verdict.outputs.values()):
            return ""  # nothing to tell it by; the gate on the product will say so
        return "; ".join(verdict.reasons)


def _attempt(
    what: str,
    step: Callable[[onnx.ModelProto], onnx.ModelProto],
    model: onnx.ModelProto,
    trial: _Trial,
    notes: list[str],
) -> onnx.ModelProto:
    """The model after `step`, or before it where the step failed or changed the outputs, with a note."""
    import onnx

    before = onnx.ModelProto()
    before.CopyFrom(model)
    try:
        after = step(model)
    except UnsupportedModel:
        raise
    except Exception as error:  # native code behind pybind raises whatever it likes
        notes.append(f"{what} was left out: {' '.join(str(error).split())[:200]}")
        return before
    if after == before:
        return before
    if not after.graph.node:
        return before  # constants are left: converters want a graph
    problem = trial.problem(after)
    if problem:
        notes.append(f"{what} was left out, it changed the outputs: {problem}")
        return before
    notes.append(what)
    return after
