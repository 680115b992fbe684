"""The result of every importer: the labels of each image, with their location in the file."""

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
        where: location of the labels, ``"file:line"`` or ``"file: key"``.
        split: split of the image, if the file names one.
        unknown: classes whose presence is unknown.
        explicit: whether the file states which classes are absent, as a column of 0 and 1 does; an empty list does not.
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
        entries: one per image, in the order of the file.
        classes: all classes, in the order of the file if it declares them, otherwise in alphabetical order.
        notes: notes on decisions made while reading, and on skipped content.
        left_out: image files that are not images of the dataset, such as masks.
        separable: whether ``--separator`` applies to the format.
    """

    format: str
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    left_out: frozenset[str] = frozenset()
    separable: bool = False


def explicit_entry(image: str, presence: Mapping[str, bool | None], where: str, split: str | None = None) -> Entry:
    """Return the entry of an image from the presence of every class (``None``: unknown)."""
    present = tuple(name for name, value in presence.items() if value)
    unknown = tuple(name for name, value in presence.items() if value is None)
    return Entry(image, present, where, split, unknown, explicit=True)


def any_present(first: bool | None, second: bool | None) -> bool | None:
    """Combine the presence of a class in two annotations: present if in either, otherwise unknown if in either."""
    if first or second:
        return True
    return None if first is None or second is None else False


def class_name(value: object, where: str) -> str:
    """Return a class name, stripped.

    Raises:
        InvalidInput: the value is not a string, is empty, or contains a character that ends a name in label tables or
            class lists.
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
