"""Logits of segmentation networks have the same positions as in training, even if the stride does not divide a side."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from wsss.models.config import SegmenterConfig
from wsss.models.segmentation_networks.segmenters import Segmenter, build_segmenter

HEADS = ("deeplabv3", "lraspp")


@pytest.fixture(scope="module", params=HEADS)
def network(request: pytest.FixtureRequest) -> Segmenter:
    torch.manual_seed(0)
    config = SegmenterConfig.model_validate({"head": request.param, "backbone": {"weights": "none"}})
    built = build_segmenter(config, 3).eval()
    assert isinstance(built, Segmenter)
    return built


def image(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (1, 3, height, width), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.mark.parametrize("size", [(50, 70), (33, 95), (64, 81)])
def test_logits_are_those_of_the_image_padded_to_whole_strides(network: Segmenter, size: tuple[int, int]) -> None:
    pixels = image(*size)
    repeats = [side + (-side) % 16 for side in size]
    rows, columns = (torch.arange(count).clamp(max=side - 1) for count, side in zip(repeats, size, strict=True))
    whole = pixels[:, :, rows][:, :, :, columns]
    with torch.no_grad():
        logits, expected = network(pixels), network(whole)
    assert logits.shape[2:] == size
    assert torch.equal(logits, expected[:, :, : size[0], : size[1]])


class Columns(nn.Module):
    """A head whose logits are the columns of its features: a ramp at whole strides."""

    def forward(self, features: list[Tensor] | Tensor) -> Tensor:
        coarse = features[-1] if isinstance(features, list | tuple) else features
        ramp = torch.arange(coarse.shape[3], dtype=torch.float32)
        return ramp.expand(1, 3, coarse.shape[2], coarse.shape[3])


@pytest.mark.parametrize("width", [241, 250, 255, 256])
def test_pixels_have_the_same_features_at_all_sizes(width: int) -> None:
    config = SegmenterConfig.model_validate({"head": "deeplabv3", "backbone": {"weights": "none"}})
    network = build_segmenter(config, 3).eval()
    assert isinstance(network, Segmenter)
    network.head = Columns()
    stride = network.backbone.output_stride
    with torch.no_grad():
        logits = network(image(64, width))[0, 0, 0]
    expected = ((torch.arange(width) + 0.5) / stride - 0.5).clamp(0, -(-width // stride) - 1)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
