"""Reading one plane of values: a mask or probabilities, from a PNG or a NumPy file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wsss.errors import InvalidInput, listing
from wsss.io.rasters.arrays import read_array
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import explained, open_image

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Plane:
    """A mask or an image of one channel.

    Attributes:
        values: ``(H, W)``; bool for a mask, float32 in [0, 1] for probabilities of a PNG, as stored for an array.
        kind: what the file was taken for.
    """

    values: NDArray[Any]
    kind: Literal["mask", "probabilities", "array"]


def read_plane(path: Path, *, value: int | None = None) -> Plane:
    """Read ``.npy`` as it is, and any other file as a PNG mask or probability image.

    A PNG is a mask if it has a palette or one bit, or if its grey values are at most 1; its foreground is everything
    but 0, and but 255 (ignore) in a palette that has other values, too. Other grey images are probabilities, 0 for
    black and 1 for white, with 8 or 16 bits; so a mask of 0 and 255 may be taken for probabilities, which are the same.

    Args:
        path: the file.
        value: take the pixels of this value for the foreground of a mask: a class of a mask of several.

    Raises:
        InvalidInput: the file is missing, broken, of several channels, not two-dimensional, not numeric or not finite;
            ``value`` for an array of floats, or one that the file's pixels can't have.
    """
    if path.suffix.lower() == ".npy":
        array = _read_npy(path)
        if value is None:
            return Plane(array, "mask" if array.dtype == bool else "array")
        if array.dtype.kind == "f":
            raise InvalidInput(f"{path}: a class is a value of a mask; this array is of {array.dtype}.")
        low, high = (0, 1) if array.dtype == bool else (np.iinfo(array.dtype).min, np.iinfo(array.dtype).max)
        return Plane(_of_value(array, value, int(low), int(high), path), "mask")
    with open_image(path) as image, explained(path):
        mode, values = image.mode, np.asarray(image)
    if mode not in ("P", "1", "L", "I;16", "I;16B", "I;16L", "I"):
        raise InvalidInput(
            f"{path}: found an image of mode {mode!r}; a mask or probabilities have a single channel.",
            hint="Save it as a grey or indexed PNG, or as a NumPy array (.npy).",
        )
    if value is not None:
        high = 1 if mode == "1" else 255 if mode in ("P", "L") else 65535
        return Plane(_of_value(values, value, 0, high, path), "mask")
    if mode == "1" or (mode != "P" and values.max() <= 1):
        return Plane(values != 0, "mask")
    if mode == "P":
        foreground = (values != 0) & (values != IGNORE)
        return Plane(foreground if foreground.any() else values != 0, "mask")
    white = 255 if mode == "L" else 65535
    return Plane((values / np.float32(white)).astype(np.float32), "probabilities")


def _of_value(values: NDArray[Any], value: int, low: int, high: int, path: Path) -> NDArray[np.bool_]:
    """Return where the pixels have a value, which has to be one that they can have."""
    if not low <= value <= high:
        found = listing((int(one) for one in np.unique(values)), limit=10)
        raise InvalidInput(
            f"{path}: class {value} is no value of this mask, whose pixels can be {low} to {high}; found {found}.",
            hint="Name the value of a class: --class VALUE.",
        )
    return np.asarray(values == value)


def _read_npy(path: Path) -> NDArray[Any]:
    array = read_array(path)
    if array.ndim != 2 or array.dtype.kind not in "buif" or not array.size:
        raise InvalidInput(
            f"{path}: expected a two-dimensional array of bool, integers or floats, got {array.dtype} of shape "
            f"{array.shape}.",
            hint="Save one channel of one image.",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise InvalidInput(
            f"{path}: found {array[row, column]} at row {row}, column {column}; all values must be finite.",
            hint="Look for a division by zero or an overflow where the array was made.",
        )
    return array
