"""Cache of decoded images: decoding a JPEG takes longer than augmenting it, and is needed every epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss.data.checks.inspection import UNREADABLE_HINT
from wsss.data.image_transforms.resizing import reduced
from wsss.errors import DamagedFile, InvalidInput, together
from wsss.io.rasters.pixel_values.reading import ImageSource
from wsss.io.rasters.rgb_images import read_image

MEASURED = 8
"""Minimum number of arrays to load, even if none is kept: the memory of worker processes depends on their size."""


class ArrayCache:
    """Arrays by index: the first ones, as many as fit, are kept in memory; others are loaded on every access.

    Arrays are loaded before worker processes start, which share them with their parent (on Linux).

    Args:
        load: index → array; called from several threads.
        cache_bytes: maximum size of the arrays kept.

    Attributes:
        largest: bytes of the largest array loaded initially: of all that are kept, and of the first few.

    Raises:
        InvalidInput: ``load`` raised it.
    """

    def __init__(self, load: Callable[[int], NDArray[Any]], count: int, *, cache_bytes: int, threads: int = 2) -> None:
        self.load, self.count = load, count
        self.kept: list[NDArray[Any]] = []
        self.largest = 0
        used, loaded, following = 0, 0, iter(range(count))
        ahead: deque[Future[NDArray[Any]]] = deque()  # few: a large photograph takes 100 MB
        with ThreadPoolExecutor(threads) as pool:
            while used < cache_bytes or loaded < MEASURED:
                ahead += (pool.submit(load, index) for index in islice(following, 2 * threads - len(ahead)))
                if not ahead:
                    return
                try:
                    array = ahead.popleft().result()
                except DamagedFile:
                    raise
                except InvalidInput as error:
                    raise self._all_errors(loaded, error) from error
                loaded += 1
                used += array.nbytes
                self.largest = max(self.largest, array.nbytes)
                if used <= cache_bytes:
                    self.kept.append(array)
            for future in ahead:
                future.cancel()

    def _all_errors(self, first: int, error: InvalidInput) -> InvalidInput:
        """Return one error for all arrays from ``first`` on that cannot be loaded."""
        errors = [error]
        for index in range(first + 1, self.count):
            try:
                self.load(index)
            except InvalidInput as another:
                errors.append(another)
        return together(errors, self.count, "training images cannot be used", hint=UNREADABLE_HINT)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Return one array; it is shared and must not be modified."""
        return self.kept[index] if index < len(self.kept) else self.load(index)


class ImageLoader:
    """Loads images ``(H, W, 3)`` uint8 RGB by index, downscaled to a longer side of ``max_side`` pixels."""

    def __init__(self, sources: Sequence[ImageSource], max_side: int | None = None) -> None:
        self.sources, self.max_side = list(sources), max_side

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Return one image."""
        return reduced(read_image(*self.sources[index]), self.max_side)


def cached_images(sources: Sequence[ImageSource], *, cache_bytes: int, max_side: int | None = None) -> ArrayCache:
    """Return images ``(H, W, 3)`` uint8 RGB by index.

    Args:
        cache_bytes: see `ArrayCache`.
        max_side: maximum side length in pixels; larger images are downscaled.
    """
    return ArrayCache(ImageLoader(sources, max_side), len(sources), cache_bytes=cache_bytes)
