"""Cells of a dataset's own label table: class names, ``?name`` for a class that may be there, words for no class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from wsss.data.class_list import LabelNames
from wsss.data.readers.label_rules import EMPTY, UNKNOWN_MARK, Rules, Word
from wsss.data.readers.label_tables import LabelRow, split_labels
from wsss.errors import counted, listing

Known = tuple[tuple[int, ...] | None, tuple[int, ...]]
"""Indices of the classes in an image (``None``: nobody has said), and of those that may or may not be in it."""


@dataclass
class LabelCells:
    """Reads cells, and counts the words that are not classes.

    Args:
        names: the classes, and what each name means.
        rules: words for no class and for unknown; a name of ``names`` is a class whatever they say.
        words: (kind, word) → how often it occurs.
        contradictions: rows with a class and a word for no class.
        way_out: what a note on such a word adds: the key that makes it a class.
    """

    names: LabelNames
    rules: Rules
    words: Counter[tuple[Word, str]] = field(default_factory=Counter)
    contradictions: list[str] = field(default_factory=list)
    way_out: str = ""

    def read(self, row: LabelRow) -> Known:
        """Return what a row says.

        Raises:
            InvalidInput: a name is neither a class nor such a word; names file and line.
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
        found = self.names.indices(present, row.where)
        unknown = tuple(index for index in self.names.indices(marked, row.where) if index not in found)
        if found and Word.NEGATIVE in words:
            self.contradictions.append(f"{row.where}: {row.labels}")
        if self.rules.empty_is_unknown and not (found or unknown) and words <= {Word.MISSING}:
            return None, ()
        if Word.UNKNOWN in words:
            return (found or None), tuple(n for n in range(1, len(self.names.classes)) if found and n not in found)
        return found, unknown

    def notes(self) -> list[str]:
        """Return a line for each word that was read as no class or as unknown."""
        meaning = {
            Word.NEGATIVE: "no class is in the image" + self.way_out,
            Word.UNKNOWN: "it is not known which classes are in the image",
            Word.MISSING: "an empty cell: no class is in the image",
            Word.BACKGROUND: "no class is in the image: the background is not a class",
        }
        lines = [
            f"{counted(count, 'label')} {name!r} read as: {meaning[word]}."
            for (word, name), count in self.words.items()
        ]
        if self.contradictions:
            lines.append(f"contradictory labels of an image, whose classes are taken: {listing(self.contradictions)}.")
        met = {name.casefold() for _, name in self.words}
        for key, chosen in (("negative", self.rules.negative or ()), ("unknown", self.rules.unknown)):
            absent = [word for word in chosen if word.casefold() not in met and word not in ("", EMPTY)]
            if absent:
                lines.append(f"data.{key} names {listing(absent)}, and no label is called that.")
        return lines


def names_of(cell: str, known: Collection[str], rules: Rules) -> list[str]:
    """Return the names in a cell; one that is as a whole a word such as "no finding" is not split."""
    whole = bool(cell) and cell not in known and rules.word(cell) is not None
    return [cell] if whole else split_labels(cell, tuple(known))


def class_names(rows: Iterable[LabelRow], rules: Rules) -> list[str]:
    """Return the names in a label table that are classes, in alphabetical order."""
    names = {name.removeprefix(UNKNOWN_MARK) for row in rows for name in names_of(row.labels, (), rules)}
    return sorted(name for name in names if name and rules.word(name) is None)


NEGATIVE_KEY = " (data.negative: [] reads it as the name of a class)"


def read_rows(
    rows: Iterable[LabelRow], names: LabelNames, rules: Rules, log: Callable[[str], None], *, way_out: str = ""
) -> dict[str, Known]:
    """Return image id → what its row says; words that are not classes are logged.

    Args:
        rows: of the table.
        names: the classes.
        rules: words for no class and for unknown.
        log: prints one line.
        way_out: see `LabelCells`.

    Raises:
        InvalidInput: see `LabelCells.read`.
    """
    cells = LabelCells(names, rules, way_out=way_out)
    found = {row.id: cells.read(row) for row in rows}
    for line in cells.notes():
        log(line)
    return found
