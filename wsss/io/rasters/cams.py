"""Files of class activation maps: one ``.npz`` per image, float16, at a fraction of the image size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput, Verbatim
from wsss.io.rasters.arrays import read_arrays, require_range, write_arrays
from wsss.io.rasters.label_masks import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

HINT = "Recompute the maps (stage cam) for these images and classes."


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

    def at(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the maps as ``(K', *size)`` float32 (bilinear).

        Args:
            size: height and width.
        """
        resized = np.empty((len(self.maps), *size), np.float32)
        for index, cam in enumerate(self.maps):
            resized[index] = _resized(cam, size)
        return resized

    def each_at_full_size(self) -> Iterator[NDArray[np.float32]]:
        """Yield the maps at the size of the image one by one, ``(H, W)`` float32, to save memory for large images."""
        for cam in self.maps:
            yield _resized(cam, self.size)


def best_class(
    maps: Iterable[NDArray[np.float32]], classes: Sequence[int], size: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the maximum over several maps at every pixel, and its class.

    Args:
        maps: ``(H, W)`` float32 ≥ 0 each; read one by one.
        classes: their class indices (≥ 1).
        size: H and W.

    Returns:
        ``(H, W)`` float32 maxima, 0 without maps, and ``(H, W)`` uint8 class indices; ties go to the first map.
    """
    highest, best = np.zeros(size, np.float32), np.zeros(size, np.uint8)
    for number, (index, cam) in enumerate(zip(classes, maps, strict=True)):
        better = cam > highest if number else np.ones(size, bool)
        best[better] = index
        np.maximum(highest, cam, out=highest)
    return highest, best


def _resized(cam: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.resize(cam, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


SPARSE = 0.1
"""Maps with a smaller fraction of values other than 0, such as those of many classes, are deflated."""


def write_cams(path: Path, cams: Cams) -> None:
    """Write an image's maps (float16), atomically."""
    write_arrays(
        path,
        {
            "maps": cams.maps.astype(np.float16),
            "classes": np.asarray(cams.classes, np.int64),
            "size": np.asarray(cams.size, np.int64),
        },
        compress=bool(cams.maps.size and np.count_nonzero(cams.maps) < SPARSE * cams.maps.size),
    )


def read_cams(path: Path, *, size: tuple[int, int] | None = None, classes: int | None = None) -> Cams:
    """Read and validate an image's maps.

    Args:
        size: expected ``(height, width)`` of the image.
        classes: number C of classes, background included; upper bound of the class indices.

    Raises:
        InvalidInput: the file is missing, broken or not a CAM file; or the maps are not finite or not in [0, 1], have
            duplicate or invalid class indices, or another size.
    """
    arrays = read_arrays(path)
    missing = {"maps", "classes", "size"} - arrays.keys()
    if missing:
        raise InvalidInput(f"not a CAM file (missing arrays: {', '.join(sorted(missing))})", subject=path, hint=HINT)
    maps, indices, stated = arrays["maps"], arrays["classes"], arrays["size"]
    shapes = maps.ndim == 3 and 0 not in maps.shape[1:] and indices.shape == maps.shape[:1] and stated.shape == (2,)
    kinds = (maps.dtype.kind, indices.dtype.kind in "iu", stated.dtype.kind in "iu")
    if not shapes or kinds != ("f", True, True):
        raise InvalidInput(
            "not a CAM file",
            subject=path,
            allowed="floats maps[K, h, w] and integers classes[K] and size[2]",
            found=[f"{name} {array.dtype}{list(array.shape)}" for name, array in arrays.items()],
            hint=HINT,
        )
    if size is not None and tuple(stated.tolist()) != tuple(size):
        raise InvalidInput(
            "wrong image size (width×height)",
            subject=path,
            allowed=f"{size[1]}×{size[0]}",
            found=Verbatim(f"{stated[1]}×{stated[0]}"),
            hint=HINT,
        )
    _require_indices(indices, classes, path)
    _require_upright(maps.shape[1:], stated, path)
    require_range(maps, path, "maps", hint=HINT)
    bounded = np.clip(maps.astype(np.float32), 0, 1)
    return Cams(bounded, tuple(int(index) for index in indices), (int(stated[0]), int(stated[1])))


def _require_indices(indices: NDArray[np.integer], classes: int | None, path: Path) -> None:
    highest = IGNORE - 1 if classes is None else classes - 1
    wrong = [index for index in indices.tolist() if not 1 <= index <= highest]
    twice = [index for index, count in zip(*np.unique(indices, return_counts=True), strict=True) if count > 1]
    if wrong or twice:
        raise InvalidInput(
            "invalid class indices" if wrong else "duplicate class indices",
            subject=path,
            allowed=f"distinct indices from 1 to {highest}",
            found=wrong or twice,
            hint=HINT,
        )


def _require_upright(shape: tuple[int, ...], size: NDArray[np.integer], path: Path) -> None:
    """Reject maps whose aspect ratio fits the image only if transposed.

    Other shapes pass, such as square maps of a resized image.
    """
    height, width = (int(side) for side in size)
    if min(height, width) < 1:
        raise InvalidInput(subject=f"{path}: size", allowed="at least one pixel", found=[height, width], hint=HINT)

    def fits(rows: int, columns: int) -> bool:
        return abs(rows * width - columns * height) <= height + width  # rounded sides may be off by one

    if not fits(*shape) and fits(*shape[::-1]):
        raise InvalidInput(
            "rows and columns of the maps are swapped",
            subject=path,
            allowed=f"the aspect ratio of {width}×{height} (width×height)",
            found=Verbatim(f"{shape[1]}×{shape[0]}"),
            hint=HINT,
        )
