from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from wsss.models.segmentation_networks.upsampling import to_pixels


def test_patches_are_upsampled_like_torch_does() -> None:
    maps = torch.rand(2, 3, 4, 5)
    expected = F.interpolate(maps, (64, 80), mode="bilinear", align_corners=False)
    torch.testing.assert_close(to_pixels(maps, (64, 80), stride=16, offset=7.5), expected)


@pytest.mark.parametrize("offset", [0.0, 3.0, 7.0])
def test_elements_keep_their_values_at_their_positions(offset: float) -> None:
    maps = torch.rand(1, 2, 5, 7)
    pixels = to_pixels(maps, (38, 51), stride=8, offset=offset)
    at = int(offset)
    torch.testing.assert_close(pixels[..., at::8, at::8], maps[..., : (37 - at) // 8 + 1, : (50 - at) // 8 + 1])
