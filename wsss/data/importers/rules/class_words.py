"""Classification of labels: classes, or words for "no class", "background", "unknown" or an empty cell."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from wsss.data.importers.rules.imported_labels import Entry
from wsss.data.importers.rules.joined_entries import CONTRADICTION
from wsss.data.importers.rules.read_context import EMPTY_IMAGES, MISSING_WORDS, ReadContext, times
from wsss.data.readers.label_rules import UNKNOWN_MARK, Word, may_be_unknown


class ClassWords:
    """The meaning of every label in a file.

    Args:
        entries: all entries, with their labels as in the file.
        declared: classes that the file declares, in its order.
        context: rules for labels; receives the notes.

    Attributes:
        classes: the classes, in declared order if the file declares any, otherwise in alphabetical order.
        negative: the labels that mean "no class".
    """

    def __init__(self, entries: Sequence[Entry], declared: Sequence[str], context: ReadContext) -> None:
        self._context = context
        declared = [_without_mark(name) for name in declared]
        self._counts = Counter(name for entry in entries for name in _names(entry))
        names = list(dict.fromkeys([*declared, *self._counts]))
        self._word = {name: context.word(name) for name in names}
        self._keep_declared(declared)
        self._keep_qualities(entries)
        kept = {name for name in names if self._word[name] is None}
        self.classes = tuple(dict.fromkeys(name for name in declared if name in kept)) or tuple(sorted(kept))
        self.negative = tuple(name for name in names if self._word[name] is Word.NEGATIVE)
        self._note_words()

    def resolve(self, entry: Entry) -> Entry:
        """Return the entry with classes as its only labels; ``labels`` is ``None`` if the entry is unlabelled."""
        if entry.labels is None:
            return entry
        plain = [name for name in entry.labels if not _is_marked(name)]
        marked = [_without_mark(name) for name in entry.labels if _is_marked(name)]
        words = {self._word[name] for name in plain}
        labels = tuple(dict.fromkeys(name for name in plain if self._word[name] is None))
        uncertain = self.classes if Word.UNKNOWN in words else (*entry.unknown, *marked)
        unknown = tuple(name for name in self.classes if name in uncertain and name not in labels)
        if labels and Word.NEGATIVE in words:
            word = next(name for name in plain if self._word[name] is Word.NEGATIVE)
            self._context.note(CONTRADICTION, f"{entry.where}: {entry.image}: {word!r} beside {labels[0]!r}")
        if not (entry.explicit or labels or unknown or words & {Word.NEGATIVE, Word.BACKGROUND}):
            if self._context.empty_is_unknown():
                return replace(entry, labels=None)
            self._context.note(EMPTY_IMAGES, f"{entry.image} ({entry.where})")
        if not labels and unknown and len(unknown) == len(self.classes):
            return replace(entry, labels=None, unknown=())
        return replace(entry, labels=labels, unknown=unknown)

    def _keep_declared(self, declared: Sequence[str]) -> None:
        """Keep words such as "unknown" as classes if the file declares them, unless ``--unknown`` names them."""
        chosen = {word.casefold() for word in self._context.rules.unknown}
        for name in declared:
            if self._word[name] is Word.UNKNOWN and may_be_unknown(name) and name.casefold() not in chosen:
                self._word[name] = None
                self._context.note(
                    "classes whose names usually mean unknown, kept as classes",
                    f"{name!r} (--unknown {shlex.quote(name)}: read as unknown)",
                )

    def _keep_qualities(self, entries: Sequence[Entry]) -> None:
        """Keep a word that usually means "no class" as a class if it mostly occurs with classes: a quality ("good")."""
        if self._context.rules.negative is not None:
            return
        alone, with_classes = Counter[str](), Counter[str]()
        for entry in entries:
            words = {name: self._word[name] for name in entry.labels or () if not _is_marked(name)}
            count = with_classes if None in words.values() else alone
            count.update(name for name, word in words.items() if word is Word.NEGATIVE)
        for name in with_classes:
            if with_classes[name] > alone[name]:
                self._word[name] = None
                self._context.note(
                    "labels that usually mean no class, kept as classes: they occur together with other classes",
                    f"{name!r} (--negative {name}: read as no class)",
                )

    def _note_words(self) -> None:
        default = self._context.rules.negative is None
        kinds = {
            Word.NEGATIVE: f"labels read as no class{' (--no-negatives: kept as classes)' if default else ''}",
            Word.BACKGROUND: "background labels, left out: every image has a background",
            Word.UNKNOWN: "labels read as unknown (--negative WORD: read as no class"
            + ("; --no-negatives: words such as unknown kept as classes)" if default else ")"),
            Word.MISSING: MISSING_WORDS,
        }
        for name, word in self._word.items():
            if word is not None:
                self._context.note(kinds[word], f"{name!r} ({times(self._counts[name])})")


def _is_marked(name: str) -> bool:
    """Return whether a label marks a class as unknown (``?cat``)."""
    return name.startswith(UNKNOWN_MARK) and len(name) > len(UNKNOWN_MARK)


def _without_mark(name: str) -> str:
    return name.removeprefix(UNKNOWN_MARK) if _is_marked(name) else name


def _names(entry: Entry) -> Iterator[str]:
    return map(_without_mark, (*(entry.labels or ()), *entry.unknown))
