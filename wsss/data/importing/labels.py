"""What every importer returns: which image has which labels, and where the file says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from wsss.data.classlist import BACKGROUND
from wsss.data.lists import check_id
from wsss.errors import InvalidInput
from wsss.io.masks import IGNORE

Note = tuple[str, str]
"""(kind, message): something worth knowing, as in `wsss.data.check.Finding`."""

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of splits in lower case → what we call them."""


@dataclass(frozen=True)
class Entry:
    """What a label file says of one image.

    Args:
        image: how the file names the image: an id, a file name, a path or a URL.
        labels: names of the classes in the image; none of them: the image shows no class.
        where: ``"file:line"`` or ``"file: key"``.
        split: the split that the file puts the image into, if it does.
    """

    image: str
    labels: tuple[str, ...]
    where: str
    split: str | None = None


@dataclass(frozen=True)
class Labels:
    """A label file, read.

    Args:
        format: of the file, in words.
        entries: one per image, in the file's order.
        classes: every class that the file knows, in its order, or in alphabetical order where it has none.
        notes: what was left out or decided while reading.
    """

    format: str
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    notes: tuple[Note, ...] = ()


def class_name(value: object, where: str) -> str:
    """Return a class name without surrounding spaces.

    Raises:
        InvalidInput: it is no text, is empty, or has a character that our own label table can't hold.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{where}: found {value!r}; a class name is a text of one character or more.")
    name = value.strip()
    wrong = [
        sign
        for sign in name
        if sign in ";|" or ord(sign) < 32 or ord(sign) == 127 or not f"a{sign}".splitlines()[0][1:]
    ]
    if wrong:
        raise InvalidInput(
            f"{where}: the class name {name!r} has the character {wrong[0]!r} in it, which ends a name in label "
            "tables and class lists.",
            mend="Give the class another name in this file.",
        )
    return name


def collect(format: str, entries: Iterable[Entry], classes: Sequence[str] = (), notes: Iterable[Note] = ()) -> Labels:
    """Return `Labels`, with the label ``background`` taken out: it is in every image and says nothing.

    Args:
        format: see `Labels`.
        entries: several of one image are joined: the image has all their labels.
        classes: in the file's order; by default all names that occur, in alphabetical order.
        notes: see `Labels`.

    Raises:
        InvalidInput: there is no entry, no class, or more classes than a mask has values; or two entries of one image
            put it into different splits, or a split can't have its name.
    """
    joined: dict[str, Entry] = {}
    renamed: dict[str, str] = {}
    for entry in entries:
        if entry.split is not None:
            split = _split_name(entry.split, entry.where)
            if split != entry.split:
                renamed[entry.split] = split
            entry = replace(entry, split=split)
        joined[entry.image] = _joined(joined[entry.image], entry) if entry.image in joined else entry
    if not joined:
        raise InvalidInput(f"The file holds no image: read as {format}, it is empty.")
    found = [*notes, *(("splits of another name", f"{theirs}, taken as {ours}") for theirs, ours in renamed.items())]
    names = list(classes) or sorted({name for entry in joined.values() for name in entry.labels})
    if BACKGROUND in names:
        found.append(("labels 'background', left out", "every image has a background; it needs no label"))
        names.remove(BACKGROUND)
    kept = [
        Entry(entry.image, tuple(name for name in entry.labels if name != BACKGROUND), entry.where, entry.split)
        for entry in joined.values()
    ]
    if not names:
        raise InvalidInput(f"No class is named: read as {format}, every image has an empty list of labels.")
    if len(names) >= IGNORE:
        raise InvalidInput(f"There are {len(names)} classes; a mask has values for {IGNORE - 1}.")
    return Labels(format, tuple(kept), tuple(names), tuple(found))


def _split_name(value: str, where: str) -> str:
    """Return what we call a split; it becomes the name of a list of ids.

    Raises:
        InvalidInput: the name can't be that of a file.
    """
    name = value.strip()
    try:
        return SPLITS.get(name.lower()) or check_id(name, where)
    except InvalidInput as error:
        raise InvalidInput(
            f"{where}: found the split {value[:60]!r}; allowed is a plain name, without folders, '..' and control "
            "characters, not hidden, of at most 200 bytes.",
            mend="Call it train, val, test or the like.",
        ) from error


def _joined(first: Entry, second: Entry) -> Entry:
    if first.split != second.split:
        raise InvalidInput(
            f"{second.where}: image {second.image!r} is in split {second.split!r}, and at {first.where} in split "
            f"{first.split!r}; an image belongs to one split."
        )
    labels = dict.fromkeys([*first.labels, *second.labels])
    return Entry(first.image, tuple(labels), first.where, first.split)
