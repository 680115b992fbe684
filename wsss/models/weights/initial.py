"""Initial weights: torchvision's, or a local file."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import URLError
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput, RunFailed, Verbatim, listing
from wsss.io.files.atomic import sha256_file
from wsss.io.files.recorded import check_recorded
from wsss.io.process.exhausted import raise_if_exhausted
from wsss.io.weights import read_safetensors, require_usable
from wsss.models.config import IMAGENET_MEAN, IMAGENET_STD, LocalWeights, Normalisation
from wsss.models.weights.state_dicts import mismatches, without_prefix

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts store a state dict."""


@dataclass(frozen=True)
class Origin:
    """Origin of initial weights, and the normalisation they expect.

    Args:
        description: ``{"name": "imagenet"}``, ``{"name": "none"}`` or ``{"file": name, "sha256": digest}``;
            ``trained_as`` is the kind of model that these weights were trained in before.
        mean, std: mean and standard deviation of red, green and blue in [0, 1].
    """

    description: Mapping[str, str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def random(cls, normalisation: Normalisation | None) -> Origin:
        """Return the origin of random weights; ``None``: images are normalised by their own statistics."""
        if normalisation is None:
            return cls({"name": "none"}, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        return cls({"name": "none"}, normalisation.mean, normalisation.std)

    @property
    def label(self) -> str:
        """Short text for tables: ``imagenet`` or ``file.pth (sha256 0123456789ab)``."""
        if "name" in self.description:
            source = self.description["name"]
        else:
            source = f"{self.description['file']} (sha256 {self.description['sha256'][:12]})"
        further = self.description.get("trained_as")
        return f"{source}, trained as {further}" if further else source


def load_initial(
    network: nn.Module, architecture: str, weights: str | LocalWeights, *, classifier: str, frozen: bool
) -> Origin:
    """Load initial weights into a classification network, in place.

    Args:
        network: with random weights; see `wsss.models.backbones.Architecture`.
        architecture: its name.
        weights: ``"imagenet"``, ``"imagenet-v1"``, ``"none"`` or a file.
        classifier: prefix of the names of the classifier's weights, which are not loaded.
        frozen: BatchNorm will be frozen; see `read_fitting`.

    Raises:
        InvalidInput: the file is missing, invalid, or of another architecture.
        RunFailed: torchvision's weights cannot be downloaded.
    """
    if isinstance(weights, LocalWeights):
        state: Mapping[str, Tensor] = read_fitting(
            network, architecture, weights.path, classifier=classifier, frozen=frozen
        )
        origin = Origin({"file": weights.path.name, "sha256": sha256_file(weights.path)}, weights.mean, weights.std)
    elif weights == "none":
        return Origin({"name": "none"}, IMAGENET_MEAN, IMAGENET_STD)
    else:
        state = _download(architecture, weights)
        origin = Origin({"name": weights}, IMAGENET_MEAN, IMAGENET_STD)
    network.load_state_dict(_without(classifier, state), strict=False)
    return origin


def read_fitting(
    network: nn.Module,
    architecture: str,
    path: Path,
    *,
    classifier: str | tuple[str, ...],
    frozen: bool,
    renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict,
) -> dict[str, Tensor]:
    """Read a state dict that fits a network (which may be on the meta device).

    Args:
        network, architecture: see `load_initial`.
        path: see `read_weights`.
        classifier: one or several prefixes of the names of the classifier's weights.
        frozen: BatchNorm will be frozen; otherwise weights with folded BatchNorm are refused.
        renamed: converts the names of the weights.

    Raises:
        InvalidInput: the file is missing, invalid, of another architecture, contains values that are not finite, or
            has no BatchNorm statistics.
    """
    expected = _without(classifier, network.state_dict())
    named = [name for name in expected if not name.endswith("num_batches_tracked")]  # which old files lack
    state = renamed(without_prefix(named, read_weights(path)))
    required = {name: value for name, value in expected.items() if name in state or name in named}
    problem = mismatches(required, _without(classifier, state))
    if problem:
        raise InvalidInput(
            f"weights of a different architecture: {architecture} has {len(expected)} tensors without its classifier; "
            f"this file has {problem}",
            subject=path,
            hint="Set backbone.name to the file's architecture, or use another file (key names as in torchvision, for "
            "timm/NAME as in timm).",
        )
    require_usable(state, path)
    if not frozen and is_folded(state):
        raise InvalidInput(
            "the BatchNorm statistics of these weights are folded into the convolutions, but training needs them",
            subject=path,
            hint="Set backbone.freeze_batchnorm: true, or use weights with statistics.",
        )
    return state


def is_folded(state: Mapping[str, Tensor]) -> bool:
    """Return whether all BatchNorms of a state dict only add a bias, the rest being folded into the convolutions.

    Random weights, whose biases are 0 as well, do not count.
    """
    suffix = ".running_mean"
    norms = [name.removesuffix(suffix) for name in state if name.endswith(suffix)]
    ones = [state[f"{name}.{part}"] for name in norms for part in ("weight", "running_var")]
    identity = not any(state[name + suffix].any() for name in norms) and all(
        bool((scale - 1).abs().max() < 1e-3) for scale in ones
    )
    return bool(norms) and identity and any(bool(state[f"{name}.bias"].any()) for name in norms)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a torch file or a ``.safetensors`` file, possibly nested under one of `WRAPPERS`.

    Raises:
        InvalidInput: the file is missing, invalid, or holds no state dict.
    """
    if not path.is_file():
        raise InvalidInput("no such weights file", subject=path)
    check_recorded(path, always=True)
    content = read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise InvalidInput(
            "no state dict",
            subject=path,
            allowed=f"a mapping of names to tensors, at the top level or under {listing(map(repr, WRAPPERS))}",
            found=Verbatim(_not_tensors(content)),
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _not_tensors(content: Any) -> str:
    if not isinstance(content, Mapping):
        return type(content).__name__
    return listing(f"{name!r} ({type(v).__name__})" for name, v in content.items() if not isinstance(v, Tensor)) or "{}"


def _without(prefix: str | tuple[str, ...], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(prefix)}


def _starts_like_torch(path: Path) -> bool:
    """Return whether a file begins as a ZIP archive or a pickle, unlike a web page or the pointer of Git LFS."""
    with path.open("rb") as file:
        return file.read(2).startswith((b"PK", b"\x80"))


def _is_torchscript(path: Path) -> bool:
    """Return whether a file is a ZIP archive of `torch.jit.save`, as OpenAI's CLIP models are."""
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return any(PurePosixPath(name).name == "constants.pkl" for name in archive.namelist())


def _read_torch(path: Path) -> Any:
    try:
        if _is_torchscript(path):
            raise InvalidInput(
                "not a weights file: it is a TorchScript archive, which contains code",
                subject=path,
                hint="Save its state dict: torch.save(torch.jit.load(ARCHIVE, map_location='cpu').state_dict(), FILE).",
            )
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, BadZipFile, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise_if_exhausted(error)
        # torch's own messages recommend weights_only=False, which would run code in the file.
        if isinstance(error, pickle.UnpicklingError) and _starts_like_torch(path):
            reason = "it contains pickled Python objects other than tensors, which are refused"
        else:
            reason = "it is truncated, damaged, or not written by torch.save"
        raise InvalidInput(
            f"not a weights file: {reason}",
            subject=path,
            hint="Save a plain state dict: torch.save(network.state_dict(), FILE).",
        ) from error


def _download(architecture: str, weights: str) -> Mapping[str, Tensor]:
    import torchvision

    try:
        kinds = torchvision.models.get_model_weights(architecture)
    except ValueError as error:  # a backbone of another package
        raise InvalidInput(
            f"torchvision has no {weights} weights for {architecture}",
            subject="backbone.weights",
            hint="Use a file (backbone.weights: {path: FILE}) or random weights (backbone.weights: none).",
        ) from error
    chosen = kinds.DEFAULT if weights == "imagenet" else kinds.IMAGENET1K_V1
    try:
        state: Mapping[str, Tensor] = chosen.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise RunFailed(
            f"cannot download torchvision's {weights} weights for {architecture} ({error})",
            subject="backbone.weights",
            hint="Offline, use a file, backbone.weights: {path: FILE, mean: [R, G, B], std: [R, G, B]}, "
            f"or put {chosen.url.rsplit('/', 1)[-1]} into {torch.hub.get_dir()}/checkpoints.",
        ) from error
    return state
