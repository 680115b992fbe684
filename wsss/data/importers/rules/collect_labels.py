"""From the entries of a file to `Labels`: split names, classes, one entry per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from wsss.data.importers.rules.class_words import ClassWords
from wsss.data.importers.rules.imported_labels import Entry, Labels
from wsss.data.importers.rules.joined_entries import join_entries
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import split_name
from wsss.data.readers.label_rules import Rules
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE


def collect(format: str, entries: Iterable[Entry], context: ReadContext, *, classes: Sequence[str] = ()) -> Labels:
    """Return `Labels`: labels that are not classes are resolved by the rules, entries of one image are joined.

    Args:
        format: see `Labels`.
        entries: as in the file; an image with several entries has the labels of all.
        context: rules, and the notes so far.
        classes: in the file's order; by default all names that occur, in alphabetical order.

    Raises:
        InvalidInput: no entry, no class, more classes than a mask has values, an image in two splits, an invalid
            split name, or a word of the rules that does not occur.
    """
    raw = [_with_split_name(entry, context) for entry in entries]
    if not raw:
        raise InvalidInput(f"no images in {format}")
    words = ClassWords(raw, classes, context)
    joined: dict[str, Entry] = {}
    for entry in map(words.resolve, raw):
        joined[entry.image] = join_entries(joined[entry.image], entry, context) if entry.image in joined else entry
    context.require_used(words.classes)
    context.note_counts()
    _require_effect(raw, words, context)
    _check_classes(words, format)
    return Labels(format, tuple(joined.values()), words.classes, tuple(dict.fromkeys(context.notes)))


def _with_split_name(entry: Entry, context: ReadContext) -> Entry:
    if entry.split is None:
        return entry
    split = split_name(entry.split, entry.where)
    if split != entry.split:
        context.note("splits with other names", f"{entry.split} → {split}")
    return replace(entry, split=split)


def _require_effect(entries: Sequence[Entry], words: ClassWords, context: ReadContext) -> None:
    """Require ``--no-negatives`` to have an effect: it has none in a file with the presence of each class."""
    if context.rules.negative != () or not all(entry.explicit for entry in entries):
        return
    if not any(Rules().word(name) for name in words.classes):
        raise InvalidInput(
            "no effect: the file has a value for every class, and no class name is a word for negative images",
            subject="--no-negatives",
            hint="Omit --no-negatives.",
        )


def _check_classes(words: ClassWords, format: str) -> None:
    if not words.classes and words.negative:
        raise InvalidInput(
            f"no classes in {format}: every label is a word for negative images",
            found=words.negative,
            hint="If they are classes: --no-negatives",
        )
    if not words.classes:
        raise InvalidInput(
            f"no classes in {format}: every image has an empty list of labels",
            hint="Label at least some images with a class.",
        )
    if len(words.classes) >= IGNORE:
        raise InvalidInput(
            "too many classes", found=len(words.classes), allowed=f"at most {IGNORE - 1}, the number of mask values"
        )
