"""What every importer returns: the labels of each image, with their location in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wsss.data.importers.rules.read_context import Note
from wsss.errors import InvalidInput

_FORBIDDEN = re.compile(r"[;|\x00-\x1f\x7f\x85\u2028\u2029]")
"""Characters that end a name in label tables and class lists."""


@dataclass(frozen=True)
class Entry:
    """The labels of one image.

    Args:
        image: name of the image in the file: an id, a file name, a path or a URL.
        labels: classes in the image, ``()`` for none; ``None``: unlabelled.
        where: location: ``"file:line"`` or ``"file: key"``.
        split: split of the image, if the file names one.
        unknown: classes whose presence is unknown.
        explicit: the file states which classes are absent (0 in a column of 0 and 1); an empty list does not.
    """

    image: str
    labels: tuple[str, ...] | None
    where: str
    split: str | None = None
    unknown: tuple[str, ...] = ()
    explicit: bool = False


@dataclass(frozen=True)
class Labels:
    """The content of a label file.

    Args:
        format: description of the format.
        entries: one per image, in the file's order.
        classes: all classes, in the file's order if it has one, else in alphabetical order.
        notes: decisions made while reading, and what was left out.
        left_out: image files that do not belong to the dataset, such as masks.
    """

    format: str
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    left_out: frozenset[str] = frozenset()


def explicit_entry(image: str, presence: Mapping[str, bool | None], where: str, split: str | None = None) -> Entry:
    """Return the entry of an image with the presence of every class (``None``: unknown)."""
    present = tuple(name for name, value in presence.items() if value)
    unknown = tuple(name for name, value in presence.items() if value is None)
    return Entry(image, present, where, split, unknown, explicit=True)


def any_present(first: bool | None, second: bool | None) -> bool | None:
    """Return whether a class is present according to two annotations, where false only means "not this object"."""
    return True if first or second else None if first is None or second is None else False


def class_name(value: object, where: str) -> str:
    """Return a class name, stripped.

    Raises:
        InvalidInput: not a string, empty, or with a character that ends a name in label tables and class lists.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(subject=where, found=value, allowed="a class name")
    name = value.strip()
    if _FORBIDDEN.search(name):
        raise InvalidInput(
            subject=where,
            found=name,
            allowed="a class name without ';', '|' and control characters",
            hint="Rename the class in this file.",
        )
    return name
