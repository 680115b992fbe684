"""A network on windows of one view of an image: scaled, and perhaps mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from wsss.models.backbones import whole_image_statistics
from wsss.models.windows.scaled_crops import ScaledImage
from wsss.models.windows.tile_windows import TileWindow
from wsss.models.windows.whole_image import Measured, PooledMeans, Side, WholeImage


class ViewWindows:
    """Computes windows of a view so that the results equal those of the whole view.

    Args:
        network: the network; images are moved to its device.
        compute: images ``(1, 3, h, w)`` uint8 → output of the network.
        image: the image at the scale of the view.
        mirrored: whether the view is its mirror image. Windows are given in pixels of the view.
    """

    def __init__(
        self, network: nn.Module, compute: Callable[[Tensor], Tensor], image: ScaledImage, *, mirrored: bool
    ) -> None:
        self.size, self.mirrored = image.size, mirrored
        self._network, self._compute, self._image = network, compute, image
        self._device = next(network.parameters()).device
        self._means: PooledMeans | None = None

    def measure(self, calls: int, windows: Iterable[tuple[TileWindow, TileWindow]]) -> None:
        """Compute the means of all global poolings over the view, with those of the windows as an approximation.

        With a single global pooling, the result is that of the whole view.

        Args:
            calls: number of global poolings in a forward pass; see `pooling_calls`.
            windows: rows and columns of windows whose cores cover the view once.
        """
        if not calls:
            return
        measured = PooledMeans(calls)
        for rows, columns in windows:
            sides = tuple(
                Side(each.window.start, each.window.stop, length, each.core)
                for each, length in zip((rows, columns), self.size, strict=True)
            )
            try:
                self._run((sides[0], sides[1]), measured=measured)
            except Measured:
                continue
        self._means = measured

    def __call__(self, rows: slice, columns: slice) -> Tensor:
        """Return the output for a window, which starts at a multiple of the network's stride."""
        sides = [
            Side(each.start, each.stop, length, each) for each, length in zip((rows, columns), self.size, strict=True)
        ]
        return self._run((sides[0], sides[1]))

    def _run(self, sides: tuple[Side, Side], measured: PooledMeans | None = None) -> Tensor:
        mode = WholeImage(sides, means=self._means, measured=measured)
        with own_statistics(self._image), mode:
            return self._compute(self._pixels(*sides))

    def _pixels(self, rows: Side, columns: Side) -> Tensor:
        """Return a window ``(1, 3, h, w)`` uint8, channels last in memory."""
        left, right = columns.start, columns.stop
        if self.mirrored:
            left, right = columns.length - right, columns.length - left
        crop = self._image.crop(slice(rows.start, rows.stop), slice(left, right))
        crop = np.ascontiguousarray(crop[:, ::-1]) if self.mirrored else crop
        return torch.from_numpy(crop).to(self._device)[None].permute(0, 3, 1, 2)


@torch.no_grad()
def pooling_calls(network: nn.Module, compute: Callable[[Tensor], Tensor], side: int) -> int:
    """Return the number of global poolings in a forward pass.

    Args:
        network, compute: see `ViewWindows`.
        side: of the square black image that is computed.
    """
    whole = Side(0, side, side, slice(0, side))
    device = next(network.parameters()).device
    with WholeImage((whole, whole)) as mode:
        compute(torch.zeros(1, 3, side, side, dtype=torch.uint8, device=device))
    return mode.calls


@contextmanager
def own_statistics(image: ScaledImage) -> Iterator[None]:
    """Within the block, networks of this thread that normalise by image statistics use those of the whole image."""
    token = whole_image_statistics.set(torch.from_numpy(image.statistics)[None])
    try:
        yield
    finally:
        whole_image_statistics.reset(token)
