"""Frozen BatchNorm folded once for all forward passes: the same bytes, and no more operations on weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from wsss.models.backbones import Backbone, build_architecture
from wsss.models.segmentation_networks.batchnorm_calibration import calibrate_batchnorm
from wsss.models.weights.folding import FoldedConv2d, fold_for_inference, freeze_batchnorm


def frozen(name: str) -> Backbone:
    torch.manual_seed(0)
    backbone = Backbone(build_architecture(name), output_stride=16, last=False)
    for norm in backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-1, 1), norm.running_var.uniform_(0.5, 2), norm.weight.data.uniform_(0.5, 2)
    freeze_batchnorm(backbone)
    return backbone.eval().to(memory_format=torch.channels_last)


def operators(call: Callable[[], Any]) -> list[str]:
    names: list[str] = []

    class Recorded(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names.append(function.overloadpacket.__name__)
            return function(*args, **(kwargs or {}))

    with Recorded():
        call()
    return names


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_folding_once_changes_no_byte(name: str) -> None:
    backbone, images = frozen(name), torch.randn(2, 3, 48, 40).to(memory_format=torch.channels_last)
    low: Tensor = backbone.low(images).detach().requires_grad_()

    def results() -> list[Tensor]:
        features = backbone.features(images)
        (gradient,) = torch.autograd.grad(backbone.high(low).sum(), low)
        return [*(each.detach() for each in features), gradient]

    before = results()
    with torch.no_grad():
        assert "rsqrt" in operators(lambda: backbone(images))
        fold_for_inference(backbone)
        fold_for_inference(backbone)  # nothing is folded twice
        assert not {"rsqrt", "sub"} & set(operators(lambda: backbone(images)))
    for first, second in zip(before, results(), strict=True):
        assert torch.equal(first, second)
    assert not any(layer.weight.requires_grad for layer in backbone.modules() if isinstance(layer, FoldedConv2d))


def test_a_norm_that_another_layer_applies_is_not_folded() -> None:
    backbone, images = frozen("mobilenet_v2"), torch.randn(1, 3, 32, 32)
    calibrate_batchnorm(backbone, 0.5)
    with torch.no_grad():
        before = backbone(images).high
        fold_for_inference(backbone)
        assert torch.equal(before, backbone(images).high)
