"""Preprocessing, to the pixel: against values computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeflow.config.recipe_schema import InputSpec
from edgeflow.errors import UsageError
from edgeflow.inputs.preprocess import load_input


def spec(**keys: Any) -> InputSpec:
    return InputSpec.model_validate({"kind": "image", **keys})


def saved(folder: Path, pixels: Any, name: str = "image.png", **options: Any) -> Path:
    path = folder / name
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)
    return path


RED_GREEN = [[[255, 0, 0], [0, 255, 0]]]
"""One row: a red pixel, a green one."""


def test_the_formula_by_hand(tmp_path: Path) -> None:
    path = saved(tmp_path, [[[255, 51, 0], [102, 0, 204]]])
    tensor = load_input(
        spec(shape=[1, 3, 1, 2], scale=1 / 255, mean=[0.5, 0.25, 0.0], std=[0.5, 0.25, 2.0]), path
    )
    red = [(1.0 - 0.5) / 0.5, (0.4 - 0.5) / 0.5]
    green = [(0.2 - 0.25) / 0.25, (0.0 - 0.25) / 0.25]
    blue = [0.0, 0.8 / 2.0]
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor, [[[red], [green], [blue]]], rtol=0, atol=1e-7)


def test_mean_and_std_are_in_the_colour_order_given(tmp_path: Path) -> None:
    tensor = load_input(spec(shape=[1, 3, 1, 2], color="BGR", mean=[1, 2, 3]), saved(tmp_path, RED_GREEN))
    np.testing.assert_array_equal(tensor[0, :, 0, 0], [-1, -2, 252])
    np.testing.assert_array_equal(tensor[0, :, 0, 1], [-1, 253, -3])


@pytest.mark.parametrize(
    ("layout", "shape"), [("NCHW", [1, 3, 2, 4]), ("NHWC", [1, 2, 4, 3]), ("NWHC", [1, 4, 2, 3])]
)
def test_layouts(tmp_path: Path, layout: str, shape: list[int]) -> None:
    pixels = np.arange(24).reshape(2, 4, 3)
    tensor = load_input(spec(shape=shape, layout=layout), saved(tmp_path, pixels))
    axes = ["HWC".index(axis) for axis in layout[1:]]
    np.testing.assert_array_equal(tensor[0], pixels.transpose(axes))


def test_alpha_is_a_channel_for_a_model_that_has_one(tmp_path: Path) -> None:
    path = saved(tmp_path, [[[1, 2, 3, 4]]])
    tensor = load_input(spec(shape=[1, 1, 1, 4], layout="NHWC", color="BGRA", std=[1, 1, 1, 2]), path)
    np.testing.assert_array_equal(tensor.ravel(), [3, 2, 1, 2])
    opaque = load_input(spec(shape=[1, 1, 1, 4], layout="NHWC", color="RGBA"), saved(tmp_path, [[[1, 2, 3]]]))
    np.testing.assert_array_equal(opaque.ravel(), [1, 2, 3, 255])


def test_transparency_is_never_dropped_unseen(tmp_path: Path) -> None:
    rgb = spec(shape=[1, 3, 1, 1])
    np.testing.assert_array_equal(load_input(rgb, saved(tmp_path, [[[1, 2, 3, 255]]])).ravel(), [1, 2, 3])
    with pytest.raises(UsageError, match="transparent pixels"):
        load_input(rgb, saved(tmp_path, [[[1, 2, 3, 254]]]))
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([9, 8, 7])
    palette.save(tmp_path / "palette.png", transparency=0)
    with pytest.raises(UsageError, match="transparent pixels"):
        load_input(rgb, tmp_path / "palette.png")
    palette.save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(load_input(rgb, tmp_path / "opaque.png").ravel(), [9, 8, 7])


def test_gray_and_colour(tmp_path: Path) -> None:
    gray = saved(tmp_path, [[10, 20]], "gray.png")
    np.testing.assert_array_equal(load_input(spec(shape=[1, 3, 1, 2]), gray)[0], [[[10, 20]]] * 3)
    colour = load_input(spec(shape=[1, 1, 1, 2], color="GRAY"), saved(tmp_path, RED_GREEN))
    np.testing.assert_array_equal(colour.ravel(), [76, 150])  # 0.299 * 255, 0.587 * 255
    bilevel = tmp_path / "bilevel.png"
    Image.fromarray(np.array([[True, False]])).save(bilevel)
    np.testing.assert_array_equal(
        load_input(spec(shape=[1, 1, 1, 2], color="GRAY"), bilevel).ravel(), [255, 0]
    )


def test_sixteen_bits_become_their_share_of_255(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 257, 65535, 32768]], dtype=np.uint16)).save(path)
    tensor = load_input(spec(shape=[1, 1, 1, 4], color="GRAY"), path)
    np.testing.assert_allclose(tensor.ravel(), [0, 1, 255, 32768 / 257], rtol=1e-6)
    np.testing.assert_allclose(load_input(spec(shape=[1, 3, 1, 4]), path)[0, 2, 0], tensor.ravel())


def test_sixteen_bits_with_transparency_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[7, 8]], dtype=np.uint16)).save(path, transparency=7)
    with pytest.raises(UsageError, match="16-bit gray with transparency"):
        load_input(spec(shape=[1, 1, 1, 2], color="GRAY"), path)


def test_pixels_without_a_range_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    Image.fromarray(np.array([[0.5]], dtype=np.float32)).save(path)
    with pytest.raises(UsageError, match="no defined range"):
        load_input(spec(shape=[1, 1, 1, 1], color="GRAY"), path)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture must be turned 90 degrees clockwise
    path = saved(tmp_path, [[10, 20]], exif=exif)
    tensor = load_input(spec(shape=[1, 1, 2, 1], color="GRAY"), path)
    np.testing.assert_array_equal(tensor[0, 0], [[10], [20]])


def gray(size: list[int], **resize: Any) -> InputSpec:
    return spec(shape=[1, 1, *size], color="GRAY", resize=resize)


@pytest.mark.parametrize(
    ("input_spec", "pixels", "expected"),
    [
        (gray([2, 2], mode="stretch", interpolation="nearest"), [[1, 2, 3, 4]], [[2, 4], [2, 4]]),
        (gray([1, 2], mode="stretch", interpolation="area"), [[10, 20, 30, 50]], [[15, 40]]),
        (gray([1, 4], mode="stretch", interpolation="bilinear"), [[0, 100]], [[0, 25, 75, 100]]),
        (
            gray([4, 4], mode="letterbox", fill=7),
            [[1, 1, 1, 1], [2, 2, 2, 2]],
            [[7] * 4, [1] * 4, [2] * 4, [7] * 4],
        ),
        (gray([3, 2], mode="letterbox", align="start", fill=9), [[5, 6]], [[5, 6], [9, 9], [9, 9]]),
        (gray([2, 3], mode="letterbox", fill=0.5), [[5], [6]], [[0.5, 5, 0.5], [0.5, 6, 0.5]]),
        (
            gray([4, 2], mode="letterbox", interpolation="nearest", fill=0),
            [[1, 2, 3, 4], [5, 6, 7, 8]],
            [[0, 0], [6, 8], [0, 0], [0, 0]],
        ),
        (gray([1, 2], mode="crop"), [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], [[6, 7]]),
        (gray([1, 2], mode="crop"), [[1, 2, 3, 4, 5]], [[2, 3]]),
        (gray([1, 1], mode="short-side-crop"), [[1, 2, 3]], [[2]]),
        (
            gray([1, 2], mode="short-side-crop", short_side=2, interpolation="nearest"),
            [[1, 2, 3]],
            [[2, 2]],
        ),
    ],
)
def test_resizing(tmp_path: Path, input_spec: InputSpec, pixels: Any, expected: Any) -> None:
    np.testing.assert_array_equal(load_input(input_spec, saved(tmp_path, pixels))[0, 0], expected)


def test_letterbox_border_is_normalized_like_the_picture(tmp_path: Path) -> None:
    wide = spec(
        shape=[1, 3, 3, 1], color="BGR", scale=0.5, mean=1, std=2,
        resize={"mode": "letterbox", "fill": [2, 4, 6], "align": "start"},
    )  # fmt: skip
    tensor = load_input(wide, saved(tmp_path, [[[10, 20, 30]]]))
    np.testing.assert_array_equal(tensor[0, :, :, 0], [[7, 0, 0], [4.5, 0.5, 0.5], [2, 1, 1]])


def test_a_picture_smaller_than_the_crop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="below the crop"):
        load_input(gray([2, 2], mode="crop"), saved(tmp_path, [[1, 2]]))


def test_integer_inputs_hold_their_values_or_say_so(tmp_path: Path) -> None:
    path = saved(tmp_path, [[0, 255]])
    plain = load_input(spec(shape=[1, 1, 1, 2], color="GRAY", dtype="uint8"), path)
    assert plain.dtype == np.uint8
    np.testing.assert_array_equal(plain.ravel(), [0, 255])
    bordered = gray([2, 2], mode="letterbox", fill=300).model_copy(update={"dtype": "uint8"})
    with pytest.raises(UsageError, match="0 to 300 after scale, mean and std do not fit uint8"):
        load_input(bordered, path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.png: "):
        load_input(spec(shape=[1, 3, 1, 1]), path)


def test_a_truncated_picture_is_refused_not_half_read(tmp_path: Path) -> None:
    path = saved(tmp_path, np.random.default_rng(0).integers(0, 255, (64, 64, 3)), "x.jpg")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UsageError, match="damaged picture"):
        load_input(spec(shape=[1, 3, 8, 8]), path)


def test_several_frames_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    frames = [Image.new("L", (2, 2), level) for level in (0, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(UsageError, match="2 frames"):
        load_input(spec(shape=[1, 3, 2, 2]), path)


TENSOR = InputSpec.model_validate({"shape": [1, 2]})


def test_arrays_are_taken_as_they_are(tmp_path: Path) -> None:
    values = np.array([[1.5, -2]], dtype=np.float32)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "one.npz", anything=values)
    np.savez(tmp_path / "two.npz", x=values, y=values * 2)
    np.save(tmp_path / "swapped.npy", values.astype(">f4"))
    for name in ("a.npy", "one.npz", "swapped.npy"):
        loaded = load_input(TENSOR, tmp_path / name)
        np.testing.assert_array_equal(loaded, values)
        assert loaded.dtype == np.dtype("<f4")
    np.testing.assert_array_equal(load_input(TENSOR, tmp_path / "two.npz", "y"), values * 2)
    with pytest.raises(UsageError, match="holds the arrays x, y; none is called 'z'"):
        load_input(TENSOR, tmp_path / "two.npz", "z")


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((2, 1), np.float32), r"shape \[2, 1\], expected \[1, 2\]"),
        (np.zeros(2, np.float32), r"shape \[2\], expected \[1, 2\]"),
        (np.zeros((1, 2), np.float64), "dtype float64, expected float32"),
        (np.array([[1, np.nan]], np.float32), "NaN"),
        (np.array([[1, "x"]], object), "not a readable NumPy file"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, array: Any, expected: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(UsageError, match=expected):
        load_input(TENSOR, tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("keep", [0, 4, 40])
def test_truncated_arrays_are_refused(tmp_path: Path, name: str, keep: int) -> None:
    path = tmp_path / name
    values = np.zeros((1, 2), np.float32)
    np.save(path, values) if path.suffix == ".npy" else np.savez(path, values)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UsageError, match="not a readable NumPy file"):
        load_input(TENSOR, path)


def test_a_picture_for_a_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a tensor") as caught:
        load_input(TENSOR, saved(tmp_path, [[1]]))
    assert "kind: image" in caught.value.hint
    with pytest.raises(UsageError, match="no such file"):
        load_input(TENSOR, tmp_path / "absent.npy")
