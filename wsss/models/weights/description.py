"""``model.json``: everything needed to rebuild a network, independent of the files of its initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, Field, model_validator
from torch import Tensor, nn

from wsss.data.classes import Classes
from wsss.errors import InvalidInput
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading
from wsss.io.weights import DESCRIPTION, WEIGHTS
from wsss.models.config import Deviation, Mean
from wsss.models.trunk import Trunk
from wsss.models.weights.initial import Origin
from wsss.models.weights.state_dicts import mismatches, type_mismatches
from wsss.validation import Settings, validate

C = TypeVar("C", bound=BaseModel)


class Described(Protocol):
    """A network that `describe` accepts; one with a trunk also has a ``backbone``."""

    config: Any
    origin: Origin


def describe(
    kind: str, model: type[BaseModel], network: Described, classes: Classes, reading: Reading = PLAIN
) -> dict[str, Any]:
    """Return the content of ``model.json``.

    Args:
        kind: ``"classifier"`` or ``"segmenter"``.
        model: type of the config to store; the network's own config may be a subclass (a stage's).
        network: its config (without ``weights``), normalisation, and origin of initial weights are stored.
        classes: names and mask values.
        reading: how its training images were converted to 8-bit RGB.
    """
    config = network.config.model_dump(mode="json", include=set(model.model_fields), exclude={"backbone": {"weights"}})
    backbone: Trunk | None = getattr(network, "backbone", None)
    return {
        "kind": kind,
        "config": config,
        **({"channels": backbone.channels} if backbone is not None else {}),
        "classes": classes.to_json(),
        "mean": list(network.origin.mean),
        "std": list(network.origin.std),
        "initial_weights": dict(network.origin.description),
        **({"reading": reading.to_json()} if reading != PLAIN else {}),
    }


TILES = "tiles"
"""``trained_on`` of classifiers that were trained on tiles at full resolution; other networks have no such key."""


BACKGROUND_WEIGHT = "background_weight"
"""Factor of the background's probability in the last layer of a calibrated network; others have no such key."""


class _Description(Settings):
    """Schema of ``model.json``; config and classes are parsed separately."""

    kind: str
    config: dict[str, Any]
    channels: int | None = None
    classes: dict[str, Any]
    mean: Mean
    std: Deviation
    initial_weights: dict[str, str]
    reading: dict[str, Any] = Field(default_factory=dict)
    trained_on: Literal["tiles"] | None = None
    background_weight: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _named(self) -> _Description:
        if "name" not in self.initial_weights and not {"file", "sha256"} <= self.initial_weights.keys():
            raise ValueError("initial_weights: expected the key name, or file and sha256")
        return self


def read_description(
    kind: str, model: type[C], description: Mapping[str, Any], folder: Path
) -> tuple[C, Origin, Classes]:
    """Return the config, the origin of initial weights (with the normalisation) and the classes.

    Raises:
        InvalidInput: the wrong kind of model; or keys that are missing, unknown or out of range.
    """
    if description.get("kind") != kind:
        raise InvalidInput(
            subject=folder,
            allowed=f"a {kind}",
            found=description.get("kind"),
            hint=f"Use the folder of a stage that writes a {kind}.",
        )
    try:
        parsed = validate(_Description, description, where="")
        config = validate(model, parsed.config, where="config")
        return config, Origin(parsed.initial_weights, parsed.mean, parsed.std), _read_classes(parsed.classes)
    except InvalidInput as error:
        hint = "Train again, or restore the file as its stage wrote it."
        raise error.within(folder / DESCRIPTION).with_hint(hint) from error


def read_reading(description: Mapping[str, Any], folder: Path) -> Reading:
    """Return how the training images of a network were converted to 8-bit RGB.

    Raises:
        InvalidInput: the settings are invalid.
    """
    try:
        return Reading.from_json(description.get("reading", {}))
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"invalid value of the key reading ({error})", subject=folder / DESCRIPTION) from error


def _read_classes(value: Mapping[str, Any]) -> Classes:
    try:
        return Classes.from_json(value)
    except ValueError as error:
        raise InvalidInput(f"classes.{error}") from error


def load_strictly(network: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Load all weights of a network, in place.

    Raises:
        InvalidInput: a weight is missing or unknown, or has the wrong shape or kind of number.
    """
    expected = network.state_dict()
    problems = filter(None, (mismatches(expected, weights), type_mismatches(expected, weights)))
    if problem := "; ".join(problems):
        raise InvalidInput(
            f"not the weights of the network in {DESCRIPTION} ({len(expected)} tensors): {problem}",
            subject=folder / WEIGHTS,
            hint="The two files belong to different networks, or one was edited: take both from one training run.",
        )
    network.load_state_dict(dict(weights))
