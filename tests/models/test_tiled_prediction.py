"""Prediction in tiles with blended seams equals prediction of the whole image, within the receptive field."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wsss.data.image_transforms.resizing import resize
from wsss.errors import InvalidInput
from wsss.models.backbones import OwnStatistics
from wsss.models.config import SegmenterConfig
from wsss.models.padding import padded
from wsss.models.segmentation_networks import blockwise_prediction
from wsss.models.segmentation_networks.blockwise_prediction import predict, probability_array
from wsss.models.segmentation_networks.inference import class_probabilities
from wsss.models.segmentation_networks.segmenters import build_segmenter
from wsss.models.segmentation_networks.tiled_prediction import TiledImage
from wsss.models.windows.scaled_crops import ScaledImage
from wsss.models.windows.tile_limits import approximations, tiling_of
from wsss.models.windows.tile_windows import Tiling, tile_windows
from wsss.models.windows.view_windows import pooling_calls

CLASSES = 3


class Pooled(nn.Module):
    """A network of stride 16 with all that depends on the whole image, and a receptive field of 31 pixels.

    Like LR-ASPP, it weights its features by their global mean, resizes them to those of stride 8, and these to the
    padded image; like `wsss.models.segmentation_networks.unet.UNet`, it normalises by the image's own statistics.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.normalise = OwnStatistics()
        channels = (3, 6, 6, 6, 6)
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(channels)
        )
        self.pool, self.scale = nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 6, 1)
        self.low, self.high = nn.Conv2d(6, CLASSES, 1), nn.Conv2d(6, CLASSES, 1)
        self.sizes: list[tuple[int, int]] = []
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(3)

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append((images.shape[2], images.shape[3]))
        pixels = low = x = padded(self.normalise(images), 16)
        for layer in self.layers:
            low, x = x, layer(x).relu()
        x = x * self.scale(self.pool(x)).sigmoid()
        x = F.interpolate(x, size=low.shape[-2:], mode="bilinear", align_corners=False)
        logits = self.low(low) + self.high(x)
        enlarged = F.interpolate(logits, pixels.shape[-2:], mode="bilinear", align_corners=False)
        return enlarged[..., : images.shape[2], : images.shape[3]]


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(height).integers(0, 256, (height // 9 + 1, width // 9 + 1, 3), dtype=np.uint8)
    image = coarse.repeat(9, 0).repeat(9, 1)[:height, :width]
    return np.asarray((image * np.linspace(0.3, 1, width)[:, None]).astype(np.uint8))  # no tile is like the whole image


@pytest.fixture(scope="module")
def network() -> Any:
    return Pooled().eval()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.sampled_from([1, 32, 128]), st.integers(2, 20), st.integers(1, 10))
def test_weights_of_tiles_sum_to_one(length: int, multiple: int, count: int, part: int) -> None:
    factor = 40 if multiple == 1 else 1
    tile = multiple * factor * count
    overlap = multiple * max(1, min(part, count // 2)) * factor
    total, cores = np.zeros(length), np.zeros(length, int)
    tiles = tile_windows(length, tile, overlap, multiple)
    for each in tiles:
        total[each.part] += each.weights()
        cores[each.core] += 1
        assert each.window.start % multiple == 0
        assert each.window.start <= each.part.start <= each.core.start <= each.core.stop <= each.part.stop
        assert each.part.stop <= each.window.stop < each.window.start + tile + multiple
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert (cores == 1).all()
    for before, after in pairwise(tiles):
        assert before.window.stop - after.window.start >= overlap
        # Pixels near the border of a tile have no weight.
        assert before.window.stop - before.part.stop >= overlap * 3 // 8
        assert after.part.start - after.window.start >= overlap * 3 // 8


@pytest.mark.parametrize("size", [(333, 437), (192, 700), (513, 195)])
@pytest.mark.parametrize(
    ("options", "atol"),
    [
        ({}, 1e-4),
        ({"scales": (1.0, 0.7), "flip": True}, 1e-4),
        ({"scales": (1.5,)}, 0.05),  # enlarged pixels differ by 1 of 255, rarely
        ({"max_side": 400}, 1e-4),
    ],
)
def test_tiles_equal_the_whole_image(network: Any, size: tuple[int, int], options: dict[str, Any], atol: float) -> None:
    """Three eighths of the overlap exceed the reach of the receptive field and of interpolation between features."""
    image, tiling = picture(*size), Tiling(320, 160)
    expected = class_probabilities(network, image[None], **options)[0].numpy()
    network.sizes.clear()
    found = probability_array(network, image, CLASSES, tiling=tiling, **options)
    assert len(network.sizes) > 4 and max(map(max, network.sizes)) < 320 + 2 * 32
    np.testing.assert_allclose(found, expected, atol=atol)
    assert np.abs(found - expected).mean() < 0.02 * atol + 1e-5
    prediction = predict(network, image[None], CLASSES, tiling=tiling, probabilities=True, **options)
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities[0], found, atol=1e-3)
    assert (prediction.masks[0] == found.argmax(0)).all()


def test_a_crop_alone_differs_from_the_whole_image(network: Any) -> None:
    """The network of `test_tiles_equal_the_whole_image` does depend on the whole image."""
    image = picture(301, 437)
    whole = class_probabilities(network, image[None])[0, :, 64:192, 64:192]
    crop = class_probabilities(network, np.ascontiguousarray(image[32:256, 32:256])[None])[0, :, 32:160, 32:160]
    assert (whole - crop).abs().mean() > 0.01


def test_an_image_of_one_tile_is_predicted_as_a_whole(network: Any) -> None:
    image = picture(90, 128)
    network.sizes.clear()
    masks = predict(network, image[None], CLASSES, tiling=Tiling(128, 64)).masks
    assert network.sizes == [(90, 128)]
    assert np.array_equal(masks, predict(network, image[None], CLASSES).masks)


def test_blocks_are_bounded_by_the_tile(network: Any) -> None:
    """Each pixel is yielded once, in blocks that are never larger than a tile."""
    image = picture(150, 900)
    options: dict[str, Any] = {"scales": (1.0,), "flip": False, "max_side": None}
    seen = np.zeros((150, 900), int)
    for block in TiledImage(network, image, tiling=Tiling(128, 64), **options).blocks():
        assert block.probabilities.shape[3] <= 128 and block.probabilities.shape[2] <= 128
        assert block.probabilities.shape[2:] == seen[block.rows, block.columns].shape
        seen[block.rows, block.columns] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("size", [(50, 70), (199, 301), (150, 141)])
def test_crops_of_a_scaled_image(size: tuple[int, int]) -> None:
    image = picture(100, 140)
    scaled, whole = ScaledImage(image, size), resize(image, size)
    rows, columns = slice(7, 43), slice(12, 61)
    difference = scaled.crop(rows, columns).astype(int) - whole[rows, columns]
    assert scaled.crop(rows, columns).flags.c_contiguous and abs(difference).max() <= 1
    pixels = whole.reshape(-1, 3) / 255
    np.testing.assert_allclose(scaled.statistics, np.stack([pixels.mean(0), pixels.std(0)]), atol=1e-3)


def test_tiles_fit_the_stride_of_the_network() -> None:
    unet = nn.Sequential(nn.Conv2d(3, 2, 3), nn.InstanceNorm2d(2))
    unet.stride = 128  # type: ignore[assignment]
    assert tiling_of(unet, 512, 256) == Tiling(512, 256) and tiling_of(unet, 512, None) == Tiling(512, 256)
    for tile, overlap, subject in (
        (320, None, "predict.tile"),
        (512, 96, "predict.overlap"),
        (128, None, "predict.tile"),
    ):
        with pytest.raises(InvalidInput) as error:
            tiling_of(unet, tile, overlap, subject="predict.")
        assert error.value.subject == subject
    assert tiling_of(unet, None, None) is None
    assert approximations(unet, 0) == ["instance or group normalisation"]


@pytest.mark.parametrize(
    ("backbone", "head", "poolings"),
    [("mobilenet_v2", "lraspp", 1), ("resnet18", "deeplabv3", 1), ("mobilenet_v3_large", "lraspp", 9)],
)
def test_global_poolings_are_counted(backbone: str, head: str, poolings: int) -> None:
    config = {"backbone": {"name": backbone, "weights": "none"}, "head": head}
    network = build_segmenter(SegmenterConfig.model_validate(config), 2).eval()
    assert pooling_calls(network, network, 64) == poolings
    assert approximations(network, poolings) == ([f"{poolings} global poolings"] if poolings > 1 else [])


def test_probabilities_of_large_images_are_refused(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(40, 50)
    monkeypatch.setattr(blockwise_prediction, "MAX_KEPT", 2 * CLASSES * 40 * 50)
    predict(network, image[None], CLASSES, probabilities=True)
    for call in (
        lambda: predict(network, picture(40, 51)[None], CLASSES, probabilities=True),
        lambda: probability_array(network, image, CLASSES),
    ):
        with pytest.raises(InvalidInput) as error:
            call()
        assert "12,000 bytes" in str(error.value.allowed)
