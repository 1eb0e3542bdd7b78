"""PyTorch's checkpoints, read without PyTorch; and no pickle runs what it likes."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow_converters.errors import ModelUnreadable
from edgeflow_converters.sources import build
from edgeflow_converters.sources.torch_weights import read_weights


class Stored:
    """A tensor as torch.save() pickles it: a view of numbers that are stored elsewhere."""

    def __init__(
        self, key: str, values: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0
    ):
        self.key, self.values, self.size, self.stride, self.offset = key, values, size, stride, offset


@pytest.fixture(params=["zip", "row of pickles"])
def save(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Saves as PyTorch does since 1.6 or did before; its classes are stand-ins of the same name."""
    for module in ("torch", "torch._utils"):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))

    def rebuild(*_: Any) -> None:
        """Only its name is pickled."""

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    monkeypatch.setattr(sys.modules["torch._utils"], "_rebuild_tensor_v2", rebuild, raising=False)
    kinds = {"<f4": "FloatStorage", "<i8": "LongStorage"}
    for kind in kinds.values():
        named = type(kind, (), {"__module__": "torch"})
        monkeypatch.setattr(sys.modules["torch"], kind, named, raising=False)

    class Storage:
        def __init__(self, tensor: Stored) -> None:
            self.tensor = tensor

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, Storage):
                return None
            kind = getattr(sys.modules["torch"], kinds[value.tensor.values.dtype.str])
            return "storage", kind, value.tensor.key, "cpu", value.tensor.values.size

        def reducer_override(self, value: Any) -> Any:
            if not isinstance(value, Stored):
                return NotImplemented
            return rebuild, (Storage(value), value.offset, value.size, value.stride, False, OrderedDict())

    def pickled(value: Any) -> bytes:
        text = io.BytesIO()
        Pickler(text, protocol=2).dump(value)
        return text.getvalue()

    def as_zip(state: Any, stored: tuple[Stored, ...]) -> None:
        with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
            archive.writestr("w/data.pkl", pickled(state))
            for tensor in stored:
                archive.writestr(f"w/data/{tensor.key}", tensor.values.tobytes())

    def as_pickles(state: Any, stored: tuple[Stored, ...]) -> None:
        keys = [tensor.key for tensor in stored]
        parts = [
            pickled(value) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, state, keys)
        ]
        parts += [tensor.values.size.to_bytes(8, "little") + tensor.values.tobytes() for tensor in stored]
        (tmp_path / "w.pth").write_bytes(b"".join(parts))

    def write(state: Any, *stored: Stored) -> Path:
        (as_zip if request.param == "zip" else as_pickles)(state, stored)
        return tmp_path / "w.pth"

    return write


def test_tensors_are_views_of_what_is_stored(save: Any) -> None:
    values = np.arange(12, dtype="<f4")
    whole = Stored("0", values, (3, 4), (4, 1))
    turned = Stored("0", values, (2, 3), (1, 4), 1)
    count = Stored("1", np.array([7], "<i8"), (), ())
    weights = read_weights(save(OrderedDict(a=whole, b=turned, n=count), whole, count))
    assert np.array_equal(weights["a"], values.reshape(3, 4))
    assert np.array_equal(weights["b"], values.reshape(3, 4)[:, 1:3].T)
    assert weights["n"] == 7 and weights["n"].shape == ()


def test_a_tensor_beyond_its_numbers_is_refused(save: Any) -> None:
    tensor = Stored("0", np.zeros(4, "<f4"), (2, 4), (4, 1))
    with pytest.raises(ModelUnreadable, match="beyond its numbers"):
        read_weights(save(OrderedDict(a=tensor), tensor))


def test_a_truncated_checkpoint_is_refused(save: Any) -> None:
    tensor = Stored("0", np.ones(400, "<f4"), (400,), (1,))
    path = save(OrderedDict(a=tensor), tensor)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(ModelUnreadable, match="is no PyTorch checkpoint"):
        read_weights(path)


class Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harmed",)


def test_a_pickle_that_calls_something_else_is_refused(
    save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ModelUnreadable, match=r"w\.pth is no PyTorch checkpoint of weights: it wants .*mkdir"
    ):
        read_weights(save({"a": Harmful()}))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ModelUnreadable, match=r"w\.pth is no PyTorch checkpoint"):
        read_weights(tmp_path / "w.pth")


def test_other_weights_are_not_made_into_a_model(save: Any, tmp_path: Path) -> None:
    tensor = Stored("0", np.zeros(4, "<f4"), (4,), (1,))
    with pytest.raises(
        ModelUnreadable, match=r"no weights of EfficientNet-lite0: _conv_stem\.weight is missing"
    ):
        build("efficientnet-lite0", save(OrderedDict(a=tensor), tensor), tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
