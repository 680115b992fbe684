"""Class probabilities of large images in overlapping tiles with blended seams, a block of pixels at a time.

Every scale and mirror image is computed on windows of its own, which start at multiples of the network's stride, so
that features are sampled at the same positions as in the whole image. Pixels that two tiles share get a weighted mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsss.io.rasters.working_size import bilinear_rows, reduction, scaled_size
from wsss.models.segmentation_networks.inference import require_finite
from wsss.models.segmentation_networks.seams import Block, Seams
from wsss.models.windows.scaled_crops import ScaledImage
from wsss.models.windows.tile_limits import tile_multiple
from wsss.models.windows.tile_windows import TileWindow, Tiling, tile_windows
from wsss.models.windows.view_windows import ViewWindows, pooling_calls

ROWS = 128
"""Maximum number of rows of a block."""


def network_factor(size: tuple[int, int], scales: Sequence[float], max_side: int | None) -> float:
    """Return the pixels of the network's input, at the largest scale, per pixel of an image (height, width)."""
    return reduction(size, max_side) * max(scales)


def fits_tile(size: tuple[int, int], scales: Sequence[float], max_side: int | None, tiling: Tiling) -> bool:
    """Return whether an image of a size (height, width) is a single tile, predicted as a whole."""
    return max(size) <= int(tiling.tile / network_factor(size, scales, max_side))


@dataclass(frozen=True)
class ScaledPart:
    """Probabilities for a part of a scaled image, summed over mirror images.

    Args:
        probabilities: ``(C, h, w)``.
        origin: row and column of its first element.
        size: height and width of the scaled image.
    """

    probabilities: Tensor
    origin: tuple[int, int]
    size: tuple[int, int]

    def at(self, rows: slice, columns: slice, size: tuple[int, int]) -> Tensor:
        """Return the probabilities ``(C, n, m)`` of pixels of the image.

        Args:
            size: height and width of the image, to which probabilities are resized (bilinear).
        """
        values = self.probabilities
        if size == self.size:
            top, left = self.origin
            return values[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left].clone()
        for axis, pixels in ((1, rows), (2, columns)):
            below, above, weight = bilinear_rows(self.size[axis - 1], size[axis - 1], pixels)
            first, second = (
                torch.from_numpy((each - self.origin[axis - 1]).clip(0, values.shape[axis] - 1)).to(values.device)
                for each in (below, above)
            )
            share = torch.from_numpy(weight).to(values.device).reshape(-1, *[1] * (2 - axis))
            values = torch.lerp(values.index_select(axis, first), values.index_select(axis, second), share)
        return values


class TiledImage:
    """The tiles of an image.

    Args:
        segmenter, image, scales, flip, max_side: see `wsss.models.segmentation_networks.inference.class_probabilities`.
    """

    def __init__(
        self,
        segmenter: nn.Module,
        image: NDArray[np.uint8],
        *,
        scales: Sequence[float],
        flip: bool,
        max_side: int | None,
        tiling: Tiling,
    ) -> None:
        self.size = (image.shape[0], image.shape[1])
        self._multiple = tile_multiple(segmenter)
        factor = network_factor(self.size, scales, max_side)
        self._tile, overlap = int(tiling.tile / factor), int(tiling.overlap / factor)
        self._aligned = factor == 1  # tiles of the image itself start at multiples of the stride
        multiple = self._multiple if self._aligned else 1
        self.rows, self.columns = (tile_windows(length, self._tile, overlap, multiple) for length in self.size)
        fit, mirrors = reduction(self.size, max_side), (False, True) if flip else (False,)
        self._views = [
            [ViewWindows(segmenter, segmenter, picture, mirrored=mirrored) for mirrored in mirrors]
            for picture in (ScaledImage(image, scaled_size(self.size, fit * scale)) for scale in scales)
        ]
        self._poolings = pooling_calls(segmenter, segmenter, 2 * self._multiple)

    @torch.no_grad()
    def blocks(self) -> Iterator[Block]:
        """Yield blocks of finished pixels, which cover the image once.

        Raises:
            InvalidInput: the network's logits are not finite.
        """
        for view in (view for views in self._views for view in views):
            window = partial(self._window, view)
            view.measure(self._poolings, ((window(rows, 0), window(columns, 1)) for rows, columns in self._tiles()))
        seams = Seams(self.size[1])
        for rows, columns in self._tiles():
            parts = [self._part(views, rows, columns) for views in self._views]
            seams.begin(rows, columns, parts[0].probabilities)
            for band in bands(rows):
                yield from seams.finish(band, self._mean(parts, band, columns.part))

    def _tiles(self) -> Iterator[tuple[TileWindow, TileWindow]]:
        """Yield rows and columns of every tile, row by row."""
        return ((rows, columns) for rows in self.rows for columns in self.columns)

    def _mean(self, parts: Sequence[ScaledPart], rows: slice, columns: slice) -> Tensor:
        """Return the mean over all scales and mirror images, ``(C, n, m)``."""
        total = parts[0].at(rows, columns, self.size)
        for part in parts[1:]:
            total += part.at(rows, columns, self.size)
        return total / sum(map(len, self._views))

    def _part(self, views: Sequence[ViewWindows], rows: TileWindow, columns: TileWindow) -> ScaledPart:
        """Return the probabilities of a tile at one scale, where all its mirror images have them."""
        down = self._window(views[0], rows, 0).window
        across = [self._window(view, columns, 1).window for view in views]
        width = views[0].size[1]
        upright = [
            slice(width - each.stop, width - each.start) if view.mirrored else each
            for view, each in zip(views, across, strict=True)
        ]
        left, right = max(each.start for each in upright), min(each.stop for each in upright)
        total: Tensor | None = None
        for view, window, columns_of in zip(views, across, upright, strict=True):
            logits = view(down, window)
            require_finite(logits, "logits")
            probabilities = logits.float().softmax(1)[0]
            probabilities = probabilities.flip(2) if view.mirrored else probabilities
            common = probabilities[:, :, left - columns_of.start : right - columns_of.start]
            total = common if total is None else total + common
        assert total is not None, "at least one view"
        return ScaledPart(total, (down.start, left), views[0].size)

    def _window(self, view: ViewWindows, tile: TileWindow, axis: int) -> TileWindow:
        """Return a tile along one axis in pixels of a view, starting at a multiple of the network's stride.

        It contains all pixels from which those of the tile's part are interpolated.
        """
        pixels, length = self.size[axis], view.size[axis]
        if tile.window == slice(0, pixels):
            whole = slice(0, length)
            return TileWindow(whole, whole, whole, (0, 0))
        mirrored = axis == 1 and view.mirrored
        window, core, part = tile.window, tile.core, source_pixels(length, pixels, tile.part)
        if mirrored:
            window, core = (slice(pixels - each.stop, pixels - each.start) for each in (window, core))
            part = slice(length - part.stop, length - part.start)
        scaled = slice(round(core.start * length / pixels), round(core.stop * length / pixels))
        first = min(window.start * length // pixels, part.start, scaled.start)
        start = first // self._multiple * self._multiple
        aligned = self._aligned and pixels == length and not mirrored
        count = self._tile if aligned else -(-self._tile * length // pixels) + self._multiple - 1
        count = -(-count // self._multiple) * self._multiple
        last = length if window.stop == pixels else max(start + count, part.stop, scaled.stop)
        return TileWindow(slice(start, min(length, last)), scaled, scaled, (0, 0))


def source_pixels(length: int, pixels: int, part: slice) -> slice:
    """Return the pixels of a scaled side from which a part of the image's side is interpolated.

    Args:
        length, pixels: pixels of the scaled side and of the image's.
        part: pixels of the image's side.
    """
    first, last = slice(part.start, part.start + 1), slice(part.stop - 1, part.stop)
    return slice(int(bilinear_rows(length, pixels, first)[0][0]), int(bilinear_rows(length, pixels, last)[1][0]) + 1)


def bands(rows: TileWindow) -> list[slice]:
    """Return the rows of a tile with a weight above 0 in bands that are either blended or not."""
    first, last = rows.part.start, rows.part.stop
    edges = {*range(first, last, ROWS), first + rows.ramps[0], last - rows.ramps[1], last}
    ordered = sorted(edges)
    return [slice(start, stop) for start, stop in pairwise(ordered)]
