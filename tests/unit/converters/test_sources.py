"""Which files are a framework's, and what becomes of damaged and untrusted ones."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from edgeflow_converters.errors import ModelUnreadable, NotTrusted
from edgeflow_converters.sources.base import Asked, Source
from edgeflow_converters.sources.importing import import_model
from edgeflow_converters.sources.kinds import is_factory, kind_of
from edgeflow_converters.sources.pytorch import form_of
from edgeflow_converters.sources.tflite_graph import read_graph


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        for name in names:
            out.writestr(name, b"x" * 1000)
    return path


def test_paths_tell_their_kind(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    assert kind_of(tmp_path / "saved") is None
    (tmp_path / "saved" / "saved_model.pb").touch()
    assert kind_of(tmp_path / "saved") == "tensorflow"
    assert [kind_of(Path(name)) for name in ("a.PT2", "a.tflite", "a.onnx")] == ["pytorch", "tflite", None]
    assert is_factory("package.models:small") and not is_factory("models/small.pt")


def test_forms_of_pytorch_are_told_apart_without_loading_them(tmp_path: Path) -> None:
    assert form_of(archive(tmp_path / "a.pt", "a/code/x.py", "a/data.pkl")) == "torchscript"
    assert form_of(archive(tmp_path / "b.pt2", "b/models/model.json")) == "exported"
    assert form_of(archive(tmp_path / "c.pt", "c/data.pkl")) == "pickle"


def test_a_pickle_is_not_loaded_unless_it_is_trusted(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(NotTrusted, match=r"model\.pt is a pickle"):
        import_model(Source("pytorch", path), Asked(), tmp_path / "c", tmp_path / "t", lambda phase: None)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("length", [10, 300, 1000])
def test_a_cut_pytorch_file_is_unreadable(tmp_path: Path, length: int) -> None:
    whole = archive(tmp_path / "whole.pt", "a/code/x.py").read_bytes()
    cut = tmp_path / "cut.pt"
    cut.write_bytes(whole[:length])
    with pytest.raises(ModelUnreadable, match=r"cut\.pt .* truncated"):
        form_of(cut)


def test_rubbish_is_no_tflite_whatever_follows_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    for content in (
        b"abc",
        b"\x1c\0\0\0TFL3",
        b"\xff" * 4 + b"TFL3" + b"\xff" * 64,
        b"\x08\0\0\0TFL3" + bytes(64),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelUnreadable, match="truncated"):
            read_graph(path)
