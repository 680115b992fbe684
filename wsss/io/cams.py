"""Class activation maps on disk: one ``.npz`` per image, float16, at a fraction of the image's size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput
from wsss.io.arrays import read_arrays, write_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Cams:
    """The maps of one image.

    Args:
        maps: ``(K', h, w)`` floats in [0, 1], one map per class present.
        classes: the K' class indices (≥ 1).
        size: ``(height, width)`` of the image.
    """

    maps: NDArray[np.float32]
    classes: tuple[int, ...]
    size: tuple[int, int]

    def full_size(self) -> NDArray[np.float32]:
        """Return the maps as ``(K', H, W)`` float32 at the image's size (bilinear)."""
        return self.at(self.size)

    def at(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the maps as ``(K', *size)`` float32 (bilinear).

        Args:
            size: height and width; those of the image, or of the image made smaller.
        """
        found = np.empty((len(self.maps), *size), np.float32)
        for place, one in enumerate(self.maps):
            found[place] = enlarged(one, size)
        return found

    def each_at_full_size(self) -> Iterator[NDArray[np.float32]]:
        """Yield the maps one by one, ``(H, W)`` float32 as `full_size` has them: what large images have room for."""
        for one in self.maps:
            yield enlarged(one, self.size)


def best_class(
    maps: Iterable[NDArray[np.float32]], classes: Sequence[int], size: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the highest value of several maps at every pixel, and whose it is.

    Args:
        maps: ``(H, W)`` float32 ≥ 0 each; read one by one.
        classes: their class indices (≥ 1).
        size: H and W.

    Returns:
        ``(H, W)`` float32, 0 without any map, and ``(H, W)`` uint8 class indices; of equal values the first map's.
    """
    highest, best = np.zeros(size, np.float32), np.zeros(size, np.uint8)
    for place, (index, one) in enumerate(zip(classes, maps, strict=True)):
        better = one > highest if place else np.ones(size, bool)
        best[better] = index
        np.maximum(highest, one, out=highest)
    return highest, best


def enlarged(one: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return one map ``(h, w)`` as float32 of another size (height, width), bilinear."""
    import cv2

    return np.asarray(cv2.resize(one, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def write_cams(path: Path, cams: Cams) -> None:
    """Write an image's maps (float16), atomically."""
    write_arrays(
        path,
        {
            "maps": cams.maps.astype(np.float16),
            "classes": np.asarray(cams.classes, np.int64),
            "size": np.asarray(cams.size, np.int64),
        },
    )


def read_cams(path: Path) -> Cams:
    """Read an image's maps.

    Raises:
        InvalidInput: missing, broken, or not such a file.
    """
    arrays = read_arrays(path)
    missing = {"maps", "classes", "size"} - arrays.keys()
    if missing:
        raise InvalidInput(f"{path}: not a CAM file (no array {', '.join(sorted(missing))}).")
    maps, classes, size = arrays["maps"], arrays["classes"], arrays["size"]
    if maps.ndim != 3 or classes.shape != maps.shape[:1] or size.shape != (2,):
        raise InvalidInput(f"{path}: not a CAM file (maps {maps.shape}, classes {classes.shape}, size {size.shape}).")
    return Cams(maps.astype(np.float32), tuple(int(index) for index in classes), (int(size[0]), int(size[1])))
