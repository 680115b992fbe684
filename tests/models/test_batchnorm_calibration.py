"""α-BN against a loop, and what it must not change."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from learning import random_segmenter
from numpy.typing import NDArray
from torch import nn

from wsss.errors import InvalidInput
from wsss.models.config import SegmenterConfig
from wsss.models.segmentation_networks.batchnorm_calibration import calibrate_batchnorm
from wsss.models.segmentation_networks.segmenters import build_segmenter, load_segmenter
from wsss.models.weights.folding import freeze_batchnorm


def small_network() -> nn.Sequential:
    """A convolution and a BatchNorm with statistics and parameters that differ in every channel."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
    norm = network[1]
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.randn(4))
        norm.running_var.copy_(torch.rand(4) + 0.1)
    return network.eval()


def loop(network: nn.Sequential, images: torch.Tensor, alpha: float) -> NDArray[np.float64]:
    """Normalise channel by channel of image by image, in double precision."""
    conv, norm = network
    features = conv(images).detach().double().numpy()
    weight, bias, mean, variance = (
        tensor.detach().double().numpy() for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    for image in features:
        for channel, values in enumerate(image):
            centre = alpha * mean[channel] + (1 - alpha) * values.mean()
            spread = alpha * variance[channel] + (1 - alpha) * ((values - values.mean()) ** 2).mean()
            values[:] = weight[channel] * (values - centre) / np.sqrt(spread + norm.eps) + bias[channel]
    return features


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equals_a_loop(alpha: float, frozen: bool) -> None:
    network, images = small_network(), torch.rand(2, 3, 7, 5)
    expected = loop(network, images, alpha)
    if frozen:
        freeze_batchnorm(network)
    calibrate_batchnorm(network, alpha)
    np.testing.assert_allclose(network(images).detach().numpy(), expected, rtol=0, atol=1e-5)


def test_the_statistics_of_the_image_remove_a_change_of_contrast() -> None:
    network, images = small_network(), torch.rand(1, 3, 16, 16) + 0.2
    plain = copy.deepcopy(network)
    calibrate_batchnorm(network, 0.0)
    torch.testing.assert_close(network(0.5 * images), network(images), rtol=0, atol=0.01)
    assert (plain(0.5 * images) - plain(images)).abs().max() > 0.1


def test_batchnorm_without_parameters() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3, affine=False)).eval()
    images = torch.rand(1, 3, 8, 8)
    calibrate_batchnorm(network, 0.0)
    assert network(images).mean((0, 2, 3)).abs().max() < 1e-5


def test_features_of_one_pixel_use_the_statistics_of_the_training() -> None:
    network, pixel = small_network(), torch.rand(2, 3, 1, 1)
    expected = network(pixel)
    calibrate_batchnorm(network, 0.0)
    torch.testing.assert_close(network(pixel), expected)


def test_a_whole_network_is_independent_of_the_batch(tmp_path: Path) -> None:
    network, _ = load_segmenter(random_segmenter(tmp_path))
    images = torch.randint(0, 255, (2, 3, 40, 48), dtype=torch.uint8)
    plain = network(images)
    unchanged = copy.deepcopy(network)
    calibrate_batchnorm(unchanged, 1.0)
    torch.testing.assert_close(unchanged(images), plain, rtol=1e-4, atol=1e-4)
    calibrate_batchnorm(network, 0.5)
    together = network(images)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    assert (together - plain).abs().max() > 1e-3


def test_networks_without_batchnorm_are_refused() -> None:
    config = SegmenterConfig.model_validate({"head": "dynunet", "unet": {"levels": 3, "filters": [4, 8, 8]}})
    with pytest.raises(InvalidInput) as error:
        calibrate_batchnorm(build_segmenter(config, 2), 0.5)
    assert error.value.subject == "predict.adapt_batchnorm"


def test_folded_weights_are_refused(tmp_path: Path) -> None:
    network, _ = load_segmenter(random_segmenter(tmp_path))
    for norm in network.backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            nn.init.ones_(norm.weight)
            nn.init.normal_(norm.bias)
    with pytest.raises(InvalidInput) as error:
        calibrate_batchnorm(network, 0.5)
    assert error.value.subject == "predict.adapt_batchnorm"
