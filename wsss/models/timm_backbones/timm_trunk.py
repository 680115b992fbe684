"""Networks of timm as trunks: convolutional networks, Swin, vision transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput
from wsss.models.config import BackboneConfig
from wsss.models.padding import padded
from wsss.models.timm_backbones.centres import CentreTracker
from wsss.models.timm_backbones.timm_networks import create_network, last_layers, remove_layers, timm_name
from wsss.models.timm_backbones.timm_weights import check_timm_weights, load_timm_weights
from wsss.models.trunk import Features, Level, Trunk
from wsss.models.weights.folding import freeze_batchnorm
from wsss.models.weights.frozen_layers import freeze_to_stride
from wsss.models.weights.initial import Origin

LOW_STRIDE = 8
"""Pixels per element of the low features, or the next larger stride that a network has."""

BLOCKS = 4
"""Number of levels of a transformer whose blocks all have the same stride."""


class TimmTrunk(Trunk):
    """A network of timm up to its last feature map.

    Images are padded at the bottom and at the right, with their border pixels, to multiples of the output stride; the
    position embeddings of transformers are interpolated to the resulting grid. All positions then depend on the stride
    alone, and a side of n pixels has ⌈n/stride⌉ features.

    Args:
        network: see `wsss.models.timm_backbones.timm_networks.create_network`; its classifier is removed.
        config: its name and output stride.
        last: also apply the layers between features and classifier; see `timm_networks.last_layers`.

    Raises:
        InvalidInput: the network has no feature maps, or another output stride.
    """

    exact_upsampling = True

    def __init__(self, network: nn.Module, config: BackboneConfig, *, last: bool) -> None:
        super().__init__()
        every, inner = _all_levels(network.eval(), config.name)
        self.indices = _chosen(every)
        self.levels = tuple(every[index] for index in self.indices)
        low = next((n for n, level in enumerate(self.levels) if level.stride >= LOW_STRIDE), 0)
        self._low, self._low_module = low, inner.get(self.indices[low], "")
        self.has_low_maps = bool(self._low_module)
        self.low_channels, self.low_stride, self.low_offset = _fields(self.levels[low])
        self.body_channels, self.output_stride, self.output_offset = _fields(self.levels[-1])
        _require_stride(config, self.output_stride)
        self.low = nn.Identity()  # the low features pass through it
        after = last_layers(network, self.body_channels)
        self.last = after if last else nn.Identity()
        cast(Any, network).prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)
        remove_layers(network, after)
        self.high = network
        self.channels = _out_channels(self.last, self.body_channels)
        self.train()

    def features(self, images: Tensor) -> list[Tensor]:
        """Return a feature map ``(B, C, h, w)`` per level, of normalised images ``(B, 3, H, W)``."""
        with self._replaceable_low():
            return _intermediates(self.high, padded(images, self.output_stride), self.indices)

    def forward(self, images: Tensor) -> Features:
        """Return the features of normalised images ``(B, 3, H, W)``."""
        maps = self.features(images)
        return Features(maps[self._low], self.last(maps[-1]))

    def body(self, images: Tensor) -> Tensor:
        """Return the features ``(B, body_channels, h, w)`` before ``last``."""
        return self.features(images)[-1]

    @contextmanager
    def _replaceable_low(self) -> Iterator[None]:
        """Pass the low features through ``low``, whose hooks can then replace them."""
        if not self.has_low_maps:
            yield
            return
        module = self.high.get_submodule(self._low_module)
        handle = module.register_forward_hook(lambda _, inputs, output: self.low(output))
        try:
            yield
        finally:
            handle.remove()


def build_timm_trunk(config: BackboneConfig, *, last: bool, origin: Origin | None) -> tuple[Trunk, Origin]:
    """Build a trunk with its initial weights; see `wsss.models.backbones.build_backbone`."""
    network, loaded = load_timm_weights(config) if origin is None else (_random(config), origin)
    trunk = TimmTrunk(network, config, last=last)
    _freeze(trunk, config)
    return trunk, loaded


def check_timm(config: BackboneConfig) -> None:
    """Require that timm has a network, that it returns feature maps, and that its initial weights exist.

    Raises:
        InvalidInput: one of these is not the case.
    """
    with torch.device("meta"):  # names and shapes are enough
        network = _random(config)
        check_timm_weights(network, config)
        _freeze(TimmTrunk(network, config, last=True), config)


def _random(config: BackboneConfig) -> nn.Module:
    return create_network(timm_name(config.name), output_stride=config.output_stride)


def _fields(level: Level) -> tuple[int, int, float]:
    return level.channels, level.stride, level.offset


def _intermediates(network: Any, images: Tensor, indices: Sequence[int] | None) -> list[Tensor]:
    maps: list[Tensor] = network.forward_intermediates(images, indices=indices, intermediates_only=True)
    return maps


@torch.no_grad()
def _all_levels(network: Any, name: str) -> tuple[list[Level], dict[int, str]]:
    """Return all levels of a network, and index → module for those that are the output of a module.

    Raises:
        InvalidInput: it has no feature maps, or only for images of one size.
    """
    if not hasattr(network, "forward_intermediates") or not hasattr(network, "prune_intermediate_layers"):
        raise _no_maps(name, "timm extracts no features from it")
    infos = list(getattr(network.feature_info, "info", network.feature_info))
    largest = max(info["reduction"] for info in infos)
    images = torch.zeros(1, 3, 5 * largest, 7 * largest, device=next(network.parameters()).device)
    modules = [info["module"] for info in infos]
    try:
        with _recorded(network, modules) as outputs, CentreTracker(images) as tracker:
            maps = _intermediates(network, images, None)
    except Exception as error:  # whatever a network raises for a size it does not accept
        size = f"{images.shape[2]}×{images.shape[3]}"
        raise _no_maps(name, f"for {size} pixels, {type(error).__name__}: {error}".rstrip(": ")) from error
    levels = [_level(each, images, tracker, name) for each in maps]
    return levels, {
        n: module for n, (module, each) in enumerate(zip(modules, maps, strict=False)) if outputs.get(module) is each
    }


@contextmanager
def _recorded(network: nn.Module, modules: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Yield a dict that gets the outputs of some modules within the block.

    Names that are not modules are skipped, such as those that timm gives the layers of HRNet, Twins and MViT.
    """
    outputs: dict[str, Tensor] = {}
    known = dict(network.named_modules())
    with ExitStack() as hooks:
        for name in filter(known.__contains__, modules):
            hook = partial(_keep, outputs, name)
            hooks.callback(known[name].register_forward_hook(hook).remove)
        yield outputs


def _keep(outputs: dict[str, Tensor], name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
    outputs[name] = output


def _level(features: Tensor, images: Tensor, tracker: CentreTracker, name: str) -> Level:
    if features.ndim != 4 or any(
        side % max(n, 1) for side, n in zip(images.shape[2:], features.shape[2:], strict=True)
    ):
        raise _no_maps(name, f"features of shape {tuple(features.shape)} for an image of {tuple(images.shape)}")
    stride = images.shape[2] // features.shape[2]
    return Level(features.shape[1], stride, tracker.centre(features, stride))


def _no_maps(name: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{name} cannot compute feature maps for images of arbitrary size ({reason})",
        subject="backbone.name",
        hint="Choose a convolutional network, Swin, or a vision transformer with dynamic_img_size in timm.",
    )


def _chosen(levels: Sequence[Level]) -> list[int]:
    """Return the indices of the levels from stride 4; of a transformer with a single stride, some blocks."""
    coarse = [index for index, level in enumerate(levels) if level.stride >= 4] or [len(levels) - 1]
    if len(coarse) > BLOCKS and len({levels[index].stride for index in coarse}) == 1:
        return [coarse[len(coarse) * (n + 1) // BLOCKS - 1] for n in range(BLOCKS)]
    return coarse


def _require_stride(config: BackboneConfig, stride: int) -> None:
    if config.output_stride not in (None, stride):
        raise InvalidInput(
            f"{config.name} cannot be dilated",
            subject="backbone.output_stride",
            found=config.output_stride,
            allowed=f"{stride} or null" if stride in (8, 16, 32) else f"null (its own stride, {stride})",
        )


def _out_channels(last: nn.Module, channels: int) -> int:
    convolutions = [part for part in last.modules() if isinstance(part, nn.Conv2d)]
    return convolutions[-1].out_channels if convolutions else channels


def _freeze(trunk: TimmTrunk, config: BackboneConfig) -> None:
    """Freeze and fold all BatchNorms, and freeze the first layers, if the settings say so.

    Raises:
        InvalidInput: a BatchNorm does not follow a convolution, or see `freeze_to_stride`.
    """
    if not config.freeze_batchnorm:
        return
    try:
        freeze_batchnorm(trunk)
        left = [part for part in trunk.modules() if isinstance(part, nn.BatchNorm2d)]
        if left:
            raise ValueError("no convolution before a BatchNorm")
    except ValueError as error:
        raise InvalidInput(
            f"the BatchNorm of {config.name} cannot be folded into convolutions ({error})",
            subject="backbone.freeze_batchnorm",
            hint="Set backbone.freeze_batchnorm: false.",
        ) from error
    if config.freeze_to_stride is not None:
        freeze_to_stride(trunk, config.freeze_to_stride, config.name)
