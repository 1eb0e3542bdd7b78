"""What a model recipe may say: the schema of edgeflow.yaml (docs/recipe.md describes every key)."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from edgeflow.config.devices import RUNTIMES
from edgeflow.config.dtypes import Dtype, is_float, limits, size_bytes
from edgeflow.config.suggest import did_you_mean
from edgeflow.config.validation import Name, key_error

Color = Literal["RGB", "BGR", "GRAY", "RGBA", "BGRA"]
Layout = Literal["NCHW", "NHWC", "NWHC"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "area"]

PRECISIONS = ("fp32", "fp16", "int8", "int8-dynamic")
MAX_INPUT_BYTES = 256 * 1024 * 1024
"""What one frame to an agent can carry (agent/PROTOCOL.md)."""
IMAGE_KEYS = ("layout", "color", "resize", "scale", "mean", "std")


def _one_as_list(value: Any) -> Any:
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


def _label(value: Any) -> Any:
    """A label as text. Whole numbers are exact; anything else that YAML reads as a value must be quoted."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, bool | float):
        raise ValueError("write this label in quotes: YAML reads it as a number, a truth value or nothing")
    return value


def _precision(name: str) -> str:
    if name not in PRECISIONS:
        raise ValueError(f"unknown precision; {did_you_mean(name, PRECISIONS)}")
    return name


Precision = Annotated[str, AfterValidator(_precision)]
Label = Annotated[str, BeforeValidator(_label)]
# Strict: pydantic would take `true` for 1.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, gt=0)]
PerChannel = Annotated[tuple[Number, ...], BeforeValidator(_one_as_list)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResizeSpec(_Strict):
    """How an image comes to the input's height and width."""

    mode: Literal["stretch", "letterbox", "crop", "short-side-crop"] = "stretch"
    size: tuple[Count, Count] | None = None  # height, width
    interpolation: Interpolation = "bilinear"
    short_side: Count | None = None  # short-side-crop: length of the short side before the crop
    fill: PerChannel = (0.0,)  # letterbox: pixel value (0..255) of the border
    align: Literal["center", "start"] = "center"  # letterbox: where the picture lies

    @model_validator(mode="after")
    def _keys_fit_mode(self) -> Self:
        used = self.model_fields_set
        if "short_side" in used and self.mode != "short-side-crop":
            raise key_error(f"only for mode 'short-side-crop', and the mode is '{self.mode}'", "short_side")
        for key in ("fill", "align"):
            if key in used and self.mode != "letterbox":
                raise key_error(f"only for mode 'letterbox', and the mode is '{self.mode}'", key)
        if self.mode == "crop" and "interpolation" in used:
            raise key_error("mode 'crop' takes pixels as they are and interpolates nothing", "interpolation")
        return self


class InputSpec(_Strict):
    """One input tensor: its shape and type, and how a file becomes it."""

    shape: tuple[Count, ...]
    dtype: Dtype = "float32"
    kind: Literal["image", "tensor"] = "tensor"
    layout: Layout = "NCHW"
    color: Color = "RGB"
    resize: ResizeSpec = ResizeSpec()
    scale: Number = 1.0
    mean: PerChannel = (0.0,)
    std: PerChannel = (1.0,)
    range: tuple[Number, Number] | None = None
    value: Number | None = None  # what fills the input where a sample gives no file for it

    @property
    def channels(self) -> int:
        """Colour channels of an image input."""
        return {"GRAY": 1, "RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4}[self.color]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image input, by its shape and layout."""
        return self.shape[self.layout.index("H")], self.shape[self.layout.index("W")]

    def _mean_std(self) -> list[tuple[float, float]]:
        """Mean and std of each channel."""
        channels = range(self.channels)
        return [(self.mean[c % len(self.mean)], self.std[c % len(self.std)]) for c in channels]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        total_bytes = math.prod(self.shape) * size_bytes(self.dtype)
        if total_bytes > MAX_INPUT_BYTES:
            raise key_error(f"{total_bytes} bytes; an input has at most {MAX_INPUT_BYTES}", "shape")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise key_error(f"the first number must be below the second, got {list(self.range)}", "range")
        for key, values in (
            ("range", self.range or ()),
            ("value", () if self.value is None else (self.value,)),
        ):
            for value in values:
                self._check_holds(value, key)
        if self.kind == "tensor":
            extra = next((key for key in IMAGE_KEYS if key in self.model_fields_set), None)
            if extra:
                raise key_error("only for images; add 'kind: image' to this input", extra)
            return self
        self._check_image()
        return self

    def _check_holds(self, value: float, key: str) -> None:
        low, high = limits(self.dtype)
        if not low <= value <= high or (not is_float(self.dtype) and value != int(value)):
            raise key_error(f"{value:g} is no value of dtype {self.dtype}", key)

    def _check_image(self) -> None:
        if len(self.shape) != 4:
            raise key_error(
                f"an image input has 4 dimensions ({self.layout}), got {len(self.shape)}", "shape"
            )
        if self.shape[0] != 1:
            raise key_error(f"an image input has batch size 1, got {self.shape[0]}", "shape", 0)
        if self.dtype in ("bool", "int8"):
            raise key_error(f"an image cannot be {self.dtype}; use 'kind: tensor'", "dtype")
        axis = self.layout.index("C")
        if self.shape[axis] != self.channels:
            raise key_error(
                f"layout {self.layout} puts the channels at position {axis}, which is {self.shape[axis]} "
                f"in shape {list(self.shape)}; color {self.color} has {self.channels}",
                "layout" if "layout" in self.model_fields_set else "shape",
            )
        for key, values in (("mean", self.mean), ("std", self.std), ("resize", self.resize.fill)):
            if len(values) not in (1, self.channels):
                path = ("resize", "fill") if key == "resize" else (key,)
                raise key_error(
                    f"expected 1 or {self.channels} numbers (color {self.color}), got {len(values)}", *path
                )
        if 0.0 in self.std:
            raise key_error("zero would divide by zero", "std")
        if self.scale == 0.0:
            raise key_error("zero would erase the picture", "scale")
        low, high = limits(self.dtype)
        reached = [(x * self.scale - m) / s for x in (0, 255) for m, s in self._mean_std()]
        if min(reached) < low or max(reached) > high:
            raise key_error(
                f"pixels become {min(reached):g} to {max(reached):g} by scale, mean and std, "
                f"which {self.dtype} cannot hold",
                "dtype",
            )
        if self.resize.size is not None and self.resize.size != self.size:
            raise key_error(
                f"[height, width] {list(self.resize.size)} differs from the shape's {list(self.size)}",
                "resize",
                "size",
            )
        if self.resize.short_side is not None and self.resize.short_side < max(self.size):
            raise key_error(
                f"{self.resize.short_side} is smaller than the crop of {list(self.size)}",
                "resize",
                "short_side",
            )


class SampleSpec(_Strict):
    """One real input set: a file per input, and the right answer where it is known."""

    files: dict[str, str] = Field(min_length=1)
    label: Label | None = None


class CalibrationSpec(_Strict):
    """Inputs that static quantization looks at."""

    data: str
    limit: Count = 200


class EvaluationSpec(_Strict):
    """Labelled inputs and the figure to compute over them."""

    data: str
    metric: str = "top1"


class ToleranceSpec(_Strict):
    """How far outputs may be from the reference; a key that is absent keeps the table's value."""

    cosine_min: Annotated[float, Field(gt=0, le=1)] | None = None
    rel_err_max: Annotated[float, Field(gt=0)] | None = None
    channel_err_max: Annotated[float, Field(gt=0)] | None = None
    log_odds_err_max: Annotated[float, Field(gt=0)] | None = None
    tie_margin: Annotated[float, Field(gt=0, lt=1)] | None = None


def _runtime(name: str) -> str:
    if name not in RUNTIMES:
        raise ValueError(f"unknown runtime; {did_you_mean(name, RUNTIMES)}")
    return name


ConversionOptions = dict[str, bool | int | str | tuple[str, ...]]
"""By the converter's own names; edgeflow_converters/options.py knows them and their values."""


class RecipeSchema(_Strict):
    """A model, its inputs, what its outputs mean, and the data that judges it."""

    name: Name
    model: Annotated[str, Field(min_length=1)]
    inputs: Annotated[dict[str, InputSpec], Field(min_length=1)]
    description: str = ""
    task: str = ""
    output: str | None = None
    labels: tuple[Label, ...] | str = ()
    samples: tuple[SampleSpec, ...] = ()
    calibration: CalibrationSpec | None = None
    evaluation: EvaluationSpec | None = None
    tolerances: dict[Precision, ToleranceSpec] = Field(default_factory=dict)
    conversion: dict[Annotated[str, AfterValidator(_runtime)], ConversionOptions] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for index, sample in enumerate(self.samples):
            for name in sample.files:
                if name not in self.inputs:
                    known = ", ".join(self.inputs)
                    raise key_error(
                        f"no such input; the inputs are: {known}", "samples", index, "files", name
                    )
            missing = [n for n, spec in self.inputs.items() if n not in sample.files and spec.value is None]
            if missing:
                raise key_error(
                    f"no file for input '{missing[0]}'; name one, or give that input a 'value'",
                    "samples", index, "files",
                )  # fmt: skip
            if sample.label is not None and isinstance(self.labels, tuple) and self.labels:
                self._check_label(sample.label, index)
        if isinstance(self.labels, tuple) and len(set(self.labels)) != len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise key_error(f"'{twice}' is listed twice", "labels")
        return self

    def _check_label(self, label: str, index: int) -> None:
        if self.task == "classification" and label not in self.labels:
            raise key_error(f"'{label}' is not among the labels", "samples", index, "label")
