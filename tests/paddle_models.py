"""The small Paddle Lite models of the tests, and what they must answer.

`tests/paddlelite/*.nb` were written by this file, in a Python 3.8 to 3.10 with paddlelite==2.13rc0, numpy<2:

    python3.10 tests/paddle_models.py tests/paddlelite

The model is a Paddle program (framework.proto), written here by hand, which Paddle Lite's own opt makes into
a .nb for one processor.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent / "paddlelite"
PLACES = ("x86", "arm")

FLOAT32, INT64 = 5, 3  # VarType.Type
LOD_TENSOR, FEED, FETCH = 7, 9, 10
INT, FLOAT, STRING, INTS, BOOLEAN, LONG = 0, 1, 2, 3, 6, 9  # AttrType
LONGS_BY_NAME = ("axis", "padding_idx")  # which framework.proto has as LONG

_DRAW = np.random.RandomState(5)
WEIGHTS = {
    "filter": _DRAW.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "mixing": _DRAW.standard_normal((4, 5)).astype(np.float32),
    "table": _DRAW.standard_normal((10, 3)).astype(np.float32),
}
VARIABLES = {
    "image": (FLOAT32, [1, 3, 8, 8]), "ids": (INT64, [-1, 4]), "convolved": (FLOAT32, [1, 4, 8, 8]),
    "positive": (FLOAT32, [1, 4, 8, 8]), "pooled": (FLOAT32, [1, 4, 1, 1]), "scores": (FLOAT32, [1, 5]),
    "best": (INT64, [1]), "embedded": (FLOAT32, [-1, 4, 3]),
}  # fmt: skip


def answers(image: Any, ids: Any) -> dict[str, Any]:
    """What the model computes, in numpy and doubles."""
    padded = np.pad(image.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    convolved = np.zeros((1, 4, 8, 8))
    for row in range(3):
        for column in range(3):
            part = padded[:, :, row : row + 8, column : column + 8]
            convolved += np.einsum(
                "nchw,oc->nohw", part, WEIGHTS["filter"][:, :, row, column].astype(np.float64)
            )
    scores = convolved.clip(0).mean(axis=(2, 3)) @ WEIGHTS["mixing"]
    return {"scores": scores, "best": scores.argmax(axis=1), "embedded": WEIGHTS["table"][ids]}


def main(folder: Path) -> None:
    """Writes small.PLACE.nb for each place."""
    from paddlelite.lite import Opt

    with tempfile.TemporaryDirectory() as name:
        program, parameters = Path(name, "small.pdmodel"), Path(name, "small.pdiparams")
        program.write_bytes(_program())
        parameters.write_bytes(_parameters())
        for place in PLACES:
            opt = Opt()
            opt.set_model_file(str(program))
            opt.set_param_file(str(parameters))
            opt.set_model_type("naive_buffer")
            opt.set_optimize_out(str(Path(name, place)))
            opt.set_valid_places(place)
            opt.run()
            content = bytearray(Path(name, place + ".nb").read_bytes())
            content[11:18] = bytes(7)  # of opt's version, whose end it leaves as it finds it in memory
            (folder / f"small.{place}.nb").write_bytes(content)


def _program() -> bytes:
    operations = [
        _operation("feed", {"X": ["feed"]}, {"Out": ["image"]}, col=0),
        _operation("feed", {"X": ["feed"]}, {"Out": ["ids"]}, col=1),
        _operation(
            "conv2d", {"Input": ["image"], "Filter": ["filter"]}, {"Output": ["convolved"]},
            strides=[1, 1], paddings=[1, 1], dilations=[1, 1], groups=1, padding_algorithm="EXPLICIT",
            data_format="NCHW",
        ),
        _operation("relu", {"X": ["convolved"]}, {"Out": ["positive"]}),
        _operation(
            "pool2d", {"X": ["positive"]}, {"Out": ["pooled"]},
            pooling_type="avg", ksize=[1, 1], strides=[1, 1], paddings=[0, 0], ceil_mode=False,
            exclusive=True, padding_algorithm="EXPLICIT", global_pooling=True, adaptive=False,
            data_format="NCHW",
        ),
        _operation(
            "mul", {"X": ["pooled"], "Y": ["mixing"]}, {"Out": ["scores"]}, x_num_col_dims=1, y_num_col_dims=1
        ),
        _operation(
            "arg_max", {"X": ["scores"]}, {"Out": ["best"]},
            axis=1, keepdims=False, flatten=False, dtype=INT64,
        ),
        _operation(
            "lookup_table_v2", {"W": ["table"], "Ids": ["ids"]}, {"Out": ["embedded"]}, padding_idx=-1
        ),
        *(
            _operation("fetch", {"X": [name]}, {"Out": ["fetch"]}, col=column)
            for column, name in enumerate(("scores", "best", "embedded"))
        ),
    ]  # fmt: skip
    block = _number(1, 0) + _number(2, -1)
    for name, kind in (("feed", FEED), ("fetch", FETCH)):
        block += _bytes(3, _bytes(1, name) + _bytes(2, _number(1, kind)) + _number(3, 1))
    for name, (dtype, shape) in VARIABLES.items():
        block += _variable(name, dtype, shape, kept=False)
    for name, array in WEIGHTS.items():
        block += _variable(name, FLOAT32, list(array.shape), kept=True)
    block += b"".join(_bytes(4, operation) for operation in operations)
    return _bytes(1, block) + _bytes(4, _number(1, 2006002))


def _parameters() -> bytes:
    """All weights in one file, by name: versions and no levels of detail, a TensorDesc, the numbers."""
    content = b""
    for name in sorted(WEIGHTS):
        description = _tensor(FLOAT32, list(WEIGHTS[name].shape))
        content += struct.pack("<IQIi", 0, 0, 0, len(description)) + description + WEIGHTS[name].tobytes()
    return content


def _operation(
    kind: str, inputs: dict[str, list[str]], outputs: dict[str, list[str]], **attributes: Any
) -> bytes:
    content = b""
    for field, slots in ((1, inputs), (2, outputs)):
        for slot, names in slots.items():
            content += _bytes(field, _bytes(1, slot) + b"".join(_bytes(2, name) for name in names))
    content += _bytes(3, kind)
    return content + b"".join(_bytes(4, _attribute(name, value)) for name, value in attributes.items())


def _attribute(name: str, value: Any) -> bytes:
    kind, content = _typed(name, value)
    return _bytes(1, name) + _number(2, kind) + content


def _typed(name: str, value: Any) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return BOOLEAN, _number(10, int(value))
    if name in LONGS_BY_NAME:
        return LONG, _number(13, value)
    if isinstance(value, int):
        return INT, _number(3, value)
    if isinstance(value, str):
        return STRING, _bytes(5, value)
    return INTS, b"".join(_number(6, item) for item in value)


def _variable(name: str, dtype: int, shape: list[int], *, kept: bool) -> bytes:
    lod_tensor = _bytes(1, _tensor(dtype, shape)) + _number(2, 0)
    return _bytes(
        3, _bytes(1, name) + _bytes(2, _number(1, LOD_TENSOR) + _bytes(3, lod_tensor)) + _number(3, kept)
    )


def _tensor(dtype: int, shape: list[int]) -> bytes:
    return _number(1, dtype) + b"".join(_number(2, axis) for axis in shape)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: Any) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
