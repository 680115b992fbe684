"""``model.json``: what is needed to rebuild a network without the files its initial weights came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, model_validator
from torch import Tensor, nn

from wsss.data.classes import Classes
from wsss.errors import InvalidInput, listing
from wsss.io.weights import DESCRIPTION, WEIGHTS
from wsss.models.backbones import Backbone
from wsss.models.config import Deviation, Mean
from wsss.models.initial import Origin
from wsss.validation import Settings, validate

C = TypeVar("C", bound=BaseModel)


class Described(Protocol):
    """A network that can be described; one with a trunk has a ``backbone``, too."""

    config: Any
    origin: Origin


def describe(kind: str, model: type[BaseModel], network: Described, classes: Classes) -> dict[str, Any]:
    """Return the content of ``model.json``.

    Args:
        kind: ``"classifier"`` or ``"segmenter"``.
        model: the config's type; the network's own config may hold more (a stage's does).
        network: its config (without where the weights came from), normalisation, and origin of initial weights.
        classes: names and mask values.
    """
    config = network.config.model_dump(mode="json", include=set(model.model_fields), exclude={"backbone": {"weights"}})
    backbone: Backbone | None = getattr(network, "backbone", None)
    return {
        "kind": kind,
        "config": config,
        **({"channels": backbone.channels} if backbone is not None else {}),
        "classes": classes.to_json(),
        "mean": list(network.origin.mean),
        "std": list(network.origin.std),
        "initial_weights": dict(network.origin.description),
    }


class _Description(Settings):
    """The keys of ``model.json`` but for config and classes, which are read by their own types."""

    kind: str
    config: dict[str, Any]
    channels: int | None = None
    classes: dict[str, Any]
    mean: Mean
    std: Deviation
    initial_weights: dict[str, str]

    @model_validator(mode="after")
    def _named(self) -> _Description:
        if "name" not in self.initial_weights and not {"file", "sha256"} <= self.initial_weights.keys():
            raise ValueError("initial_weights: expected the key name, or file and sha256")
        return self


def read_description(
    kind: str, model: type[C], description: Mapping[str, Any], folder: Path
) -> tuple[C, Origin, Classes]:
    """Return config, origin of initial weights (with the normalisation) and classes.

    Raises:
        InvalidInput: another kind of model, or keys that are missing, unknown or out of range; names them.
    """
    found, path = description.get("kind"), folder / DESCRIPTION
    if found != kind:
        raise InvalidInput(
            f"{folder}: expected a {kind}, found {found!r}.", hint=f"Give the folder of a stage that makes a {kind}."
        )
    try:
        read = validate(_Description, description, where="")
        config = validate(model, read.config, where="config")
        return config, Origin(read.initial_weights, read.mean, read.std), read_classes(read.classes)
    except InvalidInput as error:
        raise InvalidInput(
            f"{path}: not a valid description of a {kind}: {error.message}",
            hint="Train again, or take the file as its stage wrote it.",
        ) from error


def read_classes(value: Mapping[str, Any]) -> Classes:
    """Return the classes of a description.

    Raises:
        InvalidInput: see `wsss.data.classes.Classes.from_json`.
    """
    try:
        return Classes.from_json(value)
    except ValueError as error:
        raise InvalidInput(f"classes.{error}") from error


def load_strictly(network: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Load all weights of a network, in place.

    Raises:
        InvalidInput: a weight is missing, unknown, of another shape or of another kind of number.
    """
    own = network.state_dict()
    both = [name for name in own if name in weights]
    shapes = [
        f"{name} (expected {list(own[name].shape)}, got {list(weights[name].shape)})"
        for name in both
        if own[name].shape != weights[name].shape
    ]
    kinds = [
        f"{name} (expected {own[name].dtype}, got {weights[name].dtype})"
        for name in both
        if own[name].is_floating_point() != weights[name].is_floating_point()
    ]
    problems = {
        "missing": [name for name in own if name not in weights],
        "unknown": [name for name in weights if name not in own],
        "of another shape": shapes,
        "of another type": kinds,
    }
    wrong = [f"{len(names)} {what}: {listing(names, limit=3)}" for what, names in problems.items() if names]
    if wrong:
        raise InvalidInput(
            f"{folder / WEIGHTS}: not the weights of the network in {DESCRIPTION} ({len(own)} tensors): "
            f"{'; '.join(wrong)}.",
            hint="The two files belong to different networks, or one was edited: take both from one training.",
        )
    network.load_state_dict(dict(weights))
