"""How large the values of an ncnn model's inner tensors become over calibration inputs.

Spec: param, bin, options, inputs (TensorSpec), samples (.npz), blobs. Answer: ranges,
{blob: {"extremes", "KL"}}: the largest absolute value, and where to clip by divergence.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_converters.arrays import load_sets
from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.runners.ncnn import feed, load
from edgeflow_converters.runners.process import Json, serve
from edgeflow_converters.tensors import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def work(spec: Json) -> Json:
    import ncnn
    import numpy as np

    from edgeflow_converters.divergence import BINS, clipping_point, histogram

    blobs = list(spec["blobs"])
    largest = dict.fromkeys(blobs, 0.0)
    counts = {blob: np.zeros(BINS, np.int64) for blob in blobs}
    with ncnn.Net() as net:
        net.opt.num_threads = 1
        net.opt.lightmode = False  # it would drop each tensor once it was read
        load(net, spec)
        for blob, values in each_blob(net, spec):
            largest[blob] = max(largest[blob], float(np.max(np.abs(values), initial=0.0)))
        unfit = [blob for blob, value in largest.items() if not np.isfinite(value)]
        if unfit:
            raise ConverterFailed(f"ncnn computes values of no size in tensor {unfit[0]!r} of the fp32 model")
        for blob, values in each_blob(net, spec):
            if largest[blob] > 0.0:
                counts[blob] += histogram(values, largest[blob])
    return {
        "ranges": {
            blob: {"extremes": largest[blob], "KL": clipping_point(counts[blob], largest[blob])}
            for blob in blobs
        }
    }


def each_blob(net: Any, spec: Json) -> Iterator[tuple[str, NDArray[Any]]]:
    """(blob, its values) for every blob and calibration input."""
    import numpy as np

    inputs = [TensorSpec.from_json(item) for item in spec["inputs"]]
    for sample in load_sets(Path(spec["samples"])):
        with net.create_extractor() as extractor:
            held = feed(extractor, inputs, sample)
            for blob in spec["blobs"]:
                code, mat = extractor.extract(blob)
                if code != 0:
                    raise ConverterFailed(f"ncnn failed to compute tensor {blob!r} (code {code})")
                yield blob, np.array(mat)
            del held


if __name__ == "__main__":
    sys.exit(serve(work))
