"""Class maps in tiles equal those of the whole image, within the receptive field."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from wsss.models.attribution.class_scores import exceeds_tile
from wsss.models.attribution.multiscale_cam import class_maps
from wsss.models.classifier import CAMClassifier, build_classifier
from wsss.models.config import ClassifierConfig
from wsss.models.windows.tile_windows import Tiling

TILING = Tiling(96, 32)


@pytest.fixture(scope="module", params=["mean", "max"])
def model(request: pytest.FixtureRequest) -> CAMClassifier:
    """Two 3×3 convolutions at stride 2, which normalise by the statistics of the whole image."""
    torch.manual_seed(0)
    convnet = {"widths": [8, 8, 8], "wide": 2, "stride": 2}
    model = build_classifier(ClassifierConfig.model_validate({"convnet": convnet, "pooling": request.param}), 3).eval()
    torch.nn.init.normal_(model.head.weight)
    return model


def pictures(*shape: int) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    return np.asarray((images * np.linspace(0.3, 1, shape[-1])[:, None]).astype(np.uint8))  # tiles differ in statistics


@pytest.mark.parametrize("size", [(97, 131), (60, 260)])
@pytest.mark.parametrize(
    ("views", "atol"),
    [
        ({"scales": (1.0,), "flip": False}, 1e-5),
        ({"scales": (1.0, 0.6), "flip": True}, 1e-5),
        ({"scales": (1.0, 0.6), "flip": True, "clamp": lambda: [True, False]}, 1e-5),
        ({"scales": (1.0,), "flip": True, "max_side": 120}, 1e-5),
        ({"scales": (1.0, 1.7), "flip": False}, 0.02),  # enlarged pixels differ by 1 of 255, rarely
    ],
)
def test_tiles_equal_the_whole_image(
    model: CAMClassifier, size: tuple[int, int], views: dict[str, Any], atol: float
) -> None:
    images = pictures(2, *size)
    expected = class_maps(model, images, stride=4, **views)
    found = class_maps(model, images, stride=4, tiling=TILING, **views)
    assert_close(found.maps, expected.maps, atol=atol, rtol=1e-4)
    assert_close(found.probabilities, expected.probabilities, atol=1e-3 if atol > 1e-5 else 1e-5, rtol=0)
    assert expected.maps.std() > 0.4


def test_the_network_never_gets_more_than_a_tile(model: CAMClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[torch.Size] = []
    features = model.features
    monkeypatch.setattr(model, "features", lambda images: sizes.append(images.shape[2:]) or features(images))
    class_maps(model, pictures(1, 130, 150), scales=(1.0, 2.0), flip=True, stride=4, tiling=TILING)
    assert len(sizes) > 10 and max(max(size) for size in sizes) < TILING.tile + 32


@pytest.mark.parametrize(
    ("size", "scales", "max_side", "exceeds"),
    [
        ((96, 50), (1.0,), None, False),
        ((97, 50), (1.0,), None, True),
        ((60, 60), (2.0,), None, True),
        ((500, 900), (1.0,), 96, False),
        ((500, 900), (1.0, 1.5), 96, True),
    ],
)
def test_images_that_exceed_a_tile(
    size: tuple[int, int], scales: tuple[float, ...], max_side: int | None, exceeds: bool
) -> None:
    assert exceeds_tile(size, scales, max_side, TILING) == exceeds
    assert not exceeds_tile(size, scales, max_side, None)
