"""The CAM classifier: an image-level classifier whose last layer computes one map per class.

Features → 1×1 convolution without bias → class maps → pooling → logits. This is IRN's variant of Zhou et al., CVPR
2016: with mean pooling, the maps equal the class activation maps of a linear classifier on pooled features.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.data.classes import Classes
from wsss.io.weights import load_description, load_weights, save_model
from wsss.models.backbones import Normalise, OwnStatistics, build_backbone
from wsss.models.config import ClassifierConfig, TrainedClassifierConfig
from wsss.models.convnet import ConvNet, convnet_origin
from wsss.models.sampler_config import SamplingConfig
from wsss.models.samplers import Samplers
from wsss.models.trunk import Trunk
from wsss.models.weights.description import TILES, describe, load_strictly, read_description
from wsss.models.weights.initial import Origin


class Pooling(nn.Module):
    """Pools class maps to one score per class.

    Args:
        name: ``mean``, ``max``, ``lse`` (log-sum-exp, ``log(mean(exp(r·x)))/r``, Pinheiro & Collobert, CVPR 2015) or
            ``topk`` (mean of the largest values).
        sharpness: r of ``lse``.
        fraction: fraction of the positions that ``topk`` averages (at least one position).
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

    `forward` is ``pooling(maps(features(images)))``; `maps` applies the samplers, if any.

    Args:
        config: settings of pooling, dropout and samplers.
        backbone: see `wsss.models.backbones` and `wsss.models.convnet`.
        origin: origin of the backbone's weights; its mean and std normalise images unless ``config`` uses each image's
            own.
        classes: number K of foreground classes.
    """

    def __init__(self, config: TrainedClassifierConfig, backbone: Trunk, origin: Origin, classes: int) -> None:
        super().__init__()
        own = config.convnet is not None and config.convnet.normalisation == "image"
        self.normalise: OwnStatistics | Normalise = OwnStatistics() if own else Normalise(origin.mean, origin.std)
        self.backbone = backbone
        self.samplers = self._samplers(config.sampling)
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(backbone.channels, classes, 1, bias=False)
        nn.init.normal_(self.head.weight, std=0.01)
        self.pooling = Pooling(config.pooling, sharpness=config.lse_sharpness, fraction=config.topk_fraction)
        self.config, self.origin = config, origin
        self.frozen_parts: tuple[nn.Module, ...] = ()
        self.trained_on_tiles = False
        """Whether it was last trained on tiles of images at full resolution."""

    def freeze_untrained_parts(self) -> None:
        """Freeze the parts of the backbone without trainable parameters, including their BatchNorm statistics.

        Call this after setting ``requires_grad``. If no layer before the samplers is trainable, no gradients are
        computed for these layers.
        """
        parts = (self.backbone.low, self.backbone.high, self.backbone.last)
        self.frozen_parts = tuple(part for part in parts if not any(p.requires_grad for p in part.parameters()))
        self.train(self.training)

    def train(self, mode: bool = True) -> CAMClassifier:
        """See `torch.nn.Module.train`; frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self.frozen_parts:
            part.eval()
        return self

    @property
    def early(self) -> bool:
        """Whether the samplers precede the backbone's last convolution instead of following it."""
        return self.config.sampling is not None and self.config.sampling.placement == "bottleneck"

    def resample(self, sampling: SamplingConfig) -> None:
        """Add the samplers of ``sampling`` and set its merge rule; existing samplers keep their weights.

        Raises:
            ValueError: ``sampling`` removes, moves or reconfigures an existing sampler.
        """
        samplers = self._samplers(sampling)
        current = self.config.sampling or sampling
        for name in ("expansion", "shrinkage"):
            old, new = getattr(self.samplers, name), getattr(samplers, name)
            if old is None:
                continue
            if new is None or (current.placement, old.config) != (sampling.placement, new.config):
                raise ValueError(f"the {name} sampler is trained already: its config and placement cannot change")
            new.load_state_dict(old.state_dict())
        self.config = self.config.model_copy(update={"sampling": sampling})
        self.samplers = samplers

    def _samplers(self, sampling: SamplingConfig | None) -> Samplers:
        early = sampling is not None and sampling.placement == "bottleneck"
        return Samplers(sampling, self.backbone.body_channels if early else self.backbone.channels)

    def features(self, images: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Return the input of the samplers, ``(B, C, h, w)``.

        Args:
            images: ``(B, 3, H, W)``, uint8 or floats in [0, 1].
            statistics: see `wsss.models.backbones.OwnStatistics`; fixed normalisations ignore them.
        """
        before = [self.backbone.low, self.backbone.high, *([] if self.early else [self.backbone.last])]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not all(part in self.frozen_parts for part in before)):
            body = self.backbone.body(self.normalise(images, statistics))
            return body if self.early else self._widen(body)

    def maps(self, features: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return class maps ``(B, K, h, w)`` before pooling: logits of any sign.

        Args:
            features: see `features`.
            weight: ``(K', C, 1, 1)``, used instead of the head's weight; then there are K' maps.
        """
        return self.samplers.merged([self._classify(path, weight) for path in self.samplers.paths(features)])

    def _classify(self, features: Tensor, weight: Tensor | None) -> Tensor:
        features = self.dropout(self._widen(features) if self.early else features)
        maps: Tensor = self.head(features) if weight is None else F.conv2d(features, weight)
        return maps

    def _widen(self, features: Tensor) -> Tensor:
        wide: Tensor = self.backbone.last(features)
        return wide

    def forward(self, images: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Return logits ``(B, K)`` of images ``(B, 3, H, W)``, uint8 or floats in [0, 1]; see `features`."""
        logits: Tensor = self.pooling(self.maps(self.features(images, statistics)))
        return logits


def build_classifier(config: ClassifierConfig, classes: int) -> CAMClassifier:
    """Build a classifier for K foreground classes without samplers, with initial weights and a random head.

    Raises:
        InvalidInput, RunFailed: see `wsss.models.backbones.build_backbone`.
    """
    backbone, origin = build_trunk(config)
    settings = {name: getattr(config, name) for name in ClassifierConfig.model_fields}
    return CAMClassifier(TrainedClassifierConfig(**settings), backbone, origin, classes)


def save_classifier(folder: Path, classifier: CAMClassifier, classes: Classes) -> None:
    """Write ``model.safetensors`` and ``model.json`` for `load_classifier`."""
    description = describe("classifier", TrainedClassifierConfig, classifier, classes)
    if classifier.trained_on_tiles:
        description["trained_on"] = TILES
    save_model(folder, classifier.state_dict(), description)


def load_classifier(folder: Path) -> tuple[CAMClassifier, Classes]:
    """Load the classifier of a `classify`, `expand` or `shrink` stage, in evaluation mode on the CPU.

    Raises:
        InvalidInput: the folder contains no classifier, or an invalid one.
    """
    description = load_description(folder, "classifier")
    config, origin, classes = read_description("classifier", TrainedClassifierConfig, description, folder)
    backbone, _ = build_trunk(config, origin)
    classifier = CAMClassifier(config, backbone, origin, len(classes.foreground))
    load_strictly(classifier, load_weights(folder), folder)
    classifier.trained_on_tiles = description.get("trained_on") == TILES
    return classifier.eval(), classes


def build_trunk(config: ClassifierConfig, origin: Origin | None = None) -> tuple[Trunk, Origin]:
    """Return the trunk and the origin of its weights; ``origin`` is the recorded one of a trained trunk."""
    if config.backbone is not None:
        return build_backbone(config.backbone, origin=origin)
    assert config.convnet is not None
    return ConvNet(config.convnet), origin or convnet_origin(config.convnet)
