"""The codec: golden frames to the byte, any split of a stream, and nothing but WireError on rubbish."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow_agent.wire import (
    HEADER,
    MAX_BODY_BYTES,
    MAX_META_BYTES,
    Frame,
    FrameParser,
    FrameType,
    Tensor,
    WireError,
    encode,
    tensors_of,
    with_tensors,
)

GOLDEN = Path(__file__).parents[2] / "golden"
FLOATS = struct.pack("<6f", 0.0, -1.5, 2.0, 3.25, 1e-3, 6e5)
FRAMES = {
    "hello": Frame(
        FrameType.HELLO,
        {
            "protocol": 1,
            "agent": {"kind": "python", "version": "0.1.0", "build": "0" * 16, "flags": "cpython 3.11.7"},
            "carrier": "one-shot",
            "pid": 4711,
            "backends": {
                "null": {"available": True, "version": "1"},
                "ncnn": {"available": False, "reason": "no Python package ncnn"},
            },
            "accelerators": ["cpu"],
            "busy": None,
        },
    ),
    "request_start": with_tensors(
        FrameType.REQUEST,
        {
            "id": 7,
            "method": "job.start",
            "params": {
                "kind": "infer",
                "backend": "null",
                "files": {},
                "options": {"delay_ns": 0},
                "threads": 2,
                "affinity": [0, 1],
                "accelerator": "cpu",
                "limits": {"timeout_ms": 60000, "memory_bytes": None},
                "plan": {},
            },
        },
        [
            Tensor("in0", "float32", (1, 2, 3), FLOATS, 0),
            Tensor("länge", "int64", (2,), struct.pack("<2q", -1, 1 << 40), 0),
            Tensor("flags", "bool", (3,), b"\x01\x00\x01", 1),
            Tensor("empty", "float16", (0, 4), b"", 1),
            Tensor("scalar", "uint8", (), b"\xff"),
        ],
    ),
    "progress": Frame(
        FrameType.PROGRESS, {"id": 7, "phase": "run", "done": 30, "total": 1000, "note": "CI ±2.5 %"}
    ),
    "response_samples": with_tensors(
        FrameType.RESPONSE,
        {"id": 8, "result": {"stop": "ci", "first_ns": 1234567, "load": 0.25}},
        [Tensor("samples_ns", "int64", (3,), struct.pack("<3q", 5000000, 5000100, 4999900))],
    ),
    "error": Frame(
        FrameType.ERROR,
        {
            "id": 9,
            "error": {
                "code": "worker_crashed",
                "message": "the ncnn worker was killed by SIGSEGV in phase load",
                "phase": "load",
                "detail": {"signal": "SIGSEGV", "exit_code": None, "phase": "load", "log": ["a line"]},
            },
        },
    ),
    "error_bad_frame": Frame(
        FrameType.ERROR,
        {"id": None, "error": {"code": "bad_frame", "message": "x", "phase": "", "detail": {}}},
    ),
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)
ANY_FRAME = st.builds(
    Frame,
    st.sampled_from(FrameType),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4),
    st.binary(max_size=300),
)


def plain(frame: Frame) -> tuple[FrameType, object, bytes]:
    return frame.type, frame.meta, bytes(frame.body)


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_golden_frame_encodes_to_the_byte_and_decodes(name: str) -> None:
    golden = (GOLDEN / f"{name}.bin").read_bytes()
    assert encode(FRAMES[name]) == golden
    parser = FrameParser()
    assert [plain(frame) for frame in parser.feed(golden)] == [plain(FRAMES[name])]
    assert parser.pending_bytes == 0


def test_every_golden_file_is_checked() -> None:
    assert {path.stem for path in GOLDEN.glob("*.bin")} == set(FRAMES)


def test_golden_tensors_come_back_with_their_values() -> None:
    (frame,) = FrameParser().feed((GOLDEN / "request_start.bin").read_bytes())
    tensors = tensors_of(frame)
    assert [(t.name, t.dtype, t.shape, t.set) for t in tensors] == [
        ("in0", "float32", (1, 2, 3), 0),
        ("länge", "int64", (2,), 0),
        ("flags", "bool", (3,), 1),
        ("empty", "float16", (0, 4), 1),
        ("scalar", "uint8", (), None),
    ]
    assert bytes(tensors[0].data) == FLOATS
    assert struct.unpack("<2q", tensors[1].data) == (-1, 1 << 40)


@given(st.lists(ANY_FRAME, max_size=4), st.data())
def test_any_split_of_the_stream_gives_the_same_frames(frames: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(encode(frame) for frame in frames)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    parser = FrameParser()
    found: list[Frame] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += parser.feed(stream[begin:end])
    assert [plain(frame) for frame in found] == [plain(frame) for frame in frames]
    assert parser.pending_bytes == 0


@given(st.sampled_from(sorted(FRAMES)), st.data())
def test_a_mutated_stream_gives_frames_or_wire_errors(name: str, data: st.DataObject) -> None:
    stream = bytearray(encode(FRAMES[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        for frame in FrameParser().feed(bytes(stream)):
            tensors_of(frame)


@given(st.binary(max_size=200))
def test_rubbish_never_gives_a_frame(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert FrameParser().feed(data) == []


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEADER.pack(b"HTTP", 1, 1, 2, 0), "not an edgeflow frame"),
        (HEADER.pack(b"EDGF", 2, 1, 2, 0), "version 2"),
        (HEADER.pack(b"EDGF", 1, 9, 2, 0), "type 9"),
        (HEADER.pack(b"EDGF", 1, 1, MAX_META_BYTES + 1, 0), "over the limit"),
        (HEADER.pack(b"EDGF", 1, 1, 2, MAX_BODY_BYTES + 1), "over the limit"),
        (b"Wel", "not an edgeflow frame"),
    ],
)
def test_a_bad_header_is_refused_before_its_content_arrives(header: bytes, words: str) -> None:
    parser = FrameParser()
    with pytest.raises(WireError, match=words):
        parser.feed(header)
    with pytest.raises(WireError):
        parser.feed(encode(FRAMES["progress"]))  # no resynchronisation


def test_frames_before_rubbish_in_the_same_piece_are_not_lost() -> None:
    parser = FrameParser()
    last_words = encode(FRAMES["progress"])
    assert len(parser.feed(last_words + b"rubbish" * 16)) == 1
    with pytest.raises(WireError, match="not an edgeflow frame"):
        parser.finish()
    with pytest.raises(WireError, match="not an edgeflow frame"):
        parser.feed(last_words)


@pytest.mark.parametrize(
    "meta",
    [
        b"[]", b"7", b"{", b"\xff\xfe", b'{"a":NaN}', b'{"a":' + b"9" * 5000 + b"}", b"[" * 100000, b"",
        b'{"id":"\\ud800"}',
    ],
)  # fmt: skip
def test_meta_that_is_not_a_json_object_is_refused(meta: bytes) -> None:
    with pytest.raises(WireError):
        FrameParser().feed(HEADER.pack(b"EDGF", 1, 2, len(meta), 0) + meta)


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "x", "dtype": "float32", "shape": [2], "offset": 4},
        {"name": "x", "dtype": "float32", "shape": [3], "offset": 0},
        {"name": "x", "dtype": "float32", "shape": [1], "offset": 0},
        {"name": "x", "dtype": "float33", "shape": [2], "offset": 0},
        {"name": "x", "dtype": "float32", "shape": [-1, -2], "offset": 0},
        {"name": "x", "dtype": "float32", "shape": [True, 2], "offset": 0},
        {"name": "x", "dtype": "float32", "shape": [2.0], "offset": 0},
        {"name": "x", "dtype": "float32", "shape": [1 << 62, 1 << 62], "offset": 0},
        {"name": "x", "dtype": "float32", "shape": [1] * 17 + [2], "offset": 0},
        {"name": "x", "dtype": "float32", "shape": 2, "offset": 0},
        {"name": 3, "dtype": "float32", "shape": [2], "offset": 0},
        {"name": "x", "dtype": "float32", "shape": [2], "offset": 0, "set": -1},
        {},
        None,
    ],
)
def test_a_tensor_that_does_not_tile_the_body_is_refused(entry: object) -> None:
    with pytest.raises(WireError):
        tensors_of(Frame(FrameType.REQUEST, {"tensors": [entry]}, bytes(8)))


def test_what_cannot_be_written_is_refused_at_the_writer() -> None:
    for meta in ({"x": float("nan")}, {"x": object()}, {"x": "a" * MAX_META_BYTES}, {"x": "\ud800"}):
        with pytest.raises(WireError):
            encode(Frame(FrameType.RESPONSE, meta))
    with pytest.raises(WireError, match="8 bytes, got 4"):
        with_tensors(FrameType.RESPONSE, {}, [Tensor("x", "float32", (2,), b"1234")])
