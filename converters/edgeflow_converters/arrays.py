"""Sets of named tensors in one .npz file: how samples and outputs travel to and from subprocesses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeflow_converters.tensors import Tensors

_NAMES = "names"  # tensor names may hold any character; member names of a zip file may not


def save_sets(path: Path, sets: Sequence[Tensors]) -> None:
    """Write `sets` to `path` (.npz), uncompressed."""
    import numpy as np

    names = [list(tensors) for tensors in sets]
    arrays: dict[str, Any] = {
        f"{index}_{position}": tensors[name]
        for index, tensors in enumerate(sets)
        for position, name in enumerate(names[index])
    }
    arrays[_NAMES] = np.array(json.dumps(names))
    np.savez(path, allow_pickle=False, **arrays)


def load_sets(path: Path) -> list[dict[str, NDArray[Any]]]:
    """The sets that save_sets wrote to `path`."""
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        names: list[list[str]] = json.loads(str(archive[_NAMES]))
        return [
            {name: archive[f"{index}_{position}"] for position, name in enumerate(of_set)}
            for index, of_set in enumerate(names)
        ]
