"""The same on a CPU and on another device: maps, masks, losses, gradients; in single precision, without TF32.

The difference of a map, of probabilities and of a gradient is the largest absolute one over the largest absolute value
of the CPU's. Betti matching, TopoLoss, warping and TOPO choose single pixels, which rounding may move to a neighbour;
the difference of their gradients is the share of pixels that differ by more than the tolerance of other losses.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from gpu_setting import CLASSES, Setting, classifier, masks, photographs
from torch import Tensor, nn

from wsss.losses import build
from wsss.models.attribution.config import LayerCamConfig
from wsss.models.attribution.maps import attribution_maps
from wsss.models.attribution.multiscale_cam import class_maps
from wsss.models.config import SegmenterConfig
from wsss.models.segmentation_networks.blockwise_prediction import predict
from wsss.models.segmentation_networks.segmenters import build_segmenter
from wsss.train.config import DeepSupervisionConfig
from wsss.train.tasks.classification import multilabel_loss
from wsss.train.tasks.segmentation import mask_loss

NETWORK, LOSS, CHOSEN = 1e-3, 1e-4, 1e-3
"""Tolerance of results of networks, of losses and their gradients, and of the share of pixels chosen differently."""

LOSSES = (
    *("ce", "dice", "ce_dice", "cldice", "skeleton_recall", "cbdice", "region_wise"),
    *("symmetric_ce", "bootstrap", "label_distribution", "betti_matching", "topoloss", "warping", "topo"),
)
CHOOSING = {"betti_matching", "topoloss", "warping", "topo"}
"""Losses that choose single pixels."""

T = TypeVar("T", Tensor, nn.Module)


@dataclass(frozen=True)
class Comparison:
    """A difference between devices, and its tolerance."""

    what: str
    difference: float
    tolerance: float

    @property
    def equal(self) -> bool:
        """Whether the difference is within the tolerance; NaN is not."""
        return self.difference <= self.tolerance

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of a table."""
        return self.what, f"{self.difference:.1e}", f"{self.tolerance:.0e}", "yes" if self.equal else "**no**"


def moved(value: T, device: torch.device) -> T:
    """Return a copy of a tensor or a module on a device."""
    if isinstance(value, nn.Module):
        return copy.deepcopy(value).to(device)
    return value.detach().to(device, copy=True)


def relative(here: Tensor, there: Tensor) -> float:
    """Return the largest difference over the largest value; NaN if there is NaN or nothing but zeros."""
    return float((here - there.cpu()).abs().max() / here.abs().max())


@contextmanager
def single_precision() -> Iterator[None]:
    """Compute in single precision; by default, convolutions of some GPUs round their inputs to TF32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def compared(setting: Setting) -> Iterator[Comparison]:
    """Compare maps, masks, losses with their gradients, and training steps on the device with those on the CPU."""
    with single_precision():
        yield from _maps(setting)
        yield from _masks(setting)
        yield from _losses(setting)
        yield from _steps(setting)


def _maps(setting: Setting) -> Iterator[Comparison]:
    model, images = classifier(setting).eval(), photographs(2, setting.sized((120, 160), (40, 48)))
    there = moved(model, setting.device)
    views: dict[str, Any] = {"scales": (1.0, 0.5), "flip": True, "stride": 4}
    yield Comparison(
        "maps: cam", relative(class_maps(model, images, **views).maps, class_maps(there, images, **views).maps), NETWORK
    )
    selected = torch.zeros(2, CLASSES, dtype=torch.bool)
    selected[0, :2] = selected[1, 3] = True
    method = LayerCamConfig(name="layercam")
    maps = [attribution_maps(each, images, selected, method, **views) for each in (model, there)]
    yield Comparison("maps: layercam", relative(*maps), NETWORK)


def _masks(setting: Setting) -> Iterator[Comparison]:
    torch.manual_seed(0)
    config = SegmenterConfig.model_validate({"backbone": setting.trunk, "head": "lraspp"})
    model, images = build_segmenter(config, CLASSES + 1).eval(), photographs(2, setting.sized((120, 160), (40, 48)))
    here, there = (
        predict(each, images, CLASSES + 1, scales=(1.0, 1.5), flip=True, probabilities=True)
        for each in (model, moved(model, setting.device))
    )
    assert here.probabilities is not None and there.probabilities is not None
    probabilities = (torch.from_numpy(each.probabilities).float() for each in (here, there))
    yield Comparison("predict: probabilities", relative(*probabilities), NETWORK)
    yield Comparison("predict: share of mask pixels", float((here.masks != there.masks).mean()), CHOSEN)


def _losses(setting: Setting) -> Iterator[Comparison]:
    size = setting.sized((96, 96), (24, 24))
    for channels in (2, 4):
        torch.manual_seed(channels)
        logits, target = torch.randn(2, channels, *size), torch.from_numpy(masks(2, size, channels)).long()
        for name in LOSSES:
            values, gradients = [], []
            for device in (torch.device("cpu"), setting.device):
                prediction = moved(logits, device).requires_grad_()
                value = build(name)(prediction, target.to(device))
                value.backward()
                assert prediction.grad is not None
                values.append(value.detach().cpu())
                gradients.append(prediction.grad.cpu())
            yield Comparison(f"{name}, {channels} classes: value", relative(*values), LOSS)
            yield _gradient(f"{name}, {channels} classes: gradient", *gradients, choosing=name in CHOOSING)


def _gradient(what: str, here: Tensor, there: Tensor, *, choosing: bool) -> Comparison:
    if not choosing:
        return Comparison(what, relative(here, there), LOSS)
    wrong = ~((here - there).abs() <= LOSS * here.abs().max())  # also true for NaN
    return Comparison(f"{what}, share of pixels", float(wrong.float().mean()), CHOSEN)


def _steps(setting: Setting) -> Iterator[Comparison]:
    """Compare the loss of one training step, and the gradients of all parameters as one vector."""
    size = setting.sized((96, 96), (32, 32))
    torch.manual_seed(0)
    images = torch.from_numpy(photographs(4, size)).permute(0, 3, 1, 2)
    labels, target = (torch.rand(4, CLASSES) < 0.2).float(), torch.from_numpy(masks(4, size, 2))
    lraspp = build_segmenter(SegmenterConfig.model_validate({"backbone": setting.trunk, "head": "lraspp"}), 2)
    unet = {"head": "dynunet", "unet": setting.sized({"levels": 5}, {"levels": 3, "filters": [4, 8, 8]})}
    dynunet = build_segmenter(SegmenterConfig.model_validate(unet), 2)
    segment = mask_loss(build("ce_dice"), DeepSupervisionConfig())
    cases: list[tuple[str, nn.Module, Any, Tensor]] = [
        ("classify", classifier(setting), multilabel_loss, labels),
        ("segment: lraspp", lraspp, segment, target),
        ("segment: dynunet", dynunet, segment, target),
    ]
    for name, model, loss, targets in cases:
        values, gradients = [], []
        for device in (torch.device("cpu"), setting.device):
            network = moved(model, device).train()
            value = loss(network, [images.to(device), targets.to(device)])
            value.backward()
            values.append(value.detach().cpu())
            gradients.append(torch.cat([p.grad.flatten().cpu() for p in network.parameters() if p.grad is not None]))
        yield Comparison(f"{name}: loss", relative(*values), NETWORK)
        here, there = gradients
        yield Comparison(f"{name}: gradient, relative norm", float((here - there).norm() / here.norm()), 10 * NETWORK)
