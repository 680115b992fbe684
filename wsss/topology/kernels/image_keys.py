"""From what a user passes to keys in a workspace: check the image, choose the kind of keys, add the frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.errors import InvalidInput, closest
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
    """An image holds NaN or infinite values."""


def checked_image(image: ArrayLike, name: str = "image") -> Image:
    """Return ``image`` as a contiguous array of floats, or of bool, with the same values.

    Args:
        image: ``(H, W)``; bool, any integer or float type. Values are taken as they are (a mask of 0 and 255 has the
            values 0 and 255).
        name: what the messages call it.

    Raises:
        InvalidInput: it isn't two-dimensional, has no pixels, isn't numeric, or holds integers beyond 2**53.
    """
    array = np.asarray(image)
    if array.ndim != 2:
        raise InvalidInput(
            f"{name}: a two-dimensional image (H, W) is needed, found shape {array.shape}",
            hint="Pass one channel of one sample, such as probabilities[sample, channel].",
        )
    if array.size == 0:
        raise InvalidInput(f"{name}: an image needs at least one pixel, found shape {array.shape}")
    if array.size > MAX_CELLS // 2:
        raise InvalidInput(f"{name}: at most {MAX_CELLS // 2} pixels can be handled, found shape {array.shape}")
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise InvalidInput(f"{name}: bool, integers or floats (up to 64 bits) are needed, found {array.dtype}")
    if array.dtype.kind in "ui" and array.dtype.itemsize == 8 and max(int(array.max()), -int(array.min())) > 2**53:
        raise InvalidInput(f"{name}: integers beyond 2**53 can't be told apart as floats")
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array)
    if array.dtype.itemsize <= (2 if array.dtype.kind in "ui" else 4):
        return np.ascontiguousarray(array, dtype=np.float32)
    return np.ascontiguousarray(array, dtype=np.float64)


def checked_mask(mask: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Return ``mask`` as contiguous ``(H, W)`` bool: everything but 0 is foreground.

    Raises:
        InvalidInput: it isn't two-dimensional, is empty of pixels, or holds probabilities.
    """
    array = np.asarray(mask)
    if array.ndim != 2 or array.size == 0:
        raise InvalidInput(f"{name}: a two-dimensional mask (H, W) with pixels is needed, found shape {array.shape}")
    if array.dtype.kind not in "buif":
        raise InvalidInput(f"{name}: a mask of bool or integers is needed, found {array.dtype}")
    if array.dtype.kind == "f" and not np.isin(array, (0, 1)).all():
        raise InvalidInput(
            f"{name}: a mask is needed, found floats that are neither 0 nor 1", hint="Threshold it: probabilities > 0.5"
        )
    return np.ascontiguousarray(array != 0)


def checked_connectivity(connectivity: int) -> bool:
    """Return whether the foreground's connectivity is 8.

    Raises:
        InvalidInput: it is neither 4 nor 8.
    """
    if connectivity not in (4, 8):
        raise InvalidInput(f"connectivity: found {connectivity!r}, allowed are 4 and 8 (of the foreground)")
    return connectivity == 8


def checked_option(value: str, options: Any, name: str) -> None:
    """Refuse ``value`` unless it is one of the literal type ``options``.

    Raises:
        InvalidInput: it isn't; the message lists what is allowed.
    """
    allowed = get_args(options)
    if value not in allowed:
        raise InvalidInput(f"{name}: found {value!r}, allowed are {', '.join(allowed)}{closest(str(value), allowed)}")


def load_keys(images: Sequence[Image], filtration: Filtration, frame: Frame, names: Sequence[str]) -> Workspace:
    """Write the keys of one or two images of the same shape into this thread's workspace.

    Both images get the same kind of keys, since the comparison image takes its values from both: int32 if float32
    holds all values of both exactly, else int64.

    Raises:
        NotFinite: a value is NaN or infinite.
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
            _refuse_non_finite(image, names[i])
        if frame == "own-max":
            # The value that enters the filtration first. The comparison image then has the better of both frames,
            # which is its own first value. Until it is known, the frame holds the largest key, like the padding.
            fill_frame(keys, framed_rows, framed_columns, keys[OUTSIDE])
            fill_frame(keys, framed_rows, framed_columns, key_range(keys, framed_rows, framed_columns)[0])
        elif frame == "zero":
            fill_frame(keys, framed_rows, framed_columns, keys.dtype.type(0))
    return w


def _refuse_non_finite(image: Image, name: str) -> None:
    row, column = np.argwhere(~np.isfinite(image))[0]
    raise NotFinite(
        f"{name}: found {image[row, column]} at row {row}, column {column}; all values must be finite",
        hint="Look for a division by zero or an overflow where the image was made.",
    )
