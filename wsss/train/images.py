"""Decoded images in memory: decoding a JPEG takes as long as a tenth of a training step, and each comes every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss.io.images import read_image

CHUNK = 64


class Images:
    """Images by index; as many of the first as fit into memory are decoded once, the others each time.

    They are decoded before worker processes start, which then share them with their parent.

    Args:
        paths: the files.
        cache_bytes: upper bound of the decoded images kept.
        threads: that decode.

    Raises:
        InvalidInput: an image can't be read.
    """

    def __init__(self, paths: Sequence[Path], *, cache_bytes: int, threads: int = 2) -> None:
        self.paths = list(paths)
        self.kept: list[NDArray[np.uint8]] = []
        used = 0
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(self.paths), CHUNK):
                if used >= cache_bytes:
                    return
                for image in pool.map(read_image, self.paths[start : start + CHUNK]):
                    used += image.nbytes
                    if used > cache_bytes:
                        return
                    self.kept.append(image)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Return ``(H, W, 3)`` uint8 RGB."""
        return self.kept[index] if index < len(self.kept) else read_image(self.paths[index])
