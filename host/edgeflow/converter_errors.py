"""The converters' errors in edgeflow's terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgeflow.errors import (
    ConversionError,
    EdgeflowError,
    NumericsError,
    ToolMissingError,
    UsageError,
)


@contextmanager
def converter_errors() -> Iterator[None]:
    """Turns an error of `edgeflow_converters` into the EdgeflowError with the documented exit code."""
    from edgeflow_converters import errors as ce

    classes: tuple[tuple[type[ce.ConvertError], type[EdgeflowError]], ...] = (
        (ce.CacheUnwritable, UsageError),
        (ce.ShapeMismatch, UsageError),
        (ce.NotTrusted, UsageError),
        (ce.UnknownTarget, UsageError),
        (ce.NotOffered, UsageError),
        (ce.CalibrationMissing, UsageError),
        (ce.ToolMissing, ToolMissingError),
        (ce.NumericsDisagree, NumericsError),
        (ce.ConvertError, ConversionError),
    )
    try:
        yield
    except ce.ConvertError as error:
        ours = next(ours for theirs, ours in classes if isinstance(error, theirs))
        raise ours(error.message, hint=error.hint, detail=error.log) from error
