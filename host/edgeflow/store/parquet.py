"""Results as a Parquet file, where pyarrow is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeflow.errors import ToolMissingError, UsageError
from edgeflow.store.export import COLUMNS, look_up
from edgeflow.store.store import SAMPLES, Store
from edgeflow.store.sweeps import resolved_filters


def export(path: Path, output: Path, filters: Mapping[str, str], limit: int | None) -> None:
    """Writes the CSV's columns, with their own types, and `samples_ns`, a list of int64; the oldest first.

    The file is whole or not there. Raises ToolMissingError without pyarrow, UsageError.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ToolMissingError(
            "Parquet needs pyarrow, which is not installed",
            hint="pip install pyarrow; or --format csv or json",
        ) from error
    with Store.open(path) as store:
        ids = [row.id for row in store.list(resolved_filters(filters, store), limit)][::-1]
        documents = [store.get(result_id) for result_id in ids]
        samples = store.samples_of(ids)
    columns: dict[str, Any] = {
        name: [_plain(look_up(document, where)) for document in documents] for name, where in COLUMNS
    }
    arrays = {name: _array(pa, values) for name, values in columns.items()}
    arrays[SAMPLES] = pa.array([list(samples.get(id_, ())) for id_ in ids], pa.list_(pa.int64()))
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        parquet.write_table(pa.table(arrays), temporary)
        temporary.replace(output)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _array(pa: Any, values: list[Any]) -> Any:
    """One type a column: whole numbers stay whole unless a fraction is among them."""
    known = [value for value in values if value is not None]
    if any(isinstance(value, float) for value in known):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if not known:
        return pa.array(values, pa.string())
    return pa.array(values)


def _plain(value: Any) -> Any:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else value
