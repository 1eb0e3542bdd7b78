"""Reads the tensors of a PyTorch checkpoint (.pth) without PyTorch, and without running what is in it.

torch.save() writes a zip archive: PREFIX/data.pkl, a pickle whose tensors refer to PREFIX/data/KEY by
persistent ids ("storage", type, KEY, device, count), and one file of little-endian numbers for each key. Of a
pickle's power to call anything, only the rebuilding of tensors and ordered dictionaries is let through.
Source: PyTorch's torch/serialization.py and torch/_utils.py.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgeflow_converters.errors import ModelUnreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES: Mapping[str, str] = MappingProxyType(
    {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8", "LongStorage": "<i8"}
)


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Name -> array of a checkpoint that holds one dictionary of tensors. Raises ModelUnreadable."""
    try:
        with zipfile.ZipFile(path) as archive:
            (index,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            prefix = index.removesuffix("data.pkl")
            with archive.open(index) as stream:
                state = _Unpickler(stream, lambda key: archive.read(f"{prefix}data/{key}")).load()
    except (OSError, zipfile.BadZipFile, pickle.UnpicklingError, ValueError, KeyError, EOFError) as error:
        raise ModelUnreadable(f"{path.name} is no PyTorch checkpoint of weights: {error}") from error
    if not isinstance(state, dict) or not all(hasattr(value, "dtype") for value in state.values()):
        raise ModelUnreadable(f"{path.name} holds something else than a dictionary of tensors")
    return dict(state)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, read: Callable[[str], bytes]) -> None:
        super().__init__(stream)
        self._read = read

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it wants {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        import numpy as np

        kind, dtype, key, _, count = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind}")
        return np.frombuffer(self._read(key), dtype, count)


def _tensor(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> NDArray[Any]:
    import numpy as np

    steps = [step * storage.itemsize for step in stride]
    reach = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1
    if min((offset, *size, *stride), default=0) < 0 or (0 not in size and reach > storage.size):
        raise ValueError("a tensor reaches beyond its numbers")
    view = np.lib.stride_tricks.as_strided(storage[offset:], size, steps)
    return np.array(view)
