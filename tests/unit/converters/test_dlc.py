"""The reader of .dlc files, on one that QAIRT 2.51's IR backend wrote of a convolution and a ReLU."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeflow_converters.dlc import Dlc, DlcTensor, read_dlc
from edgeflow_converters.errors import ModelUnreadable

REAL = Path(__file__).parents[2] / "dlc" / "conv-relu.dlc"
MEMBERS = {info.filename: info for info in zipfile.ZipFile(REAL).infolist()}


def test_what_was_converted_is_what_is_read() -> None:
    dlc = read_dlc(REAL)
    assert (dlc.version, dlc.producer) == (4, "2.51.0.260929181845")
    assert "libQnnIr" in dlc.made_by
    assert dlc.op_counts == {"Conv2d": 1, "Neuron": 1, "Transpose": 2}
    assert dlc.of_kind("input") == (DlcTensor("picture", "input", "float32", (1, 3, 16, 16), 0),)
    assert dlc.of_kind("output") == (DlcTensor("answer", "output", "float32", (1, 8, 16, 16), 0),)
    weights = {tensor.name: tensor for tensor in dlc.of_kind("constant")}
    assert weights["w"] == DlcTensor("w", "constant", "float32", (3, 3, 3, 8), 864)
    assert weights["b"].size_bytes == 32
    convolution = next(op for op in dlc.ops if op.kind == "Conv2d")
    assert convolution.inputs[1:] == ("w", "b")


def rewritten(folder: Path, name: str, data: bytes | None) -> Path:
    """The real file with one member changed, or taken out; stored with CRCs of 0 as the real one is."""
    path = folder / "changed.dlc"
    with zipfile.ZipFile(REAL) as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            stream = source.open(info)
            stream._expected_crc = None  # type: ignore[attr-defined]
            content = data if info.filename == name else stream.read()
            if content is not None:
                target.writestr(info.filename, content)
    return path


def member(name: str) -> bytes:
    with zipfile.ZipFile(REAL) as archive:
        stream = archive.open(name)
        stream._expected_crc = None  # type: ignore[attr-defined]
        return stream.read()


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("model", None, "no member 'model'"),
        ("model.params", None, "no member 'model.params'"),
        ("model", b"", "ends early"),
        ("model", b"\x03\x00" + member("model")[2:], "begins with 0300"),
        ("model.params.bin", b"\0" * 64, "lie outside of the file"),
        ("model.params.bin", None, "lie outside of the file"),
        ("model", member("model").replace(b"Transpose_out0", b"Transpose_out9", 1), "not there"),
        ("model", member("model")[:1200], "ends early|not there|points"),
    ],
)
def test_damage_is_one_line_that_names_file_and_fault(
    tmp_path: Path, name: str, data: bytes | None, why: str
) -> None:
    path = rewritten(tmp_path, name, data)
    with pytest.raises(ModelUnreadable, match=why) as caught:
        read_dlc(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("data", [b"", b"hello", REAL.read_bytes()[:3000], REAL.read_bytes()[100:]])
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.dlc"
    path.write_bytes(data)
    with pytest.raises(ModelUnreadable, match=r"not a whole \.dlc"):
        read_dlc(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnreadable, match="does not exist"):
        read_dlc(tmp_path / "none.dlc")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, REAL.stat().st_size - 1), st.integers(0, 255)), max_size=6),
    length=st.one_of(st.just(REAL.stat().st_size), st.integers(0, REAL.stat().st_size)),
)
def test_any_damage_gives_a_structure_or_one_error(
    tmp_path: Path, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(REAL.read_bytes()[:length])
    for place, value in changes:
        if place < len(data):
            data[place] = value
    path = tmp_path / "fuzzed.dlc"
    path.write_bytes(data)
    try:
        assert isinstance(read_dlc(path), Dlc)
    except ModelUnreadable as error:
        assert "\n" not in error.message
