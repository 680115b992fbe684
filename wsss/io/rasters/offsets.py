"""Files of sampler offsets: the tap displacements on one image, one ``.npz`` per image, float16."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput, Verbatim
from wsss.io.rasters.arrays import read_arrays, write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Offsets:
    """The offsets of one image.

    Args:
        offsets: ``(T, 2, h, w)`` floats: displacement of each of the T taps (of all groups) from its regular position
            at each element of the feature map, in feature pixels; channel 0 is down, channel 1 to the right.
        stride: image pixels per feature pixel, ≥ 1, a fraction for downscaled images; element (i, j) is at image pixel
            (``origin`` + ``stride`` · i, ``origin`` + ``stride`` · j).
        size: ``(height, width)`` of the image.
        origin: image pixel of element (0, 0), along both sides.
    """

    offsets: NDArray[np.floating[Any]]
    stride: float
    size: tuple[int, int]
    origin: float = 0.0


def write_offsets(path: Path, offsets: Offsets) -> None:
    """Write an image's offsets (float16), atomically.

    Raises:
        ValueError: the array is not ``(T, 2, h, w)``, or has values that are not finite in float16 (|offset| > 65504).
    """
    array = np.asarray(offsets.offsets)
    if array.ndim != 4 or array.shape[1] != 2:
        raise ValueError(f"expected offsets of shape (T, 2, h, w), got {array.shape}")
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError("some offsets are not finite in float16")
    write_arrays(
        path,
        {
            "offsets": half,
            "stride": np.asarray(offsets.stride, np.int64 if float(offsets.stride).is_integer() else np.float64),
            "size": np.asarray(offsets.size, np.int64),
            **({"origin": np.asarray(offsets.origin, np.float64)} if offsets.origin else {}),
        },
    )


def read_offsets(path: Path) -> Offsets:
    """Read an image's offsets, as float32.

    Raises:
        InvalidInput: missing, broken, or not an offsets file.
    """
    arrays = read_arrays(path)
    missing = {"offsets", "stride", "size"} - arrays.keys()
    if missing:
        raise InvalidInput(f"not an offsets file (missing arrays: {', '.join(sorted(missing))})", subject=path)
    offsets, stride, size = arrays["offsets"], arrays["stride"], arrays["size"]
    shapes = offsets.ndim == 4 and offsets.shape[1:2] == (2,) and stride.shape == () and size.shape == (2,)
    if not shapes or not (1 <= stride < np.inf) or offsets.dtype.kind != "f" or not np.isfinite(offsets).all():
        raise InvalidInput(
            "not an offsets file",
            subject=path,
            allowed="finite offsets (T, 2, h, w), a stride of at least 1, and a size (2,)",
            found=Verbatim(f"offsets {offsets.shape}, stride {stride}, size {size.shape}"),
        )
    origin = float(arrays["origin"].mean()) if "origin" in arrays else 0.0
    return Offsets(offsets.astype(np.float32), float(stride), (int(size[0]), int(size[1])), origin)
