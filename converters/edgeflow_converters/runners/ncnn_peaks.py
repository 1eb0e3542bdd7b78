"""How large each inner tensor of an ncnn model becomes over samples.

Spec: param, bin, options, inputs (TensorSpec), samples (.npz), blobs. Answer: peaks, {blob: largest |value|},
infinite where a value is not finite.
"""

from __future__ import annotations

import sys

from edgeflow_converters.runners.ncnn import load
from edgeflow_converters.runners.ncnn_ranges import each_blob
from edgeflow_converters.runners.process import Json, serve


def work(spec: Json) -> Json:
    import ncnn
    import numpy as np

    peaks = dict.fromkeys(spec["blobs"], 0.0)
    with ncnn.Net() as net:
        net.opt.num_threads = 1
        net.opt.lightmode = False  # it would drop each tensor once it was read
        load(net, spec)
        for blob, values in each_blob(net, spec):
            reached = float(np.max(np.abs(values), initial=0.0))
            peaks[blob] = max(peaks[blob], reached if np.isfinite(reached) else float("inf"))
    return {"peaks": peaks}


if __name__ == "__main__":
    sys.exit(serve(work))
