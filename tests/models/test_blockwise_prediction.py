"""Large images in blocks of pixels: the same masks as of whole images, in less memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wsss.errors import InvalidInput
from wsss.models import blockwise_prediction
from wsss.models.blockwise_prediction import needs_tiles, predict
from wsss.models.inference import class_probabilities

CLASSES = 4


class Colours(nn.Module):
    """A "network" that sees 15 × 15 pixels: scores of a pixel by the colours around it, and where it got them."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(CLASSES, 3, 15, 15, generator=generator) / 10)
        self.seen: list[tuple[int, int]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((images.shape[2], images.shape[3]))
        return F.conv2d(images.float() / 255 - 0.5, self.weight, padding=7)


def picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    coarse = rng.integers(0, 256, (height // 12 + 1, width // 12 + 1, 3), dtype=np.uint8)
    return coarse.repeat(12, 0).repeat(12, 1)[:height, :width]


@pytest.fixture
def network() -> Any:
    return Colours().eval()


def whole(network: Any, image: np.ndarray, **options: Any) -> np.ndarray:
    return class_probabilities(network, image[None], **options)[0].detach().numpy()


def test_usual_images_are_predicted_at_once_as_ever(network: Any) -> None:
    images = np.stack([picture(60, 80), picture(60, 80)[::-1]])
    found = predict(network, images, CLASSES, scales=(1, 0.5), flip=True, max_side=70, probabilities=True)
    expected = class_probabilities(network, images, scales=(1, 0.5), flip=True, max_side=70)
    assert np.array_equal(found.masks, expected.argmax(1).numpy().astype(np.uint8))
    assert found.probabilities is not None
    assert np.array_equal(found.probabilities, expected.detach().numpy().astype(np.float16))
    assert predict(network, images, CLASSES).probabilities is None


@pytest.mark.parametrize("options", [{}, {"scales": (1, 0.5, 1.5), "flip": True}])
def test_a_reduced_image_some_rows_at_a_time(network: Any, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(173, 240)
    expected = whole(network, image, max_side=90, **options)
    monkeypatch.setattr(blockwise_prediction, "LARGEST", 1)
    found = predict(network, image[None], CLASSES, max_side=90, probabilities=True, **options)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities[0], expected, atol=2e-3)
    assert (found.masks[0] == expected.argmax(0)).mean() > 0.999


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 40), st.integers(1, 40))
def test_rows_are_enlarged_as_by_interpolate(height: int, width: int, small: int, narrow: int) -> None:
    probabilities = torch.rand(1, 3, small, narrow, generator=torch.Generator().manual_seed(height))
    expected = F.interpolate(probabilities, (height, width), mode="bilinear", align_corners=False)
    for start in range(0, height, 16):
        rows = slice(start, min(start + 16, height))
        found = blockwise_prediction._enlarged(probabilities, (height, width), rows)
        torch.testing.assert_close(found, expected[:, :, rows], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"scales": (0.5, 2.0), "flip": True}])
def test_tiles_give_what_the_whole_image_gives(network: Any, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a margin wider than what the network sees there is no trace of the tiles."""
    image = picture(304, 416)
    expected = whole(network, image, **options)
    network.seen.clear()
    for name, value in (("WHOLE", 1000), ("TILE", 96), ("MARGIN", 64)):
        monkeypatch.setattr(blockwise_prediction, name, value)
    found = predict(network, image[None], CLASSES, probabilities=True, **options)
    assert len(network.seen) > 10 and max(map(max, network.seen)) <= 96 + 32 + 2 * 64
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities[0], expected, atol=5e-3)
    assert (found.masks[0] == expected.argmax(0)).mean() > 0.995


def test_each_image_of_a_batch_of_large_ones_is_changed_by_its_own_rule(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.stack([picture(70, 90), picture(70, 90)[:, ::-1]])
    monkeypatch.setattr(blockwise_prediction, "WHOLE", 1000)

    def only(found: Tensor, which: slice) -> Tensor:
        kept = torch.zeros_like(found)
        for row, number in enumerate(range(len(images))[which]):
            kept[row, 1 + number] = 1
        return kept

    masks = predict(network, images, CLASSES, change=only).masks
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
        ((2048, 2048), 21, (0.5,), None, True),
        ((2000, 2000), 300, (1.0,), None, True),
    ],
)
def test_which_images_need_tiles(
    size: tuple[int, int], classes: int, scales: tuple[float, ...], max_side: int | None, tiles: bool
) -> None:
    assert needs_tiles(size, classes, scales, max_side) == tiles


@given(st.integers(1, 5000), st.integers(1, 30), st.integers(0, 200))
def test_parts_cover_a_length_once_and_see_their_margin(length: int, steps: int, margin: int) -> None:
    side, margin = 32 * steps, margin // 32 * 32
    parts = list(blockwise_prediction._parts(length, side, margin))
    assert [place for part, _ in parts for place in range(part.start, part.stop)] == list(range(length))
    for part, seen in parts:
        assert part.start % 32 == 0 and part.stop - part.start <= side
        assert 0 <= seen.start <= max(0, part.start - margin) and min(length, part.stop + margin) <= seen.stop <= length
        assert seen.stop - seen.start < side + 2 * margin + 32
    assert len({seen.stop - seen.start for _, seen in parts}) <= 2


def test_a_network_that_overflows_is_refused_rather_than_background_everywhere() -> None:
    network = Colours()
    with torch.no_grad():
        network.weight.fill_(3e38)
    with pytest.raises(InvalidInput, match="logits aren't finite"):
        predict(network, picture(20, 20)[None], CLASSES)  # type: ignore[arg-type]
