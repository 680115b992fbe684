"""What every importer returns: which image has which labels, and where the file says so."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from wsss.data.importers.rules.read_context import EMPTY_IMAGES, MISSING_WORDS, Note, ReadContext, times
from wsss.data.readers.label_rules import UNKNOWN_MARK, Rules, Word, may_be_unknown
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE

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
        labels: names of the classes in the image, ``()`` where it shows none; ``None``: nobody has said.
        where: ``"file:line"`` or ``"file: key"``.
        split: the split that the file puts the image into, if it does.
        unknown: names of the classes that may or may not be in the image.
        explicit: the file states which classes are absent (0 in a column of 0 and 1); an empty list states nothing.
    """

    image: str
    labels: tuple[str, ...] | None
    where: str
    split: str | None = None
    unknown: tuple[str, ...] = ()
    explicit: bool = False


@dataclass(frozen=True)
class Labels:
    """A label file, read.

    Args:
        format: of the file, in words.
        entries: one per image, in the file's order.
        classes: every class that the file knows, in its order, or in alphabetical order where it has none.
        notes: what was left out or decided while context.
        left_out: files of images that don't belong to the dataset, such as masks.
    """

    format: str
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    left_out: frozenset[str] = frozenset()


def stated(image: str, presence: Mapping[str, bool | None], where: str, split: str | None = None) -> Entry:
    """Return the entry of an image of which a file says for every class whether it is there (``None``: unknown)."""
    present = tuple(name for name, there in presence.items() if there)
    unknown = tuple(name for name, there in presence.items() if there is None)
    return Entry(image, present, where, split, unknown, explicit=True)


def either(first: bool | None, second: bool | None) -> bool | None:
    """Return whether a class is present by two statements of one image, where false only says: not this object."""
    return True if first or second else None if first is None or second is None else False


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
            hint="Give the class another name in this file.",
        )
    return name


def collect(
    format: str, entries: Iterable[Entry], classes: Sequence[str] = (), *, context: ReadContext | None = None
) -> Labels:
    """Return `Labels`: words that are not classes are taken out by the rules, and entries of one image are joined.

    Args:
        format: see `Labels`.
        entries: as the file has them; several of one image are joined: the image has all their labels.
        classes: in the file's order; by default all names that occur, in alphabetical order.
        context: rules, and the notes so far.

    Raises:
        InvalidInput: there is no entry, no class, or more classes than a mask has values; two entries of one image
            put it into different splits, a split can't have its name, or a word of the rules occurs nowhere.
    """
    context = context or ReadContext()
    raw = [_with_split(entry, context) for entry in entries]
    if not raw:
        raise InvalidInput(f"The file holds no image: read as {format}, it is empty.")
    words = _Words(raw, classes, context)
    joined: dict[str, Entry] = {}
    for entry in (words.resolve(entry) for entry in raw):
        joined[entry.image] = joined_entry(joined[entry.image], entry, context) if entry.image in joined else entry
    context.require_used(words.classes)
    context.note_counts()
    _refuse_no_negatives(raw, words, context)
    _check_classes(words, format)
    return Labels(format, tuple(joined.values()), words.classes, tuple(dict.fromkeys(context.notes)))


class _Words:
    """The classes of a file, and what its other labels mean."""

    def __init__(self, entries: Sequence[Entry], classes: Sequence[str], context: ReadContext) -> None:
        self._context = context
        classes = [_without_mark(name) for name in classes]
        names = list(dict.fromkeys([*classes, *(name for entry in entries for name in _named(entry))]))
        self._kind = {name: context.word(name) for name in names}
        self._keep_declared(classes)
        self._count = Counter(name for entry in entries for name in _named(entry))
        self._keep_classes_beside_others(entries)
        kept = {name for name in names if self._kind[name] is None}
        self.classes = tuple(dict.fromkeys(name for name in classes if name in kept)) or tuple(sorted(kept))
        self.negative = tuple(name for name in names if self._kind[name] is Word.NEGATIVE)
        self._note_words()

    def resolve(self, entry: Entry) -> Entry:
        """Return an entry whose labels are classes alone; ``labels`` is ``None`` where nothing is known."""
        if entry.labels is None:
            return entry
        words = [name for name in entry.labels if not _is_marked(name)]
        marked = [_without_mark(name) for name in entry.labels if _is_marked(name)]
        kinds = {self._kind[name] for name in words}
        labels = tuple(dict.fromkeys(name for name in words if self._kind[name] is None))
        open_ones = self.classes if Word.UNKNOWN in kinds else (*entry.unknown, *marked)
        unknown = tuple(name for name in self.classes if name in open_ones and name not in labels)
        if labels and Word.NEGATIVE in kinds:
            said = next(name for name in words if self._kind[name] is Word.NEGATIVE)
            self._context.note(CONTRADICTION, f"{entry.where}: {entry.image}: {said!r} beside {labels[0]!r}")
        stated = entry.explicit or labels or unknown or kinds & {Word.NEGATIVE, Word.BACKGROUND}
        if not stated and self._empty_is_unknown(entry):
            return replace(entry, labels=None)
        if not labels and unknown and len(unknown) == len(self.classes):
            return replace(entry, labels=None, unknown=())
        return replace(entry, labels=labels, unknown=unknown)

    def _empty_is_unknown(self, entry: Entry) -> bool:
        if self._context.empty_is_unknown():
            return True
        self._context.note(EMPTY_IMAGES, f"{entry.image} ({entry.where})")
        return False

    def _keep_declared(self, classes: Sequence[str]) -> None:
        """Take words such as "unknown" for classes where the file has a list of its classes with them in it."""
        own = {word.casefold() for word in self._context.rules.unknown}
        for name in classes:
            if self._kind[name] is Word.UNKNOWN and may_be_unknown(name) and name.casefold() not in own:
                self._kind[name] = None
                kind = "classes whose names may mean that nobody knows, kept as classes"
                self._context.note(kind, f"{name!r} (--unknown {shlex.quote(name)} says that it is not known)")

    def _keep_classes_beside_others(self, entries: Sequence[Entry]) -> None:
        """Take a usual word for a class where it mostly stands beside classes: "good" may be a quality, too."""
        if self._context.rules.negative is not None:
            return
        alone, beside = Counter[str](), Counter[str]()
        for entry in entries:
            kinds = {name: self._kind[name] for name in entry.labels or () if not _is_marked(name)}
            count = beside if None in kinds.values() else alone
            count.update(name for name, kind in kinds.items() if kind is Word.NEGATIVE)
        for name in beside:
            if beside[name] > alone[name]:
                self._kind[name] = None
                self._context.note(
                    "labels that usually mean that no class is in the image, kept as classes: they stand beside others",
                    f"{name!r} (--negative {name} takes it for no class)",
                )

    def _note_words(self) -> None:
        way_out = " (--no-negatives keeps them as classes)" if self._context.rules.negative is None else ""
        keeps = "; --no-negatives keeps words such as unknown as classes" if way_out else ""
        kinds = {
            Word.NEGATIVE: "labels read as: no class is in the image" + way_out,
            Word.BACKGROUND: "labels of the background, left out: every image has a background",
            Word.UNKNOWN: f"labels read as: not known (--negative WORD says that no class is in the image{keeps})",
            Word.MISSING: MISSING_WORDS,
        }
        for name, kind in self._kind.items():
            if kind is not None:
                self._context.note(kinds[kind], f"{name!r} ({times(self._count[name])})")


def _is_marked(name: str) -> bool:
    """Whether a label leaves open if a class is there (``?cat``)."""
    return name.startswith(UNKNOWN_MARK) and len(name) > len(UNKNOWN_MARK)


def require_one_split(first: Entry, second: Entry, image: str) -> None:
    """Refuse two entries of one image that put it into different splits.

    Raises:
        InvalidInput: names the places of both.
    """
    if first.split != second.split:
        one, other = ("no split" if split is None else f"split {split!r}" for split in (second.split, first.split))
        raise InvalidInput(
            f"{second.where}: image {image} is in {one}, and at {first.where} in {other}; an image belongs to one "
            "split."
        )


def _named(entry: Entry) -> Iterator[str]:
    return map(_without_mark, (*(entry.labels or ()), *entry.unknown))


def _without_mark(name: str) -> str:
    return name.removeprefix(UNKNOWN_MARK) if _is_marked(name) else name


CONTRADICTION = "contradictory labels of one image; its classes are taken"


def joined_entry(first: Entry, second: Entry, context: ReadContext, *, image: str | None = None) -> Entry:
    """Return one entry with what two say of one image; where they contradict each other, that is noted.

    Args:
        first, second: with resolved labels.
        context: takes the note.
        image: what to call it; by default as the entries do.

    Raises:
        InvalidInput: they put the image into different splits.
    """
    name = image or repr(second.image)
    require_one_split(first, second, name)
    if first.labels is None or second.labels is None:
        known = second if first.labels is None else first
        return replace(first, labels=known.labels, unknown=known.unknown, explicit=known.explicit)
    if set(first.labels) != set(second.labels):
        contradiction = not first.labels or not second.labels or (first.explicit and second.explicit)
        said = " and ".join(
            f"{entry.where}: {', '.join(entry.labels or ()) or 'no class'}" for entry in (first, second)
        )
        kind = CONTRADICTION if contradiction else "images in several rows with different labels; all are taken"
        context.note(kind, f"{name}: {said}")
    labels = tuple(dict.fromkeys([*first.labels, *second.labels]))
    # What one of the two knows is known.
    unknown = tuple(name for name in first.unknown if name in second.unknown and name not in labels)
    return replace(first, labels=labels, unknown=unknown, explicit=first.explicit and second.explicit)


def _check_classes(words: _Words, format: str) -> None:
    if not words.classes and words.negative:
        raise InvalidInput(
            f"No class is named: read as {format}, all labels ({', '.join(map(repr, words.negative))}) mean that no "
            "class is in the image.",
            hint="If they are classes: --no-negatives",
        )
    if not words.classes:
        raise InvalidInput(f"No class is named: read as {format}, every image has an empty list of labels.")
    if len(words.classes) >= IGNORE:
        raise InvalidInput(f"There are {len(words.classes)} classes; a mask has values for {IGNORE - 1}.")


def _refuse_no_negatives(entries: Sequence[Entry], words: _Words, context: ReadContext) -> None:
    """Refuse ``--no-negatives`` where a file says of each class by itself whether it is there.

    Raises:
        InvalidInput: it has no effect.
    """
    if context.rules.negative != () or not all(entry.explicit for entry in entries):
        return
    if not any(Rules().word(name) for name in words.classes):
        raise InvalidInput(
            "--no-negatives: the file says of each class whether it is present, and no class is called like a word "
            "for none.",
            hint="Leave --no-negatives out.",
        )


def _with_split(entry: Entry, context: ReadContext) -> Entry:
    """Return the entry with the name that we use for its split."""
    if entry.split is None:
        return entry
    split = _split_name(entry.split, entry.where)
    if split != entry.split:
        context.note("splits of another name", f"{entry.split}, taken as {split}")
    return replace(entry, split=split)


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
            hint="Call it train, val, test or the like.",
        ) from error
