"""MNN's static quantizer: its inputs as files, and its call.

It takes each calibration input as a folder with input.json and one text file of numbers for each tensor, and
returns True whatever happened: success is a new file and the words that only success prints.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.targets import mnn_tool

if TYPE_CHECKING:
    from edgeflow_converters.tensors import Tensors

METHODS = ("EMA", "KL")
_DONE = "Quantize model done!"
_LARGEST_BATCH = 32


def write_calibration(sets: Sequence[Tensors], folder: Path) -> None:
    """Write `sets` into the empty `folder`, in the quantizer's form."""
    import numpy as np

    for index, tensors in enumerate(sets):
        one = folder / f"{index:05d}"
        one.mkdir()
        told = [{"name": name, "shape": list(array.shape)} for name, array in tensors.items()]
        (one / "input.json").write_text(json.dumps({"inputs": told, "outputs": []}))
        for name, array in tensors.items():
            file = Path(f"{one}/{name}.txt")  # a name may hold slashes, and MNN joins it as it is
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(file, array.reshape(-1), fmt="%.9g" if array.dtype.kind == "f" else "%d")


def mnnquant(
    library: Path, source: Path, product: Path, calibration: Path, method: str, work: Path, timeout_s: float
) -> None:
    """Quantize the fp32 model `source` by `method`. Raises ConverterFailed unless it succeeded."""
    count = len(list(calibration.iterdir()))
    config = {
        "input_type": "sequence",
        "path": f"{calibration}/",
        "used_sample_num": count,
        "batch_size": min(count, _LARGEST_BATCH),
        "feature_quantize_method": method,
        "weight_quantize_method": "MAX_ABS",
        "quant_bits": 8,
    }
    path = work / f"{method}.json"
    path.write_text(json.dumps(config))
    argv = ["mnnquant", str(source), str(product), str(path)]
    log = mnn_tool.call(library, "mnnquant", argv, product, work, timeout_s)
    if _DONE not in log:
        raise ConverterFailed(f"mnnquant failed{mnn_tool.complaint(log)}", log=log)
    if not product.is_file():
        raise ConverterFailed("mnnquant said success and wrote no model", log=log)
