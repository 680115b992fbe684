"""``model.json``: what is needed to rebuild a network without the files its initial weights came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from wsss.data.sample import Classes
from wsss.errors import InvalidInput, listing
from wsss.models.backbones import Backbone
from wsss.models.initial import Origin
from wsss.validation import counts_as_said

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
    said = {name for name, field in model.model_fields.items() if counts_as_said(field, getattr(network.config, name))}
    config = network.config.model_dump(mode="json", include=said, exclude={"backbone": {"weights"}})
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


def read_description(
    kind: str, model: type[C], description: Mapping[str, Any], folder: Path
) -> tuple[C, Origin, Classes]:
    """Return config, origin of initial weights (with the normalisation) and classes.

    Raises:
        InvalidInput: another kind of model, or keys that are missing or wrong.
    """
    found = description.get("kind")
    if found != kind:
        raise InvalidInput(
            f"{folder}: expected a {kind}, found {found!r}.", mend=f"Give the folder of a stage that makes a {kind}."
        )
    try:
        mean, std = (tuple(map(float, description[key])) for key in ("mean", "std"))
        if (len(mean), len(std)) != (3, 3) or not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
            raise ValueError("mean and std: expected three finite numbers each, std above 0")
        origin = Origin(dict(description["initial_weights"]), mean, std)  # type: ignore[arg-type]
        return model.model_validate(description["config"]), origin, Classes.from_json(description["classes"])
    except (KeyError, TypeError, ValueError, OverflowError, ValidationError) as error:
        raise InvalidInput(f"{folder}/model.json: not a {kind}'s description ({error}).") from error


def load_strictly(network: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Load all weights of a network, in place.

    Raises:
        InvalidInput: a weight is missing, unexpected or of another shape.
    """
    own = network.state_dict()
    wrong = sorted(own.keys() ^ weights.keys())
    wrong += [name for name in own if name in weights and own[name].shape != weights[name].shape]
    if wrong:
        raise InvalidInput(f"{folder}: weights and description don't belong together ({listing(wrong)}).")
    network.load_state_dict(dict(weights))
