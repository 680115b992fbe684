"""Initial weights: torchvision's, or a file of the user's own."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput, RunFailed, listing
from wsss.io.files.atomic import sha256_file
from wsss.io.files.recorded import check_recorded
from wsss.io.process.exhausted import raise_if_exhausted
from wsss.io.weights import read_safetensors, require_usable
from wsss.models.config import IMAGENET_MEAN, IMAGENET_STD, LocalWeights

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put a state dict."""


@dataclass(frozen=True)
class Origin:
    """Where initial weights come from, and the normalisation they expect.

    Args:
        description: ``{"name": "imagenet"}``, ``{"name": "none"}`` or ``{"file": name, "sha256": digest}``;
            ``trained_as`` says that these weights were trained further before this network took them over.
        mean, std: of red, green and blue in [0, 1].
    """

    description: Mapping[str, str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def label(self) -> str:
        """One word or two for tables: ``imagenet`` or ``file.pth (sha256 0123456789ab)``."""
        if "name" in self.description:
            source = self.description["name"]
        else:
            source = f"{self.description['file']} (sha256 {self.description['sha256'][:12]})"
        further = self.description.get("trained_as")
        return f"{source}, trained as {further}" if further else source


def load_initial(network: nn.Module, architecture: str, weights: str | LocalWeights, *, classifier: str) -> Origin:
    """Load initial weights into a torchvision network, in place.

    Args:
        network: as `torchvision.models.get_model` makes it.
        architecture: its name, for messages.
        weights: ``"imagenet"``, ``"imagenet-v1"``, ``"none"`` or a file.
        classifier: prefix of the keys of ImageNet's classifier, which is neither needed nor loaded.

    Raises:
        InvalidInput: the file is missing, broken, or holds weights of another architecture.
        RunFailed: torchvision's weights can't be downloaded.
    """
    if isinstance(weights, LocalWeights):
        state: Mapping[str, Tensor] = read_fitting(network, architecture, weights.path, classifier=classifier)
        origin = Origin({"file": weights.path.name, "sha256": sha256_file(weights.path)}, weights.mean, weights.std)
    elif weights == "none":
        return Origin({"name": "none"}, IMAGENET_MEAN, IMAGENET_STD)
    else:
        state = _download(architecture, weights)
        origin = Origin({"name": weights}, IMAGENET_MEAN, IMAGENET_STD)
    wanted = {name for name in network.state_dict() if not name.startswith(classifier)}
    network.load_state_dict({name: tensor for name, tensor in state.items() if name in wanted}, strict=False)
    return origin


def read_fitting(network: nn.Module, architecture: str, path: Path, *, classifier: str) -> dict[str, Tensor]:
    """Read a state dict that fits a torchvision network (which may be on the meta device).

    Args:
        network, architecture, classifier: see `load_initial`.
        path: see `read_weights`.

    Raises:
        InvalidInput: the file is missing, broken, or holds weights of another architecture or that aren't finite.
    """
    state = read_weights(path)
    _check(network, architecture, state, classifier, path)
    require_usable(state, path)
    return state


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a torch file or a ``.safetensors`` file, free of wrappers.

    Raises:
        InvalidInput: missing, broken, or no state dict.
    """
    if not path.is_file():
        raise InvalidInput(f"{path}: no such weights file.")
    check_recorded(path, always=True)
    content = read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise InvalidInput(
            f"{path}: holds no state dict (a mapping of names to tensors, at the top or under "
            f"{listing(map(repr, WRAPPERS))})."
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise_if_exhausted(error)
        # Not in torch's words: they recommend to load the file with weights_only=False, which runs what is in it.
        if isinstance(error, pickle.UnpicklingError):
            reason = "no state dict of tensors alone; it holds other pickled Python objects, which are refused"
        else:
            reason = "it is truncated or damaged, or torch.save didn't write it"
        raise InvalidInput(
            f"{path}: not a weights file: {reason}.",
            hint="Save a plain state dict: torch.save(network.state_dict(), FILE).",
        ) from error


def _check(network: nn.Module, architecture: str, state: Mapping[str, Tensor], classifier: str, path: Path) -> None:
    """Refuse weights of another architecture; counters of BatchNorm may be missing (old files have none)."""
    wanted = {name: value for name, value in network.state_dict().items() if not name.startswith(classifier)}
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in wanted and not name.startswith(classifier)]
    shapes = [
        f"{name} (found {tuple(state[name].shape)}, expected {tuple(wanted[name].shape)})"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    found = [f"{len(names)} {what}: {listing(names, limit=3)}" for what, names in problems.items() if names]
    if found:
        raise InvalidInput(
            f"{path}: weights of another architecture: {architecture} has {len(wanted)} tensors without its "
            f"classifier; in this file are {'; '.join(found)}.",
            hint="Choose the architecture in backbone.name, or another file (key names as in torchvision).",
        )


def _download(architecture: str, weights: str) -> Mapping[str, Tensor]:
    import torchvision

    try:
        kinds = torchvision.models.get_model_weights(architecture)
    except ValueError as error:  # a backbone of another package
        raise InvalidInput(
            f"there are no {weights} weights of {architecture}",
            subject="backbone.weights",
            hint="Use a file, backbone.weights: {path: FILE}, or random ones, none.",
        ) from error
    chosen = kinds.DEFAULT if weights == "imagenet" else kinds.IMAGENET1K_V1
    try:
        state: Mapping[str, Tensor] = chosen.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise RunFailed(
            f"torchvision's {weights} weights of {architecture} can't be downloaded ({error}).",
            hint="Without a network use a file: backbone.weights: {path: FILE, mean: [R, G, B], std: [R, G, B]}, "
            f"or put {chosen.url.rsplit('/', 1)[-1]} into {torch.hub.get_dir()}/checkpoints.",
        ) from error
    return state
