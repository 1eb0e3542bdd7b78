"""Reads the tensors of a PyTorch checkpoint (.pth) without PyTorch, and without running what is in it.

torch.save() writes a pickle whose tensors refer to their numbers by persistent ids ("storage", type, KEY,
device, count, ...). Since 1.6 it lies in a zip archive as PREFIX/data.pkl, beside PREFIX/data/KEY. Before,
a file was a row of pickles, a magic number, a version, facts of the machine, the state and the list of
keys, and then for each key its count in eight bytes and its numbers. All is little-endian. Of a pickle's
power to call anything, only the rebuilding of tensors and ordered dictionaries is let through. Source:
PyTorch's torch/serialization.py and torch/_utils.py.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from edgeflow_converters.errors import ModelUnreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES: Mapping[str, str] = MappingProxyType(
    {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8", "LongStorage": "<i8"}
)
_OLD_MAGIC, _OLD_VERSION = 0x1950A86A20F9469CFC6C, 1001


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Name -> array of a checkpoint that holds one dictionary of tensors. Raises ModelUnreadable."""
    import numpy as np

    try:
        state = _from_zip(path) if zipfile.is_zipfile(path) else _from_pickles(path)
    except (OSError, zipfile.BadZipFile, pickle.UnpicklingError, ValueError, KeyError, EOFError) as error:
        raise ModelUnreadable(f"{path.name} is no PyTorch checkpoint of weights: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, np.ndarray) for value in state.values()):
        raise ModelUnreadable(f"{path.name} holds something else than a dictionary of tensors")
    return {name: np.array(view) for name, view in state.items()}


def _from_zip(path: Path) -> Any:
    import numpy as np

    with zipfile.ZipFile(path) as archive:
        (index,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        prefix = index.removesuffix("data.pkl")

        def stored(key: str, dtype: str, count: int) -> NDArray[Any]:
            return np.frombuffer(archive.read(f"{prefix}data/{key}"), dtype, count)

        with archive.open(index) as stream:
            return _Unpickler(stream, stored).load()


def _from_pickles(path: Path) -> Any:
    import numpy as np

    storages: dict[str, NDArray[Any]] = {}

    def stored(key: str, dtype: str, count: int) -> NDArray[Any]:
        if key not in storages:
            if not 0 <= count <= size:
                raise ValueError(f"it says that {count} numbers are stored")
            storages[key] = np.zeros(count, dtype)  # filled below: the numbers come after the tensors
        return storages[key]

    size = path.stat().st_size
    with path.open("rb") as stream:
        if [_Unpickler(stream, stored).load() for _ in range(2)] != [_OLD_MAGIC, _OLD_VERSION]:
            raise ValueError("it does not begin as one")
        _Unpickler(stream, stored).load()
        state = _Unpickler(stream, stored).load()
        for key in _Unpickler(stream, stored).load():
            _fill(storages[key], stream)
    return state


def _fill(storage: NDArray[Any], stream: BinaryIO) -> None:
    import numpy as np

    count = int.from_bytes(stream.read(8), "little")
    content = stream.read(storage.nbytes)
    if count != storage.size or len(content) != storage.nbytes:
        raise ValueError("it is truncated")
    storage[:] = np.frombuffer(content, storage.dtype)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, stored: Callable[[str, str, int], NDArray[Any]]) -> None:
        super().__init__(stream)
        self._stored = stored

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it wants {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, _, count, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind}")
        return self._stored(key, dtype, count)


def _tensor(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> NDArray[Any]:
    import numpy as np

    steps = [step * storage.itemsize for step in stride]
    reach = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1
    if min((offset, *size, *stride), default=0) < 0 or (0 not in size and reach > storage.size):
        raise ValueError("a tensor reaches beyond its numbers")
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps)
