"""Files of boundary maps: the probability that an object ends at an element, one ``.npz`` per image, float16."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput, Verbatim
from wsss.io.rasters.arrays import read_arrays, require_range, write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

HINT = "Recompute the boundaries (stage propagate) of this image."


def write_boundary(path: Path, boundary: NDArray[np.float32]) -> None:
    """Write a boundary map ``(h, w)`` in [0, 1] (float16), atomically."""
    write_arrays(path, {"boundary": boundary.astype(np.float16)})


def read_boundary(path: Path, *, size: tuple[int, int]) -> NDArray[np.float32]:
    """Read and validate a boundary map, as float32.

    Raises:
        InvalidInput: the file is missing or broken, has another size, or values that are not finite or not in [0, 1].
    """
    boundary = read_arrays(path).get("boundary")
    if boundary is None or boundary.dtype.kind != "f" or boundary.shape != size:
        found = "no array 'boundary'" if boundary is None else f"{boundary.dtype} of shape {boundary.shape}"
        allowed = f"floats boundary[{size[0]}, {size[1]}]"
        raise InvalidInput("not a boundary map", subject=path, allowed=allowed, found=Verbatim(found), hint=HINT)
    require_range(boundary, path, "boundary", hint=HINT)
    return np.clip(boundary.astype(np.float32), 0, 1)
