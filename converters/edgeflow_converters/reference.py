"""The reference: what ONNX Runtime, fp32 and without its graph rewrites, makes of the original model."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters import digest
from edgeflow_converters.arrays import load_sets, save_sets
from edgeflow_converters.cache import Cache
from edgeflow_converters.errors import ConverterFailed, ConverterTimeout, UnsupportedModel
from edgeflow_converters.runners import process

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors

_FILE = "reference.npz"


def reference_outputs(
    source: Path,
    source_sha256: str,
    samples: Sequence[Tensors],
    cache: Cache,
    *,
    timeout_s: float,
) -> list[dict[str, NDArray[Any]]]:
    """The original model's outputs for each sample, by ONNX name. Cached by content.

    Raises UnsupportedModel if ONNX Runtime cannot load or run the model, ConverterTimeout.
    """
    key = digest.of_json(
        {
            "source": source_sha256,
            "samples": digest.of_samples(samples),
            "onnxruntime": version("onnxruntime"),
        }
    )
    found = cache.find("reference", key)
    if found is None:

        def fill(folder: Path) -> None:
            with cache.workspace() as work:
                save_sets(work / "samples.npz", samples)
                spec = {
                    "model": str(source.resolve()),
                    "optimise": False,
                    "samples": str(work / "samples.npz"),
                    "result": str(folder / _FILE),
                }
                what = f"ONNX Runtime, running {source.name} for reference,"
                try:
                    process.call("onnxruntime", spec, what=what, cwd=work, timeout_s=timeout_s)
                except ConverterTimeout:
                    raise
                except ConverterFailed as error:
                    raise UnsupportedModel(
                        f"{source.name} cannot be verified: {error.message}",
                        hint="products are compared with ONNX Runtime's answer: run the model there first",
                        log=error.log,
                    ) from error

        found = cache.build("reference", key, fill)
    return load_sets(found / _FILE)
