"""Tiles at other scales, and of images whose sides are reduced by less than a pixel: windows contain what is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wsss.io.rasters.working_size import bilinear_rows
from wsss.models.segmentation_networks.blockwise_prediction import probability_array
from wsss.models.segmentation_networks.inference import class_probabilities
from wsss.models.segmentation_networks.tiled_prediction import TiledImage
from wsss.models.windows.tile_windows import Tiling

CLASSES = 2


class Near(nn.Module):
    """A network with a receptive field of 5 × 5 pixels that is not symmetric."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(CLASSES, 3, 5, 5, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        return torch.conv2d(images.float() / 255 - 0.5, self.weight, padding=2)


@pytest.fixture(scope="module")
def network() -> Any:
    return Near().eval()


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(height).integers(0, 256, (height // 7 + 1, width // 7 + 1, 3), dtype=np.uint8)
    return np.asarray(coarse.repeat(7, 0).repeat(7, 1)[:height, :width])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("size", "tiling", "options"),
    [
        ((301, 437), Tiling(256, 64), {"scales": (1.0, 2.0)}),
        ((500, 400), Tiling(256, 64), {"scales": (0.5, 1.0, 2.0)}),
        ((500, 400), Tiling(128, 32), {"scales": (1.0, 1.5)}),
        ((1000, 400), Tiling(128, 32), {"max_side": 999}),
        ((400, 601), Tiling(128, 32), {"max_side": 600}),
    ],
)
def test_tiles_at_several_scales_equal_the_whole_image(
    network: Any, size: tuple[int, int], tiling: Tiling, options: dict[str, Any], flip: bool
) -> None:
    image = picture(*size)
    expected = class_probabilities(network, image[None], flip=flip, **options)[0].numpy()
    found = probability_array(network, image, CLASSES, tiling=tiling, flip=flip, **options)
    np.testing.assert_allclose(found, expected, atol=0.05)  # enlarged pixels differ by 1 of 255, rarely
    assert np.abs(found - expected).mean() < 1e-3


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(20, 900), st.integers(20, 900)),
    st.sampled_from([Tiling(64, 32), Tiling(96, 32), Tiling(128, 64), Tiling(256, 96)]),
    st.lists(st.floats(0.02, 3), min_size=1, max_size=3),
    st.one_of(st.none(), st.integers(16, 899)),
)
def test_windows_contain_their_parts(
    size: tuple[int, int], tiling: Tiling, scales: list[float], max_side: int | None
) -> None:
    image = np.zeros((*size, 3), np.uint8)
    tiled = TiledImage(Near(), image, scales=scales, flip=True, max_side=max_side, tiling=tiling)
    for axis, tiles in ((0, tiled.rows), (1, tiled.columns)):
        for view in (view for views in tiled._views for view in views):
            length, cores = view.size[axis], 0
            for tile in tiles:
                found = tiled._window(view, tile, axis)
                start, stop = found.window.start, found.window.stop
                assert 0 <= start < stop <= length and start % 32 == 0
                assert start <= found.core.start <= found.core.stop <= stop
                cores += found.core.stop - found.core.start
                upright = (length - stop, length - start) if axis == 1 and view.mirrored else (start, stop)
                above, below, _ = bilinear_rows(length, size[axis], tile.part)
                assert upright[0] <= above.min() and below.max() < upright[1]
            assert cores == length
