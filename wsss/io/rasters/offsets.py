"""Where a sampler looks: the offsets of its taps on one image, one ``.npz`` per image, float16."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import read_arrays, write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Offsets:
    """The offsets of one image.

    Args:
        offsets: ``(T, 2, h, w)`` floats: how far each of the T taps (those of all groups) is displaced from its
            regular place at each element of the feature map, in feature pixels; channel 0 along the rows (down),
            channel 1 along the columns (to the right).
        stride: image pixels per feature pixel, ≥ 1; element (i, j) stands on the image's pixel
            (``stride`` · i, ``stride`` · j).
        size: ``(height, width)`` of the image.
    """

    offsets: NDArray[np.floating[Any]]
    stride: int
    size: tuple[int, int]


def write_offsets(path: Path, offsets: Offsets) -> None:
    """Write an image's offsets (float16), atomically.

    Raises:
        ValueError: the array is not ``(T, 2, h, w)``, or some value is not finite in float16 (|offset| > 65504).
    """
    array = np.asarray(offsets.offsets)
    if array.ndim != 4 or array.shape[1] != 2:
        raise ValueError(f"offsets have the shape {array.shape}; expected (T, 2, h, w)")
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError("some offsets are not finite in float16")
    write_arrays(
        path,
        {
            "offsets": half,
            "stride": np.asarray(offsets.stride, np.int64),
            "size": np.asarray(offsets.size, np.int64),
        },
    )


def read_offsets(path: Path) -> Offsets:
    """Read an image's offsets, as float32.

    Raises:
        InvalidInput: missing, broken, or not such a file.
    """
    arrays = read_arrays(path)
    missing = {"offsets", "stride", "size"} - arrays.keys()
    if missing:
        raise InvalidInput(f"{path}: not a file of offsets (no array {', '.join(sorted(missing))}).")
    offsets, stride, size = arrays["offsets"], arrays["stride"], arrays["size"]
    shapes = offsets.ndim == 4 and offsets.shape[1:2] == (2,) and stride.shape == () and size.shape == (2,)
    if not shapes or stride < 1 or offsets.dtype.kind != "f" or not np.isfinite(offsets).all():
        raise InvalidInput(
            f"{path}: not a file of offsets (offsets {offsets.shape}, stride {stride}, size {size.shape}; expected "
            "finite offsets (T, 2, h, w), one stride of at least 1, a height and a width)."
        )
    return Offsets(offsets.astype(np.float32), int(stride), (int(size[0]), int(size[1])))
