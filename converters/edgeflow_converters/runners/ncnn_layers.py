"""Which of the given layer types this ncnn knows. Spec: kinds. Answer: unknown, version."""

from __future__ import annotations

import sys

from edgeflow_converters.runners.process import Json, serve

_NOT_A_LAYER = -1


def work(spec: Json) -> Json:
    import ncnn

    unknown = [kind for kind in spec["kinds"] if ncnn.layer_to_index(kind) == _NOT_A_LAYER]
    return {"unknown": unknown, "version": ncnn.__version__}


if __name__ == "__main__":
    sys.exit(serve(work))
