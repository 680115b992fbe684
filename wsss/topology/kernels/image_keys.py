"""Validation of images and options, and conversion of images to keys in a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from pathlib import PurePath
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.errors import InvalidInput, Verbatim, counted
from wsss.topology.kernels.padded_layout import (
    MAX_CELLS,
    OUTSIDE,
    cells_of,
    fill_frame,
    fits_float32,
    key_range,
    keys_from_float32,
    keys_from_float64,
)
from wsss.topology.kernels.workspace import Workspace, workspace

Filtration = Literal["superlevel", "sublevel"]
Frame = Literal["none", "own-max", "zero"]
Essential = Literal["omit", "match"]

Image = NDArray[np.bool_] | NDArray[np.float32] | NDArray[np.float64]


class NotFinite(InvalidInput):
    """An image with NaN or infinite values.

    Example:
        >>> from wsss.topology import NotFinite, barcode
        >>> try:
        ...     barcode([[0.5, float("nan")]])
        ... except NotFinite as error:
        ...     print(error.subject, error.problem)
        image value at row 0, column 1
    """


def checked_image(image: ArrayLike, name: str = "image") -> Image:
    """Return ``image`` as a contiguous array of floats or bool with the same values.

    Args:
        image: ``(H, W)``, or with leading dimensions of 1; bool, any integer or float type; an array or a tensor.
            Values are not scaled (a mask of 0 and 255 has these values).
        name: subject of errors.

    Raises:
        InvalidInput: not two-dimensional, without pixels, not numeric, or with integers beyond 2**53.
    """
    array = as_plane(image, name)
    if array.size > MAX_CELLS // 2:
        raise InvalidInput(subject=name, found=Verbatim(array.shape), allowed=f"at most {MAX_CELLS // 2:,} pixels")
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise InvalidInput(
            subject=name, found=Verbatim(array.dtype), allowed="bool, integers or floats of up to 64 bits"
        )
    if array.dtype.kind in "ui" and array.dtype.itemsize == 8:
        largest = max(int(array.max()), -int(array.min()))
        if largest > 2**53:
            raise InvalidInput(subject=name, found=largest, allowed="integers up to 2**53, which floats can represent")
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array)
    if array.dtype.itemsize <= (2 if array.dtype.kind in "ui" else 4):
        return np.ascontiguousarray(array, dtype=np.float32)
    return np.ascontiguousarray(array, dtype=np.float64)


def checked_mask(mask: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Return ``mask`` as contiguous ``(H, W)`` bool, True where it is not 0.

    Args:
        mask: ``(H, W)``, or with leading dimensions of 1; bool, integers, or floats that are all 0 or 1.
        name: subject of errors.

    Raises:
        InvalidInput: not two-dimensional, without pixels, or probabilities.
    """
    array = as_plane(mask, name)
    if array.dtype.kind not in "buif":
        raise InvalidInput(subject=name, found=Verbatim(array.dtype), allowed="a mask of bool or integers")
    if array.dtype.kind == "f":
        wrong = array[(array != 0) & (array != 1)]
        if wrong.size:
            raise InvalidInput(
                subject=name,
                found=float(wrong[0]),
                allowed="a mask with the values 0 and 1",
                hint="Threshold probabilities: probabilities > 0.5",
            )
    return np.ascontiguousarray(array != 0)


def checked_masks(pred: ArrayLike, gt: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return two masks of equal shape as `checked_mask` does.

    Raises:
        InvalidInput: see `checked_mask`; different shapes.
    """
    masks = checked_mask(pred, "pred"), checked_mask(gt, "gt")
    require_one_shape(*masks)
    return masks


def require_one_shape(pred: NDArray[Any], gt: NDArray[Any], name: str = "pred and gt") -> None:
    """Require equal shapes.

    Raises:
        InvalidInput: different shapes.
    """
    if pred.shape != gt.shape:
        raise InvalidInput(subject=name, found=Verbatim(f"{pred.shape} and {gt.shape}"), allowed="equal shapes")


def as_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return values as an array; a tensor is copied to the CPU, without importing torch.

    Raises:
        InvalidInput: they cannot be converted to an array, or some are masked.
    """
    if isinstance(values, str | PurePath):
        raise InvalidInput(
            subject=name,
            found=str(values),
            allowed="an array or a tensor, not a path",
            hint="Read the file first, for example with numpy.asarray(PIL.Image.open(path)).",
        )
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):  # NumPy would use the data below the mask
        raise InvalidInput(
            "masked pixels have no value",
            subject=name,
            found=Verbatim(counted(int(np.ma.count_masked(values)), "masked pixel")),
            allowed="an array without masked pixels",
            hint=f"Fill them with background, {name}.filled(0); to ignore pixels of the ground truth of metrics, fill "
            "them with 255 and pass ignore_index=255.",
        )
    if hasattr(values, "detach"):
        tensor: Any = values.detach().cpu()
        values = tensor.float() if "bfloat16" in str(tensor.dtype) else tensor  # NumPy has no such type
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # nested sequences of different lengths
        raise InvalidInput(subject=name, found=Verbatim(type(values).__name__), allowed="an array") from error


def as_plane(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return values as an array ``(H, W)`` with pixels, without leading dimensions of 1.

    Raises:
        InvalidInput: the image is not two-dimensional, or has no pixels.
    """
    array = as_array(values, name)
    plane = array.reshape(array.shape[-2:]) if set(array.shape[:-2]) == {1} else array
    if plane.ndim != 2:
        raise InvalidInput(
            subject=name,
            found=Verbatim(f"shape {array.shape}"),
            allowed="a two-dimensional image (H, W)",
            hint="Pass one channel of one image, such as batch[image, channel], or one slice of a volume.",
        )
    if not plane.size:
        raise InvalidInput(subject=name, found=Verbatim(f"shape {array.shape}"), allowed="at least one pixel")
    return plane


def checked_connectivity(connectivity: int) -> bool:
    """Return whether the connectivity of the foreground is 8.

    Raises:
        InvalidInput: neither 4 nor 8.
    """
    if connectivity not in (4, 8):
        raise InvalidInput(subject="connectivity", found=connectivity, allowed="4 or 8")
    return connectivity == 8


def checked_count(count: Any, name: str) -> int:
    """Return a positive integer, such as the side of a window.

    Raises:
        InvalidInput: not an integer, or below 1.
    """
    if not isinstance(count, Integral) or isinstance(count, bool) or count < 1:
        raise InvalidInput(subject=name, found=count, allowed="an integer of at least 1")
    return int(count)


def checked_option(value: str, options: Any, name: str) -> None:
    """Require a value of the literal type ``options``.

    Raises:
        InvalidInput: the value is not one of them.
    """
    if value not in get_args(options):
        raise InvalidInput(subject=name, found=value, allowed=get_args(options))


def load_keys(images: Sequence[Image], filtration: Filtration, frame: Frame, names: Sequence[str]) -> Workspace:
    """Write the keys of one or two images of the same shape into this thread's workspace.

    Both images get the same type of keys, since the comparison image takes its values from both: int32 if float32
    represents all values of both exactly, otherwise int64.

    Raises:
        NotFinite: NaN or infinite values.
    """
    rows, columns = images[0].shape
    margin = 0 if frame == "none" else 1
    framed_rows, framed_columns = rows + 2 * margin, columns + 2 * margin
    narrow = all(image.dtype != np.float64 or fits_float32(image) for image in images)
    w = workspace(cells_of(framed_rows, framed_columns), np.int32 if narrow else np.int64)
    sign = 1 if filtration == "sublevel" else -1
    for i, image in enumerate(images):
        keys = w.keys[i]
        if narrow:
            finite = keys_from_float32(image, sign, margin, keys)
        else:
            finite = keys_from_float64(image.astype(np.float64, copy=False), sign, margin, keys)
        if not finite:
            raise _not_finite(image, names[i])
        if frame == "own-max":
            # The first value of the filtration. The comparison image then has the better of both frames, which is its
            # own first value. Until that value is known, the frame holds the largest key, like the padding.
            fill_frame(keys, framed_rows, framed_columns, keys[OUTSIDE])
            fill_frame(keys, framed_rows, framed_columns, key_range(keys, framed_rows, framed_columns)[0])
        elif frame == "zero":
            fill_frame(keys, framed_rows, framed_columns, keys.dtype.type(0))
    return w


def _not_finite(image: Image, name: str) -> NotFinite:
    row, column = np.argwhere(~np.isfinite(image))[0]
    return NotFinite(
        f"value at row {row}, column {column}",
        subject=name,
        found=float(image[row, column]),
        allowed="finite values",
        hint="Check the computation of the image for a division by zero or an overflow.",
    )
