"""What can go wrong on the way from a model to an artifact.

Every error carries one line that says what failed and on which file, a `hint` that says what to do
next, and a `log` with the tool's own words where there are any. Callers map the classes, never the texts.
"""

from __future__ import annotations


class ConvertError(Exception):
    """Base of all converter errors."""

    def __init__(self, message: str, *, hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log


class ModelUnreadable(ConvertError):
    """The file is missing, truncated, or not a model of the format it claims."""


class NotTrusted(ConvertError):
    """Loading this file could run anything, and the user has not said that it is trusted."""


class ShapeMismatch(ConvertError):
    """An input shape does not fit the model, or a dynamic axis was left open."""


class UnsupportedModel(ConvertError):
    """The target cannot express this model; the message names the op or layer."""


class NotOffered(ConvertError):
    """This runtime does not offer this precision; the message says why."""


class CalibrationMissing(ConvertError):
    """Static quantization was asked for, and there is no real input to calibrate with."""


class UnknownTarget(ConvertError):
    """No such runtime or precision; the message lists the known ones."""


class ConverterFailed(ConvertError):
    """The tool crashed, hung, or said success and wrote nothing usable; `node` is what it breaks on, if
    known."""

    node: str = ""


class ConverterTimeout(ConverterFailed):
    """The tool did not end in time and was stopped."""


class NumericsDisagree(ConvertError):
    """The product runs, but its outputs are not the reference's."""


class PrecisionOutOfReach(NumericsDisagree):
    """The model itself amplifies the precision's rounding beyond tolerance: no converter could do better."""


class ToolMissing(ConvertError):
    """A converter is not installed; the hint is the command that installs it."""


class CacheUnwritable(ConvertError):
    """The cache folder is read-only, full, or not a folder."""


class Unverifiable(NumericsDisagree):
    """The product runs, but no output could tell a right product from a wrong one."""
