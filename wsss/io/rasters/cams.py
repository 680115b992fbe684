"""Class activation maps on disk: one ``.npz`` per image, float16, at a fraction of the image's size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput, listing
from wsss.io.rasters.arrays import read_arrays, require_range, write_arrays
from wsss.io.rasters.label_masks import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

HINT = "Make the maps again (stage cam) for these images and classes."


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


def read_cams(path: Path, *, size: tuple[int, int] | None = None, classes: int | None = None) -> Cams:
    """Read and validate an image's maps.

    Args:
        path: the file.
        size: ``(height, width)`` of the image, which the file must state.
        classes: number C of classes, with the background: the maps' classes must be below it.

    Raises:
        InvalidInput: missing, broken, not such a file, or maps that can't be of this image: values that aren't finite
            or outside [0, 1], a class index twice or out of range, or another size.
    """
    arrays = read_arrays(path)
    missing = {"maps", "classes", "size"} - arrays.keys()
    if missing:
        raise InvalidInput(f"{path}: not a CAM file (no array {', '.join(sorted(missing))}).", hint=HINT)
    maps, indices, stated = arrays["maps"], arrays["classes"], arrays["size"]
    shapes = maps.ndim == 3 and 0 not in maps.shape[1:] and indices.shape == maps.shape[:1] and stated.shape == (2,)
    kinds = (maps.dtype.kind, indices.dtype.kind in "iu", stated.dtype.kind in "iu")
    if not shapes or kinds != ("f", True, True):
        found = [f"{name} {array.dtype}{list(array.shape)}" for name, array in arrays.items()]
        raise InvalidInput(
            f"{path}: not a CAM file: expected floats maps[K, h, w] and integers classes[K] and size[2], got "
            f"{listing(found)}.",
            hint=HINT,
        )
    if size is not None and tuple(stated.tolist()) != tuple(size):
        raise InvalidInput(
            f"{path}: the maps are of an image of {stated[1]}×{stated[0]} pixels (width×height); the image has "
            f"{size[1]}×{size[0]}.",
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
        what = f"class {listing(wrong)}" if wrong else f"class {listing(twice)} twice"
        raise InvalidInput(
            f"{path}: maps of {what}; expected class indices 1 to {highest} of the dataset, each once.", hint=HINT
        )


def _require_upright(shape: tuple[int, ...], size: NDArray[np.integer], path: Path) -> None:
    """Refuse maps whose rows and columns are swapped: their sides fit the image's only the other way round.

    Maps of any other shape pass (square ones of a resized image, say).
    """
    height, width = (int(side) for side in size)
    if min(height, width) < 1:
        raise InvalidInput(f"{path}: size {height}, {width}: an image has at least one pixel.", hint=HINT)

    def fits(rows: int, columns: int) -> bool:
        return abs(rows * width - columns * height) <= height + width  # each side may be off by one element

    if not fits(*shape) and fits(*shape[::-1]):
        raise InvalidInput(
            f"{path}: maps of {shape[0]} rows and {shape[1]} columns for an image of {height} rows and {width} "
            "columns: rows and columns are swapped.",
            hint=HINT,
        )
