"""Checks of the datasets that layouts of other packages return; built-in layouts validate their files themselves."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import TYPE_CHECKING, Any

from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput, Verbatim

if TYPE_CHECKING:
    from pathlib import Path


def check_dataset(dataset: Any, subject: str) -> None:
    """Require a dataset whose ids and labels are valid.

    Mistakes would go unnoticed: label 0 would select the last class, and images with the same id would overwrite each
    other's masks.

    Args:
        dataset: the return value of the layout.
        subject: the layout, as the subject of errors.

    Raises:
        InvalidInput: not a `Dataset`; an id that is invalid or that several images have; or invalid labels.
    """
    from wsss.data.dataset import Dataset

    if not isinstance(dataset, Dataset):
        raise InvalidInput(
            subject=f"{subject}: return value",
            found=Verbatim(type(dataset).__name__),
            allowed="a wsss.data.dataset.Dataset",
        )
    images: dict[str, Path] = {}
    for split, samples in dataset.splits.items():
        where = f"{subject}: split {split}"
        if len({sample.id for sample in samples}) < len(samples):
            ids = [sample.id for sample in samples]
            twice = next(id for id in ids if ids.count(id) > 1)
            raise InvalidInput("two samples have the same id", subject=where, found=twice, allowed="unique ids")
        for sample in samples:
            check_id(sample.id, where)
            if images.setdefault(sample.id, sample.image) != sample.image:
                raise InvalidInput(
                    "an image of another split has the same id", subject=where, found=sample.id, allowed="unique ids"
                )
            for labels in (() if sample.labels is None else sample.labels, sample.unknown):
                _check_labels(labels, len(dataset.classes.foreground), f"{where}: {sample.id}")


def _check_labels(labels: Iterable[Any], classes: int, where: str) -> None:
    found = list(labels)
    valid = all(isinstance(label, Integral) and 1 <= int(label) <= classes for label in found)
    if not valid or found != sorted(set(found)):
        raise InvalidInput(
            "invalid labels",
            subject=where,
            found=found,
            allowed=f"ascending class indices 1 to {classes}; 0 is the background",
        )
