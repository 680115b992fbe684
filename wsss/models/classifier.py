"""The CAM classifier: an image-level classifier whose last layer gives a map per class.

Features → bias-free 1×1 convolution → class maps → pooling → logits (IRN's variant of Zhou et al., CVPR 2016: with
mean pooling the maps are exactly the class activation maps of a linear classifier on pooled features).
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from wsss.data.sample import Classes
from wsss.io.weights import load_description, load_weights, save_model
from wsss.models.backbones import Backbone, Normalise, build_backbone
from wsss.models.config import ClassifierConfig
from wsss.models.description import describe, load_strictly, read_description
from wsss.models.initial import Origin


class Pooling(nn.Module):
    """Class maps → one score per class.

    Args:
        name: ``mean``, ``max``, ``lse`` (log-sum-exp, ``log(mean(exp(r·x)))/r``, Pinheiro & Collobert, CVPR 2015) or
            ``topk`` (mean of the largest values).
        sharpness: r of ``lse``.
        fraction: of the positions that ``topk`` averages; at least one.
    """

    def __init__(self, name: str, *, sharpness: float = 5.0, fraction: float = 0.25) -> None:
        super().__init__()
        self.name, self.sharpness, self.fraction = name, sharpness, fraction

    def forward(self, maps: Tensor) -> Tensor:
        """Return ``(B, K)`` from ``(B, K, h, w)``."""
        flat = maps.flatten(2)
        if self.name == "mean":
            return flat.mean(2)
        if self.name == "max":
            return flat.amax(2)
        if self.name == "lse":
            summed = torch.logsumexp(self.sharpness * flat, 2) - math.log(flat.shape[2])
            return summed / self.sharpness
        count = max(1, round(self.fraction * flat.shape[2]))
        return flat.topk(count, dim=2).values.mean(2)


class CAMClassifier(nn.Module):
    """Image-level classifier with class maps.

    `forward` is ``pooling(maps(features(images)))``. A module between features and classifier (a sampler, say) goes
    into ``self.between``: it takes and returns ``(B, C, h, w)``.

    Args:
        config: pooling and dropout.
        backbone: see `wsss.models.backbones`.
        origin: where its weights come from; its mean and std are applied to the images.
        classes: number K of foreground classes.
    """

    def __init__(self, config: ClassifierConfig, backbone: Backbone, origin: Origin, classes: int) -> None:
        super().__init__()
        self.normalise = Normalise(origin.mean, origin.std)
        self.backbone = backbone
        self.between: nn.Module = nn.Identity()
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(backbone.channels, classes, 1, bias=False)
        nn.init.normal_(self.head.weight, std=0.01)
        self.pooling = Pooling(config.pooling, sharpness=config.lse_sharpness, fraction=config.topk_fraction)
        self.config, self.origin = config, origin

    def features(self, images: Tensor) -> Tensor:
        """Return ``(B, C, h, w)`` from images ``(B, 3, H, W)``, uint8 or floats in [0, 1]."""
        features: Tensor = self.backbone(self.normalise(images)).high
        return features

    def maps(self, features: Tensor) -> Tensor:
        """Return class maps ``(B, K, h, w)`` (logits: before pooling, any sign)."""
        maps: Tensor = self.head(self.dropout(self.between(features)))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, K)`` of images ``(B, 3, H, W)``, uint8 or floats in [0, 1]."""
        logits: Tensor = self.pooling(self.maps(self.features(images)))
        return logits


def build_classifier(config: ClassifierConfig, classes: int) -> CAMClassifier:
    """Build a classifier for K foreground classes, its trunk with initial weights, its head random.

    Raises:
        InvalidInput, RunFailed: see `wsss.models.backbones.build_backbone`.
    """
    backbone, origin = build_backbone(config.backbone)
    return CAMClassifier(config, backbone, origin, classes)


def save_classifier(folder: Path, classifier: CAMClassifier, classes: Classes) -> None:
    """Write ``model.safetensors`` and ``model.json``: all that `load_classifier` needs."""
    save_model(folder, classifier.state_dict(), describe("classifier", ClassifierConfig, classifier, classes))


def load_classifier(folder: Path) -> tuple[CAMClassifier, Classes]:
    """Rebuild the classifier that a `classify` stage wrote, in evaluation mode on the CPU.

    Raises:
        InvalidInput: no classifier there, or a broken one.
    """
    config, origin, classes = read_description("classifier", ClassifierConfig, load_description(folder), folder)
    backbone, _ = build_backbone(config.backbone, origin=origin)
    classifier = CAMClassifier(config, backbone, origin, len(classes.foreground))
    load_strictly(classifier, load_weights(folder), folder)
    return classifier.eval(), classes
