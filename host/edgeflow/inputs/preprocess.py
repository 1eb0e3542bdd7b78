"""From a file to an input tensor: the one contract that calibration, validation and runs on a device share.

For an image input, with every step named by the recipe:

1. decode (Pillow), turn upright by the EXIF orientation, bring to the recipe's kind of colour: gray to RGB by
   repetition, RGB to gray by ITU-R 601-2 luma; 16-bit gray is divided by 257. Palettes are expanded.
2. resize (`resize.mode`) with Pillow's filters, which average over the whole footprint when they shrink.
3. put the channels into the recipe's colour order; x is now a pixel value in 0..255.
4. `(x * scale - mean) / std` per channel, computed in float64, then cast to the input's dtype.
5. lay out as `layout` says, batch size 1.

Nothing is dropped unseen: transparent pixels for a model without alpha, several frames, pixels without a
defined range, NaN, values that the dtype cannot hold and files of another shape or dtype are errors.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.config.recipe_schema import InputSpec, ResizeSpec
from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

ARRAY_SUFFIXES = (".npy", ".npz")


def load_input(spec: InputSpec, path: Path, name: str | None = None) -> NDArray[Any]:
    """The file at `path` as the tensor of one input: shape, dtype and layout are the recipe's.

    An image is preprocessed. A .npy or .npz is taken as it is, for images too, and must have the very
    shape and dtype; of a .npz with several arrays, the one called `name`. Raises UsageError naming the file.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return _load_array(spec, path, name)
    if spec.kind != "image":
        raise UsageError(
            f"{path}: this input is a tensor, which is read from .npy or .npz",
            hint="for a picture, give the input 'kind: image' in the recipe",
        )
    return image_tensor(spec, path)


def image_tensor(spec: InputSpec, path: Path) -> NDArray[Any]:
    """The picture at `path`, preprocessed; steps 1 to 5 above. Raises UsageError naming the file."""
    image = _decode(path, spec)
    pixels = _resize(image, spec, path)
    if spec.color in ("BGR", "BGRA"):
        order = [2, 1, 0, 3][: spec.channels]
        pixels = pixels[:, :, order]
    if spec.resize.mode == "letterbox":
        pixels = _on_canvas(pixels, spec.size, spec.resize)
    try:
        return normalize(spec, pixels)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def normalize(spec: InputSpec, pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels (height, width, channels), 0..255 in the recipe's colour order, as the input tensor: steps 4, 5.

    Raises ValueError when an integer dtype cannot hold the values.
    """
    import numpy as np

    x = (pixels.astype(np.float64) * spec.scale - np.asarray(spec.mean)) / np.asarray(spec.std)
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu":
        x = np.rint(x)
        limits = np.iinfo(dtype)
        if x.min() < limits.min or x.max() > limits.max:
            raise ValueError(
                f"values {x.min():g} to {x.max():g} after scale, mean and std do not fit {dtype}"
            )
    axes = tuple("HWC".index(axis) for axis in spec.layout[1:])
    return np.ascontiguousarray(x.transpose(axes)[None], dtype=dtype)


def _decode(path: Path, spec: InputSpec) -> Image.Image:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                frames = getattr(opened, "n_frames", 1)
                if frames != 1:
                    raise UsageError(f"{path}: holds {frames} frames; give a single picture")
                opened.load()
                upright = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError:
        raise UsageError(f"{path}: not a picture that Pillow can read") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UsageError(f"{path}: {error}") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UsageError(f"{path}: damaged picture: {error}") from None
    return _in_colour(upright, spec, path)


def _in_colour(image: Image.Image, spec: InputSpec, path: Path) -> Image.Image:
    """The picture in one of the modes L, RGB, RGBA, F (16-bit gray as 0..255)."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I;16"):
        if image.has_transparency_data:
            raise UsageError(f"{path}: 16-bit gray with transparency; flatten it first")
        gray = np.asarray(image).astype(np.float32) / np.float32(257.0)
        if spec.channels == 4:
            raise UsageError(f"{path}: 16-bit gray for a model with alpha; convert it to 8 bits first")
        return Image.fromarray(gray)
    if image.mode in ("I", "F"):
        raise UsageError(
            f"{path}: pixels of mode {image.mode} have no defined range; convert to 8 or 16 bits"
        )
    if image.mode == "1":
        image = image.convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
    if spec.channels == 4:
        return image.convert("RGBA")
    if image.mode == "RGBA" and np.asarray(image.getchannel("A")).min() < 255:
        raise UsageError(
            f"{path}: has transparent pixels, and the model's color {spec.color} has no alpha",
            hint="flatten it onto the background that the model should see",
        )
    if spec.channels == 1:
        return image.convert("L")
    return image if image.mode == "L" else image.convert("RGB")


def _resize(image: Image.Image, spec: InputSpec, path: Path) -> NDArray[Any]:
    """The picture at its new size as (height, width, channels)."""
    import numpy as np

    height, width = spec.size
    resize = spec.resize
    image_w, image_h = image.size
    match resize.mode:
        case "stretch":
            image = _scaled(image, height, width, resize)
        case "letterbox":
            ratio = min(height / image_h, width / image_w)
            new_h, new_w = min(height, _round(image_h * ratio)), min(width, _round(image_w * ratio))
            image = _scaled(image, max(1, new_h), max(1, new_w), resize)
        case "crop":
            if image_h < height or image_w < width:
                raise UsageError(
                    f"{path}: height x width {image_h} x {image_w} is below the crop's {height} x {width}"
                )
            image = _center(image, height, width)
        case "short-side-crop":
            if resize.short_side is not None:
                ratio = resize.short_side / min(image_h, image_w)
            else:
                ratio = max(height / image_h, width / image_w)
            new_h, new_w = max(height, _round(image_h * ratio)), max(width, _round(image_w * ratio))
            image = _center(_scaled(image, new_h, new_w, resize), height, width)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], spec.channels, axis=2)
    return pixels


def _scaled(image: Image.Image, height: int, width: int, resize: ResizeSpec) -> Image.Image:
    from PIL import Image

    filters = {
        "nearest": Image.Resampling.NEAREST,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
        "area": Image.Resampling.BOX,
    }
    if image.size == (width, height):
        return image
    return image.resize((width, height), filters[resize.interpolation])


def _center(image: Image.Image, height: int, width: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _on_canvas(pixels: NDArray[Any], size: tuple[int, int], resize: ResizeSpec) -> NDArray[Any]:
    """The picture on a border of `fill` (one value or one per channel, in the recipe's colour order)."""
    import numpy as np

    height, width, channels = pixels.shape
    canvas = np.empty((*size, channels), dtype=np.float64)
    canvas[...] = np.asarray(resize.fill)
    centred = resize.align == "center"
    top = (size[0] - height) // 2 if centred else 0
    left = (size[1] - width) // 2 if centred else 0
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def _round(length: float) -> int:
    return math.floor(length + 0.5)


def _load_array(spec: InputSpec, path: Path, name: str | None) -> NDArray[Any]:
    import numpy as np

    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                array = loaded[_member(loaded.files, path, name)]
        else:
            array = loaded
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise UsageError(f"{path}: not a readable NumPy file of numbers") from None
    if array.shape != spec.shape:
        raise UsageError(f"{path}: shape {list(array.shape)}, expected {list(spec.shape)}")
    if array.dtype.newbyteorder("=") != np.dtype(spec.dtype):
        raise UsageError(f"{path}: dtype {array.dtype}, expected {spec.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"{path}: holds NaN or infinity")
    return np.ascontiguousarray(array, dtype=spec.dtype)


def _member(names: list[str], path: Path, name: str | None) -> str:
    if name is not None and name in names:
        return name
    if len(names) == 1:
        return names[0]
    wanted = f"none is called '{name}'" if name is not None else "which one is meant is unknown"
    raise UsageError(f"{path}: holds the arrays {', '.join(names) or 'none'}; {wanted}")
