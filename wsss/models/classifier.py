"""The CAM classifier: an image-level classifier whose last layer gives a map per class.

Features → bias-free 1×1 convolution → class maps → pooling → logits (IRN's variant of Zhou et al., CVPR 2016: with
mean pooling the maps are exactly the class activation maps of a linear classifier on pooled features).
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from wsss.data.classes import Classes
from wsss.io.weights import load_description, load_weights, save_model
from wsss.models.backbones import Backbone, Normalise, OwnStatistics, build_backbone
from wsss.models.config import ClassifierConfig, SamplingConfig, TrainedClassifierConfig
from wsss.models.convnet import ConvNet, convnet_origin
from wsss.models.description import describe, load_strictly, read_description
from wsss.models.initial import Origin
from wsss.models.samplers import Samplers


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

    `forward` is ``pooling(maps(features(images)))``. Behind the features stand the samplers, if there are any.

    Args:
        config: pooling, dropout, samplers.
        backbone: see `wsss.models.backbones`, or `wsss.models.convnet`.
        origin: where its weights come from; its mean and std are applied to the images, unless they are normalised by
            their own.
        classes: number K of foreground classes.
    """

    def __init__(
        self, config: TrainedClassifierConfig, backbone: Backbone | ConvNet, origin: Origin, classes: int
    ) -> None:
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
        self.still: tuple[nn.Module, ...] = ()

    def keep_still(self) -> None:
        """Leave parts of the backbone in which no parameter learns as they are, their BatchNorm statistics included.

        To be called once ``requires_grad`` is set. Where nothing before the samplers learns, no gradient goes there.
        """
        parts = (self.backbone.low, self.backbone.high, self.backbone.last)
        self.still = tuple(part for part in parts if not any(p.requires_grad for p in part.parameters()))
        self.train(self.training)

    def train(self, mode: bool = True) -> CAMClassifier:
        """See `torch.nn.Module.train`; parts that are kept still stay in evaluation mode."""
        super().train(mode)
        for part in self.still:
            part.eval()
        return self

    @property
    def early(self) -> bool:
        """Whether the samplers stand before the backbone's last convolution rather than behind it."""
        return self.config.sampling is not None and self.config.sampling.placement == "bottleneck"

    def resample(self, sampling: SamplingConfig) -> None:
        """Get the samplers of ``sampling``, and its merge rule; samplers that were there and stay keep their weights.

        Raises:
            ValueError: a sampler that stays would be another one, or elsewhere.
        """
        before, samplers = self.samplers, self._samplers(sampling)
        had = self.config.sampling or sampling
        for name in ("expansion", "shrinkage"):
            old, new = getattr(before, name), getattr(samplers, name)
            if old is None:
                continue
            if new is None or (had.placement, old.config) != (sampling.placement, new.config):
                raise ValueError(f"the {name} sampler is trained: it stays as it is and where it is")
            new.load_state_dict(old.state_dict())
        self.config = self.config.model_copy(update={"sampling": sampling})
        self.samplers = samplers

    def _samplers(self, sampling: SamplingConfig | None) -> Samplers:
        early = sampling is not None and sampling.placement == "bottleneck"
        return Samplers(sampling, self.backbone.body_channels if early else self.backbone.channels)

    def features(self, images: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Return what the samplers sample: ``(B, C, h, w)`` from images ``(B, 3, H, W)``, uint8 or floats in [0, 1].

        For ``statistics`` see `wsss.models.backbones.OwnStatistics`; fixed normalisations leave them alone.
        """
        before = [self.backbone.low, self.backbone.high, *([] if self.early else [self.backbone.last])]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not all(part in self.still for part in before)):
            body = self.backbone.body(self.normalise(images, statistics))
            return body if self.early else self._widen(body)

    def maps(self, features: Tensor) -> Tensor:
        """Return class maps ``(B, K, h, w)`` (logits: before pooling, any sign)."""
        return self.samplers.merged([self._classify(path) for path in self.samplers.paths(features)])

    def _classify(self, features: Tensor) -> Tensor:
        maps: Tensor = self.head(self.dropout(self._widen(features) if self.early else features))
        return maps

    def _widen(self, features: Tensor) -> Tensor:
        wide: Tensor = self.backbone.last(features)
        return wide

    def forward(self, images: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Return logits ``(B, K)`` of images ``(B, 3, H, W)``, uint8 or floats in [0, 1]; see `features`."""
        logits: Tensor = self.pooling(self.maps(self.features(images, statistics)))
        return logits


def build_classifier(config: ClassifierConfig, classes: int) -> CAMClassifier:
    """Build a classifier for K foreground classes, its trunk with initial weights, its head random, without samplers.

    Raises:
        InvalidInput, RunFailed: see `wsss.models.backbones.build_backbone`.
    """
    backbone, origin = _trunk(config)
    plain = {name: getattr(config, name) for name in ClassifierConfig.model_fields}
    return CAMClassifier(TrainedClassifierConfig(**plain), backbone, origin, classes)


def save_classifier(folder: Path, classifier: CAMClassifier, classes: Classes) -> None:
    """Write ``model.safetensors`` and ``model.json``: all that `load_classifier` needs."""
    save_model(folder, classifier.state_dict(), describe("classifier", TrainedClassifierConfig, classifier, classes))


def load_classifier(folder: Path) -> tuple[CAMClassifier, Classes]:
    """Rebuild the classifier that `classify`, `expand` or `shrink` wrote, in evaluation mode on the CPU.

    Raises:
        InvalidInput: no classifier there, or a broken one.
    """
    config, origin, classes = read_description(
        "classifier", TrainedClassifierConfig, load_description(folder, "classifier"), folder
    )
    backbone, _ = _trunk(config, origin)
    classifier = CAMClassifier(config, backbone, origin, len(classes.foreground))
    load_strictly(classifier, load_weights(folder), folder)
    return classifier.eval(), classes


def _trunk(config: ClassifierConfig, origin: Origin | None = None) -> tuple[Backbone | ConvNet, Origin]:
    """Return the trunk and where its weights come from; ``origin`` is given where a trained one is rebuilt."""
    if config.backbone is not None:
        return build_backbone(config.backbone, origin=origin)
    assert config.convnet is not None, "the config has one of the two"
    return ConvNet(config.convnet), origin or convnet_origin(config.convnet)
