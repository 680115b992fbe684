"""Decoded images in memory: decoding a JPEG takes longer than augmenting it, and each comes again every epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss.io.images import read_image


class Cached:
    """Arrays by index; as many of the first as fit into memory are loaded once, the others each time.

    They are loaded before worker processes start, which then share them with their parent (on Linux).

    Args:
        load: index → array; called by several threads.
        count: how many there are.
        cache_bytes: upper bound of the arrays kept.
        threads: that load.

    Raises:
        InvalidInput: ``load`` raised it.
    """

    def __init__(self, load: Callable[[int], NDArray[Any]], count: int, *, cache_bytes: int, threads: int = 2) -> None:
        self.load, self.count = load, count
        self.kept: list[NDArray[Any]] = []
        used, following = 0, iter(range(count))
        ahead: deque[Future[NDArray[Any]]] = deque()  # few: a large photograph takes 100 MB
        with ThreadPoolExecutor(threads) as pool:
            while used < cache_bytes:
                ahead += (pool.submit(load, index) for index in islice(following, 2 * threads - len(ahead)))
                if not ahead:
                    return
                array = ahead.popleft().result()
                used += array.nbytes
                if used <= cache_bytes:
                    self.kept.append(array)
            for one in ahead:
                one.cancel()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Return one array; it is shared, so don't write to it."""
        return self.kept[index] if index < len(self.kept) else self.load(index)


class ImageLoader:
    """Load images ``(H, W, 3)`` uint8 RGB by index."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """Return one image."""
        return read_image(self.paths[index])


def cached_images(paths: Sequence[Path], *, cache_bytes: int) -> Cached:
    """Return images ``(H, W, 3)`` uint8 RGB by index, kept in memory as far as they fit."""
    return Cached(ImageLoader(paths), len(paths), cache_bytes=cache_bytes)
