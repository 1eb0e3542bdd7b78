"""PyTorch's part, inside its environment: exports a model by both exporters, or runs it over samples.

Spec: model (file) or factory and folder; inputs {name: {shape, dtype}} in the model's order; trust; either
out (a folder: the models go to it) or samples and result (.npz, as edgeflow_converters.arrays writes them).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

EXPORTERS = {
    "torchscript": {"dynamo": False, "opset_version": 17},
    "dynamo": {"dynamo": True, "opset_version": 18},
}


class Declined(Exception):
    """What a person is told, with what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def main() -> int:
    spec_path, result_path = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        answer: dict[str, Any] = {"ok": work(json.loads(spec_path.read_text()))}
    except Declined as error:
        answer = {"error": {"message": str(error), "hint": error.hint}}
    result_path.write_text(json.dumps(answer))
    return 0


def work(spec: dict[str, Any]) -> dict[str, Any]:
    try:
        import torch  # type: ignore[import-not-found]
    except ImportError as error:
        raise Declined(f"{sys.executable} has no PyTorch ({error})", "name a Python that has it") from error
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(2)
    model, known = loaded(spec)
    inputs = {name: (tuple(port["shape"]), port["dtype"]) for name, port in spec["inputs"].items()} or known
    if not inputs:
        raise Declined("it does not say which shapes it takes", "give them: --shape 1x3x224x224, or a recipe")
    if "samples" in spec:
        return run(model, list(inputs), spec)
    return export(model, inputs, Path(spec["out"]))


def loaded(spec: dict[str, Any]) -> tuple[Any, dict[str, tuple[tuple[int, ...], str]]]:
    """The model, ready to answer, and the inputs that it says it takes."""
    import torch

    if spec.get("factory"):
        return evaluated(made(spec["factory"], spec["folder"])), {}
    path = spec["model"]
    if spec["form"] == "exported":
        try:
            program = torch.export.load(path)
        except Exception as error:
            raise Declined(f"torch.export cannot load it: {first_line(error)}", "export it again") from error
        args, _ = program.example_inputs or ((), {})
        names = program.graph_signature.user_inputs
        known = {
            str(name): (tuple(value.shape), str(value.dtype).removeprefix("torch."))
            for name, value in zip(names, args, strict=False)
            if isinstance(value, torch.Tensor)
        }
        return program, known
    if spec["form"] == "torchscript":
        try:
            return torch.jit.load(path, map_location="cpu").eval(), {}
        except Exception as error:
            raise Declined(f"torch.jit cannot load it: {first_line(error)}", "export it again") from error
    assert spec["trust"], "a pickle runs what it holds"
    sys.path.insert(0, spec["folder"])
    try:
        found = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        hint = "the code it needs must be importable"
        raise Declined(f"torch.load fails: {first_line(error)}", hint) from error
    if isinstance(found, dict):
        raise Declined(
            "it holds weights without a model", "name the code that makes the model: module:factory as MODEL"
        )
    return evaluated(found), {}


def made(factory: str, folder: str) -> Any:
    """What `module:name` makes, the module being looked for in `folder` first."""
    module, _, name = factory.partition(":")
    sys.path.insert(0, folder)
    try:
        value: Any = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
    except Exception as error:
        raise Declined(f"cannot import it: {first_line(error)}", "is it installed in that Python?") from error
    import torch

    if isinstance(value, torch.nn.Module):
        return value
    if not callable(value):
        raise Declined(f"it is a {type(value).__name__}, no function that makes a model")
    try:
        return value()
    except Exception as error:
        raise Declined(f"it raised {type(error).__name__}: {first_line(error)}") from error


def evaluated(model: Any) -> Any:
    import torch

    if not isinstance(model, torch.nn.Module):
        raise Declined(f"it gives a {type(model).__name__}, no torch.nn.Module")
    return model.eval().cpu()


def export(model: Any, inputs: dict[str, tuple[tuple[int, ...], str]], out: Path) -> dict[str, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    example = tuple(example_of(shape, dtype, generator) for shape, dtype in inputs.values())
    names = output_names(answer_of(model, example))
    made_models, failed = {}, {}
    for exporter, options in EXPORTERS.items():
        path = out / f"{exporter}.onnx"
        whole = model.module() if exporter == "torchscript" and is_program(model) else model
        if exporter == "dynamo":
            options = {**options, "external_data": False, "verbose": False}
        try:
            with torch.no_grad(), contextlib.redirect_stdout(sys.stderr):
                torch.onnx.export(
                    whole, example, str(path), input_names=list(inputs), output_names=names, **options
                )
            made_models[exporter] = path.name
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            failed[exporter] = first_line(error)
    if not made_models:
        why = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise Declined(f"no exporter takes it: {why}", "export it as ONNX yourself")
    return {"models": made_models, "failed": failed, "torch": torch.__version__}


def run(model: Any, names: list[str], spec: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    import torch

    with np.load(spec["samples"], allow_pickle=False) as archive:
        sets = json.loads(str(archive["names"]))
        samples = [
            {name: archive[f"{number}_{place}"] for place, name in enumerate(of_set)}
            for number, of_set in enumerate(sets)
        ]
    arrays: dict[str, Any] = {}
    told = []
    for number, sample in enumerate(samples):
        answer = answer_of(model, tuple(torch.from_numpy(sample[name]) for name in names))
        flat = flattened(answer)
        arrays |= {f"{number}_{place}": np.asarray(value) for place, value in enumerate(flat)}
        told.append(output_names(answer))
    np.savez(spec["result"], allow_pickle=False, names=np.array(json.dumps(told)), **arrays)
    return {}


def is_program(model: Any) -> bool:
    import torch

    return isinstance(model, torch.export.ExportedProgram)


def answer_of(model: Any, args: tuple[Any, ...]) -> Any:
    import torch

    whole = model.module() if is_program(model) else model
    try:
        with torch.no_grad():
            return whole(*args)
    except Exception as error:
        shapes = ", ".join(str(list(arg.shape)) for arg in args)
        raise Declined(
            f"PyTorch cannot run it on {shapes}: {first_line(error)}", "check the shapes"
        ) from error


def flattened(answer: Any) -> list[Any]:
    import torch

    leaves = torch.utils._pytree.tree_leaves(answer)
    return [leaf.detach().cpu().numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]


def output_names(answer: Any) -> list[str]:
    if isinstance(answer, dict) and all(hasattr(value, "shape") for value in answer.values()):
        return [str(key) for key in answer]
    count = len(flattened(answer))
    if not count:
        raise Declined("it answers with no tensor")
    return ["output"] if count == 1 else [f"output{number}" for number in range(count)]


def example_of(shape: tuple[int, ...], dtype: str, generator: Any) -> Any:
    import torch

    values = torch.rand(shape, generator=generator) * 2 - 1
    return (values if dtype.startswith("float") else values > 0).to(getattr(torch, dtype))


def first_line(error: BaseException) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
