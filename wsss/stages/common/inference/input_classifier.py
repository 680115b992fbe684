"""The trained network that is an input of a stage, validated against the classes of the dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, listing
from wsss.pipeline.stage import Context

if TYPE_CHECKING:
    from wsss.models.classifier import CAMClassifier


def load_on_all_ranks(ctx: Context[Any]) -> CAMClassifier:
    """Load the input classifier on the first rank, then on the others; see `load_input_classifier`."""
    from wsss.train.runtime import leader_first

    return leader_first(ctx.ranks, lambda: load_input_classifier(ctx))


def load_input_classifier(ctx: Context[Any]) -> CAMClassifier:
    """Load the classifier that is an input of the stage.

    Raises:
        InvalidInput: the folder contains no classifier, or its classes differ from those of the dataset.
    """
    from wsss.models.classifier import load_classifier

    folder = ctx.inputs["classifier"].path
    model, classes = load_classifier(folder)
    require_same_classes(folder, "classifier", classes.foreground, ctx.data.classes.foreground)
    return model


def require_same_classes(folder: object, what: str, trained: Sequence[str], expected: Sequence[str]) -> None:
    """Require that a network was trained on the classes of the dataset.

    Raises:
        InvalidInput: the classes, or their order, differ.
    """
    if tuple(trained) != tuple(expected):
        raise InvalidInput(
            f"the {what} was trained on the classes {listing(trained, limit=30)}; "
            f"the dataset has {listing(expected, limit=30)}",
            subject=folder,
        )
