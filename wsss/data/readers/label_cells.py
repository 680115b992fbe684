"""Cells of a dataset's label table: class names, ``?name`` for an unknown label, and words for no class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from wsss.data.class_list import LabelNames
from wsss.data.readers.label_rules import EMPTY, UNKNOWN_MARK, Rules, Word
from wsss.data.readers.label_tables import LabelRow, split_labels
from wsss.errors import counted, listing

Known = tuple[tuple[int, ...] | None, tuple[int, ...]]
"""Indices of the classes in an image (``None`` if unlabelled), and of those that may or may not be in it."""


@dataclass
class LabelCells:
    """Parser of cells that counts the words that are not classes.

    Args:
        names: the classes, and the valid names.
        rules: words for no class and for unknown labels; names of classes take precedence.
        words: (kind, word) → number of occurrences.
        contradictions: rows with both a class and a word for no class.
        way_out: added to the note on a word for no class: the key that makes it a class.
    """

    names: LabelNames
    rules: Rules
    words: Counter[tuple[Word, str]] = field(default_factory=Counter)
    contradictions: list[str] = field(default_factory=list)
    way_out: str = ""

    def read(self, row: LabelRow) -> Known:
        """Return the labels of a row.

        Raises:
            InvalidInput: an unknown name; names file and line.
        """
        marked: list[str] = []
        present: list[str] = []
        words: set[Word] = set()
        for name in names_of(row.labels, self.names.index, self.rules):
            word = None if name in self.names.index else self.rules.word(name)
            if word is not None:
                words.add(word)
                self.words[word, name] += 1
            elif name.startswith(UNKNOWN_MARK):
                marked.append(name.removeprefix(UNKNOWN_MARK))
            else:
                present.append(name)
        labels = self.names.indices(present, row.where)
        unknown = tuple(index for index in self.names.indices(marked, row.where) if index not in labels)
        if labels and Word.NEGATIVE in words:
            self.contradictions.append(f"{row.where}: {row.labels}")
        if not labels and len(unknown) == len(self.names.classes) - 1:  # nothing is known about the image
            return None, ()
        if self.rules.empty_is_unknown and not (labels or unknown) and words <= {Word.MISSING}:
            return None, ()
        if Word.UNKNOWN in words:
            others = tuple(n for n in range(1, len(self.names.classes)) if n not in labels)
            return (labels, others) if labels else (None, ())
        return labels, unknown

    def notes(self) -> list[str]:
        """Return a line for each word that was read as no class or as unknown."""
        meaning = {
            Word.NEGATIVE: f"no class{self.way_out}",
            Word.UNKNOWN: "unlabelled",
            Word.MISSING: "no class (empty cell)",
            Word.BACKGROUND: "no class (the background is not a class)",
        }
        lines = [
            f"{counted(count, 'label')} {name!r} read as: {meaning[word]}."
            for (word, name), count in self.words.items()
        ]
        if self.contradictions:
            lines.append(
                f"a class together with a word for no class, read as the class: {listing(self.contradictions)}."
            )
        used = {name.casefold() for _, name in self.words}
        for key, words in (("negative", self.rules.negative or ()), ("unknown", self.rules.unknown)):
            unused = [word for word in words if word.casefold() not in used and word not in ("", EMPTY)]
            if unused:
                lines.append(f"data.{key}: no label is {listing(unused)}.")
        return lines


def names_of(cell: str, known: Collection[str], rules: Rules) -> list[str]:
    """Return the names in a cell; a cell that as a whole is a word such as "no finding" is not split."""
    whole = bool(cell) and cell not in known and rules.word(cell) is not None
    return [cell] if whole else split_labels(cell, tuple(known))


def class_names(rows: Iterable[LabelRow], rules: Rules, known: Collection[str] = ()) -> list[str]:
    """Return the class names in a label table in alphabetical order.

    Args:
        known: names that are not split at spaces.
    """
    names = {name.removeprefix(UNKNOWN_MARK) for row in rows for name in names_of(row.labels, known, rules)}
    return sorted(name for name in names if name and rules.word(name) is None)


NEGATIVE_KEY = " (data.negative: [] reads it as the name of a class)"


def read_rows(
    rows: Iterable[LabelRow], names: LabelNames, rules: Rules, log: Callable[[str], None], *, way_out: str = ""
) -> dict[str, Known]:
    """Return image id → labels; words that are not classes are logged.

    Args:
        rules: words for no class and for unknown labels.
        way_out: see `LabelCells`.

    Raises:
        InvalidInput: see `LabelCells.read`.
    """
    cells = LabelCells(names, rules, way_out=way_out)
    labels = {row.id: cells.read(row) for row in rows}
    for line in cells.notes():
        log(line)
    return labels
