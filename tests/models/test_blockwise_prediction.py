"""Block-wise prediction of large images equals prediction of whole images."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wsss.errors import InvalidInput
from wsss.models.segmentation_networks import blockwise_prediction
from wsss.models.segmentation_networks.blockwise_prediction import needs_tiles, predict
from wsss.models.segmentation_networks.inference import class_probabilities, view_probabilities
from wsss.models.windows.tile_windows import Tiling

CLASSES = 4


class Colours(nn.Module):
    """A network with a receptive field of 15 × 15 pixels that records the sizes of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(CLASSES, 3, 15, 15, generator=generator) / 10)
        self.sizes: list[tuple[int, int]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append((images.shape[2], images.shape[3]))
        return F.conv2d(images.float() / 255 - 0.5, self.weight, padding=7)


def picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    coarse = rng.integers(0, 256, (height // 12 + 1, width // 12 + 1, 3), dtype=np.uint8)
    return coarse.repeat(12, 0).repeat(12, 1)[:height, :width]


@pytest.fixture
def network() -> Any:
    return Colours().eval()


def unblocked(network: Any, image: np.ndarray, **options: Any) -> np.ndarray:
    return class_probabilities(network, image[None], **options)[0].detach().numpy()


def test_small_images_are_predicted_as_a_whole(network: Any) -> None:
    images = np.stack([picture(60, 80), picture(60, 80)[::-1]])
    prediction = predict(network, images, CLASSES, scales=(1, 0.5), flip=True, max_side=70, probabilities=True)
    expected = class_probabilities(network, images, scales=(1, 0.5), flip=True, max_side=70)
    assert np.array_equal(prediction.masks, expected.argmax(1).numpy().astype(np.uint8))
    assert prediction.probabilities is not None
    assert np.array_equal(prediction.probabilities, expected.detach().numpy().astype(np.float16))
    assert predict(network, images, CLASSES).probabilities is None


@pytest.mark.parametrize(
    "options", [{"max_side": 90}, {"max_side": 90, "scales": (1, 0.5, 1.5), "flip": True}, {"scales": (1, 1.5, 0.5)}]
)
def test_bands_of_a_whole_image(network: Any, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(173, 240)
    expected = unblocked(network, image, **options)
    monkeypatch.setattr(blockwise_prediction, "MAX_PROBABILITIES", 1)
    network.sizes.clear()
    prediction = predict(network, image[None], CLASSES, probabilities=True, **options)
    assert len(network.sizes) == len(options.get("scales", (1,))) * (2 if "flip" in options else 1)
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities[0], expected, atol=2e-3)
    assert (prediction.masks[0] == expected.argmax(0)).mean() > 0.999


@pytest.mark.parametrize("options", [{"max_side": 30}, {"scales": (1, 1.5, 0.5), "flip": True}])
def test_memory_of_bands(network: Any, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views that together are larger than the image are added up one by one, and the sum is the same to the bit."""
    image, views = picture(73, 91), []
    chosen: dict[str, Any] = {"scales": (1.0,), "flip": False, "max_side": None} | options

    def weakly(*words: Any, **settings: Any) -> Iterator[Tensor]:
        for view in view_probabilities(*words, **settings):
            views.append(weakref.ref(view))
            yield view

    every = list(view_probabilities(network, image[None], **chosen))
    monkeypatch.setattr(blockwise_prediction, "view_probabilities", weakly)
    count = 0
    for block in blockwise_prediction._bands(network, image, chosen["scales"], chosen["flip"], chosen["max_side"]):
        assert sum(view() is not None for view in views) == (1 if "max_side" in options else 0)
        expected = sum(blockwise_prediction.upsampled(view, (73, 91), block.rows) for view in every)
        assert torch.equal(block.probabilities, expected / len(every))
        count += block.rows.stop - block.rows.start
    assert count == 73 and len(views) == len(every)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 40), st.integers(1, 40))
def test_upsampled_rows_equal_interpolate(height: int, width: int, small: int, narrow: int) -> None:
    probabilities = torch.rand(1, 3, small, narrow, generator=torch.Generator().manual_seed(height))
    expected = F.interpolate(probabilities, (height, width), mode="bilinear", align_corners=False)
    for start in range(0, height, 16):
        rows = slice(start, min(start + 16, height))
        upsampled = blockwise_prediction.upsampled(probabilities, (height, width), rows)
        torch.testing.assert_close(upsampled, expected[:, :, rows], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("options", "atol"), [({}, 1e-3), ({"scales": (0.5, 1.0), "flip": True}, 1e-3)])
def test_tiles_equal_the_whole_image(network: Any, options: Any, atol: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three eighths of the overlap are wider than the reach of the receptive field."""
    image = picture(304, 416)
    expected = unblocked(network, image, **options)
    network.sizes.clear()
    for name, value in (("MAX_PIXELS", 1000), ("TILING", Tiling(192, 64))):
        monkeypatch.setattr(blockwise_prediction, name, value)
    prediction = predict(network, image[None], CLASSES, probabilities=True, **options)
    assert len(network.sizes) > 4 and max(map(max, network.sizes)) < 192 + 2 * 32
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities[0], expected, atol=atol)
    assert (prediction.masks[0] == expected.argmax(0)).mean() > 0.995


def test_change_receives_the_slice_of_the_batch(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.stack([picture(70, 130), picture(70, 130)[:, ::-1]])
    for name, value in (("MAX_PIXELS", 1000), ("TILING", Tiling(64, 32))):
        monkeypatch.setattr(blockwise_prediction, name, value)

    def one_hot(probabilities: Tensor, which: slice) -> Tensor:
        changed = torch.zeros_like(probabilities)
        for row, number in enumerate(range(len(images))[which]):
            changed[row, 1 + number] = 1
        return changed

    masks = predict(network, images, CLASSES, change=one_hot).masks
    assert (masks[0] == 1).all() and (masks[1] == 2).all()


@pytest.mark.parametrize(
    ("size", "classes", "scales", "max_side", "tiles"),
    [
        ((512, 512), 2, (1.0,), None, False),
        ((2048, 1024), 19, (1.0,), None, False),
        ((4000, 6000), 2, (1.0,), None, True),
        ((4000, 6000), 21, (1.0,), 1024, False),
        ((375, 500), 21, (0.5, 1.0, 1.75), None, False),
        ((1500, 2000), 2, (1.0, 2.0), None, True),
        ((480, 640), 81, (0.5, 0.75, 1.0, 1.25, 1.5, 1.75), None, False),  # pipelines/coco2014.yaml
        ((2048, 2048), 64, (0.5,), None, False),
        ((2048, 2048), 65, (0.5,), None, True),
        ((2000, 2000), 300, (1.0,), None, True),
    ],
)
def test_needs_tiles(
    size: tuple[int, int], classes: int, scales: tuple[float, ...], max_side: int | None, tiles: bool
) -> None:
    assert needs_tiles(size, classes, scales, max_side) == tiles


def test_overflowing_networks_are_an_error() -> None:
    network = Colours()
    with torch.no_grad():
        network.weight.fill_(3e38)
    with pytest.raises(InvalidInput):
        predict(network, picture(20, 20)[None], CLASSES)  # type: ignore[arg-type]
