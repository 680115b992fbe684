"""Reading of single-channel masks and probabilities from PNG and NumPy files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wsss.errors import InvalidInput, Verbatim, listing
from wsss.io.rasters.arrays import read_array
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import image_errors, open_image

if TYPE_CHECKING:
    from numpy.typing import NDArray


MAX_CLASSES = 16
"""Grey images with at most this many different values may be masks of classes; probabilities have more."""

Threshold = float | Literal["none"]
"""Values above this number are the foreground; ``"none"`` leaves the values as they are."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A mask or an image of one channel.

    Attributes:
        values: ``(H, W)``; bool for a mask, float32 in [0, 1] for probabilities of a PNG, as stored for an array.
        kind: the interpretation of the file.
    """

    values: NDArray[Any]
    kind: Literal["mask", "probabilities", "array"]


def read_plane(
    path: Path, *, value: int | None = None, threshold: Threshold | None = None, binary_mask: bool = False
) -> Plane:
    """Read an ``.npy`` array unchanged, and any other file as a PNG mask or probability image.

    A PNG is a mask if it has a palette, one bit, or grey values of at most 1. Its foreground is every value except 0
    and, in a palette image that also has other values, 255 (ignore). Other grey images of 8 or 16 bits are
    probabilities, 0 for black and 1 for white; this includes black-and-white masks, with the same result.

    Args:
        value: class of a mask with several classes; its pixels are the foreground.
        threshold: the threshold that was requested for the values, which implies that grey values are probabilities;
            it is not applied here.
        binary_mask: read an image in which all grey values are 0 or 1 as a mask, even with a threshold, which is for
            another file.

    Raises:
        InvalidInput: the file is missing, broken, multi-channel, not two-dimensional, not numeric or not finite;
            ``value`` is set for an array of floats, or is out of the file's range; or grey values may be either classes
            or probabilities, and neither ``value`` nor ``threshold`` decides.
    """
    if path.suffix.lower() == ".npy":
        array = _read_npy(path)
        if value is None:
            return Plane(array, "mask" if array.dtype == bool else "array")
        if array.dtype.kind == "f":
            raise InvalidInput(
                "a class requires integer values", subject=path, allowed="a mask", found=Verbatim(array.dtype)
            )
        low, high = (0, 1) if array.dtype == bool else (np.iinfo(array.dtype).min, np.iinfo(array.dtype).max)
        return Plane(_of_value(array, value, int(low), int(high), path), "mask")
    with open_image(path) as image, image_errors(path):
        mode, values = image.mode, np.asarray(image)
    if mode not in ("P", "1", "L", "I;16", "I;16B", "I;16L", "I"):
        raise InvalidInput(
            "unsupported image mode",
            subject=path,
            allowed="a single channel",
            found=mode,
            hint="Save it as a grey or indexed PNG, or as a NumPy array (.npy).",
        )
    if value is not None:
        high = 1 if mode == "1" else 255 if mode in ("P", "L") else 65535
        return Plane(_of_value(values, value, 0, high, path), "mask")
    if mode == "1":
        return Plane(values, "mask")
    if mode == "P":
        foreground = (values != 0) & (values != IGNORE)
        return Plane(foreground if foreground.any() else values != 0, "mask")
    return _grey(values, 255 if mode == "L" else 65535, path, threshold, binary_mask)


def _grey(values: NDArray[Any], white: int, path: Path, threshold: Threshold | None, binary_mask: bool) -> Plane:
    """Return grey values as a mask or as probabilities."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > white:
        found = low if low < 0 else high
        raise InvalidInput("invalid grey value", subject=path, allowed=f"values from 0 to {white}", found=found)
    if high == 1 and threshold not in (None, "none") and not binary_mask:
        raise InvalidInput(
            f"all grey values are 0 or 1: a mask, to which --threshold does not apply, or probabilities of at most "
            f"1/{white}",
            subject=path,
            hint=f"Omit --threshold, or save the mask with the values 0 and {white}.",
        )
    if high <= 1:
        return Plane(values != 0, "mask")
    if threshold is None:
        _refuse_classes(values, white, path)
    return Plane((values / np.float32(white)).astype(np.float32), "probabilities")


def _refuse_classes(values: NDArray[Any], white: int, path: Path) -> None:
    """Reject grey values that may be classes: a few values, or none between half and white.

    As probabilities, the classes of a mask are nearly always below 0.5: the foreground would be empty.
    """
    different = np.unique(values)
    between = different[(different > 0) & (different < white)]
    if between.size and (different.size <= MAX_CLASSES or between[-1] <= white // 2):
        raise InvalidInput(
            "these grey values may be the classes of a mask or probabilities",
            subject=path,
            found=Verbatim(listing(different[:5].tolist(), total=different.size)),
            hint="Select a class by its value (--class VALUE), or specify the threshold of probabilities "
            "(--threshold 0.5).",
        )


def _of_value(values: NDArray[Any], value: int, low: int, high: int, path: Path) -> NDArray[np.bool_]:
    """Return the pixels with a value, which has to be in the range of the pixels."""
    if not low <= value <= high:
        raise InvalidInput(
            f"invalid class; the mask has the values {listing(np.unique(values).tolist(), limit=10)}",
            subject=path,
            allowed=f"a value from {low} to {high}",
            found=value,
            hint="Select a class by its value: --class VALUE.",
        )
    return np.asarray(values == value)


def _read_npy(path: Path) -> NDArray[Any]:
    array = read_array(path)
    if array.ndim != 2 or array.dtype.kind not in "buif" or not array.size:
        raise InvalidInput(
            subject=path,
            allowed="a two-dimensional array of bool, integers or floats",
            found=Verbatim(f"{array.dtype} of shape {array.shape}"),
            hint="Save one channel of one image.",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise InvalidInput(
            subject=f"{path}: row {row}, column {column}",
            allowed="finite values",
            found=float(array[row, column]),
            hint="Look for a division by zero or an overflow in the code that wrote the array.",
        )
    return array
