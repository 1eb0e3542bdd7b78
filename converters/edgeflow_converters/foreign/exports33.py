"""PyTorch's part of the suite exports33, inside its environment: nine architectures, exported in 33 ways.

Spec: out (a folder). Each export becomes out/NAME/model.onnx, with inputs and PyTorch's answers to them in
out/NAME/test_data_set_0 and so on, the way ONNX stores its own tests. An export that fails ends all of it.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch  # type: ignore[import-not-found]
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).parent))  # an isolated interpreter does not look beside its script
from architectures import ARCHITECTURES, Attention, seeded  # type: ignore[import-not-found]

INPUT_SEEDS = range(1, 7)
EXAMPLE_SEEDS = range(1001, 1033)
"""Of what the models' normalizations have their statistics from."""
LARGEST_BATCH = 64
TORCHSCRIPT, DYNAMO = "torchscript", "dynamo"
FUSED_ATTENTION_SINCE = 14
"""The operator set from which on the TorchScript exporter takes scaled_dot_product_attention."""

Way = tuple[str, int, bool]
"""Exporter, operator set, and whether the batch is left open."""
EVERY: tuple[Way, ...] = ((TORCHSCRIPT, 13, False), (TORCHSCRIPT, 17, False), (DYNAMO, 18, False))
FURTHER: dict[str, tuple[Way, ...]] = {
    "mobilenet-v2": (
        (TORCHSCRIPT, 17, True), (DYNAMO, 18, True), (DYNAMO, 17, False), (DYNAMO, 13, False),
    ),
    "resnet18": ((DYNAMO, 17, False),),
    "vit": ((DYNAMO, 20, False),),
}  # fmt: skip


def main() -> int:
    spec_path, result_path = Path(sys.argv[1]), Path(sys.argv[2])
    out = Path(json.loads(spec_path.read_text())["out"])
    warnings.filterwarnings("ignore")
    torch.set_num_threads(2)
    result_path.write_text(json.dumps({"ok": {"names": write_all(out)}}))
    return 0


def write_all(out: Path) -> list[str]:
    names = []
    for architecture in ARCHITECTURES:
        shape = ARCHITECTURES[architecture][1]
        model = seeded(architecture, torch.cat([example(shape, seed) for seed in EXAMPLE_SEEDS]))
        given = [example(shape, seed) for seed in INPUT_SEEDS]
        with torch.no_grad():
            right = [model(each) for each in given]
        for exporter, opset, open_batch in (*EVERY, *FURTHER.get(architecture, ())):
            name = f"{architecture}-{exporter}-{opset}{'-batch' if open_batch else ''}"
            folder = out / name
            folder.mkdir(parents=True)
            for layer in model.modules():
                if isinstance(layer, Attention):
                    layer.fused = opset >= FUSED_ATTENTION_SINCE
            try:
                export(model, given[0], folder / "model.onnx", exporter, opset, open_batch)
            except Exception as error:
                raise RuntimeError(f"the export {name} failed: {error}") from error
            for number, pair in enumerate(zip(given, right, strict=True)):
                store(folder / f"test_data_set_{number}", *pair)
            names.append(name)
    return names


def example(shape: tuple[int, ...], seed: int) -> Any:
    """Something like a picture, between -1 and 1: colours that change slowly, and a little noise. What is no
    image is features of unit variance."""
    generator = torch.Generator().manual_seed(seed)
    if len(shape) != 4:
        return torch.randn(shape, generator=generator)
    coarse = torch.rand((*shape[:2], 4, 4), generator=generator) * 2 - 1
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode="bicubic", align_corners=True)
    noise = torch.rand(shape, generator=generator) * 2 - 1
    return 0.9 * smooth.clamp(-1, 1) + 0.1 * noise


def export(model: Any, given: Any, path: Path, exporter: str, opset: int, open_batch: bool) -> None:
    options: dict[str, Any] = {"dynamo": exporter == DYNAMO, "opset_version": opset}
    if exporter == DYNAMO:
        options |= {"external_data": False, "verbose": False}
        if open_batch:
            options["dynamic_shapes"] = ({0: torch.export.Dim("batch", min=1, max=LARGEST_BATCH)},)
    elif open_batch:
        options["dynamic_axes"] = {"input": {0: "batch"}, "output": {0: "batch"}}
    with torch.no_grad():
        torch.onnx.export(
            model, (given,), str(path), input_names=["input"], output_names=["output"], **options
        )


def store(folder: Path, given: Any, right: Any) -> None:
    folder.mkdir()
    for name, tensor in (("input_0", given), ("output_0", right)):
        (folder / f"{name}.pb").write_bytes(numpy_helper.from_array(tensor.numpy()).SerializeToString())


if __name__ == "__main__":
    assert onnx  # which the exporters need too: an environment without it ends here
    sys.exit(main())
