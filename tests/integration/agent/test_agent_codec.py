"""The native codec against golden frames and Python's own: the same bytes, and no crash on any others."""

from __future__ import annotations

import math
import random
import struct
import subprocess
from pathlib import Path

import pytest

import native_agent
from edgeflow_agent.wire import Frame, FrameParser, FrameType, Tensor, encode, with_tensors

GOLDEN = sorted((Path(__file__).parents[2] / "golden").glob("*.bin"))
CORPUS = native_agent.SOURCES / "tests" / "fuzz" / "corpus"


def written_again(codec: list[str], data: bytes, piece: int = 4096) -> bytes:
    """The frames of `data`, fed in pieces, taken apart and written by the native codec."""
    done = subprocess.run([*codec, str(piece)], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_frames_are_read_and_written_to_the_byte(native_codec: list[str], path: Path) -> None:
    golden = path.read_bytes()
    for piece in (1, 7, 4096):
        assert written_again(native_codec, golden, piece) == golden


def test_numbers_are_written_as_python_writes_them(native_codec: list[str]) -> None:
    chance = random.Random(5)
    values = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(4000)]
    values += [chance.uniform(-1e6, 1e6) for _ in range(1000)] + [10.0**power for power in range(-30, 30)]
    values += [round(chance.random(), digits) for digits in range(17) for _ in range(20)]
    values += [0.0, -0.0, 5e-324, 2.0**-44, 2.0**53, 9007199254740993.0, 1e16, 123456789012345680.0, 1.5e300]
    values += [2.0**power for power in range(-1074, 1024, 3)]
    whole = [chance.randint(-(2**63), 2**63 - 1) for _ in range(200)] + [
        2**63,
        2**64 - 1,
        10**20 - 1,
        -(2**63),
    ]
    told = {"real": [value for value in values if math.isfinite(value)], "whole": whole}
    again = written_again(native_codec, encode(Frame(FrameType.PROGRESS, told)))
    (frame,) = FrameParser().feed(again)
    assert [
        pair for pair in zip(frame.meta["real"], told["real"], strict=True) if repr(pair[0]) != repr(pair[1])
    ] == []
    assert again == encode(Frame(FrameType.PROGRESS, told))


def test_text_and_tensors_are_written_as_python_writes_them(native_codec: list[str]) -> None:
    meta = {
        "text": ["".join(map(chr, range(160))), "ä€😀", '"\\/', ""],
        "nested": {"b": [{}], "a": [None, True]},
    }
    tensors = [
        Tensor("länge", "int8", (3,), b"abc", 2),
        Tensor("", "float64", (0, 9), b""),
        Tensor("s", "bool", (), b"x"),
    ]
    frame = with_tensors(FrameType.RESPONSE, meta, tensors)
    assert written_again(native_codec, encode(frame)) == encode(frame)


def test_the_fuzzers_corpus_breaks_nothing(native_replay: list[str]) -> None:
    files = [str(path) for path in [*sorted(CORPUS.iterdir()), *GOLDEN]]
    done = subprocess.run([*native_replay, *files], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(files)} inputs\n" and len(files) > 20
