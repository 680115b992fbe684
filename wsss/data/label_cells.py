"""Cells of a dataset's own label table: class names, ``?name`` for a class that may be there, words for no class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from wsss.data.classlist import LabelNames
from wsss.data.label_rules import UNKNOWN_MARK, Rules, Word
from wsss.data.lists import LabelRow, split_labels

Known = tuple[tuple[int, ...] | None, tuple[int, ...]]
"""Indices of the classes in an image (``None``: nobody has said), and of those that may or may not be in it."""


@dataclass
class LabelCells:
    """Reads cells, and counts the words that are not classes.

    Args:
        names: the classes, and what each name means.
        rules: words for no class and for unknown; a name of ``names`` is a class whatever they say.
    """

    names: LabelNames
    rules: Rules
    words: Counter[tuple[Word, str]] = field(default_factory=Counter)

    def read(self, row: LabelRow) -> Known:
        """Return what a row says.

        Raises:
            InvalidInput: a name is neither a class nor such a word; names file and line.
        """
        marked: list[str] = []
        present: list[str] = []
        words: set[Word] = set()
        for name in split_labels(row.labels, tuple(self.names.index)):
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
        if Word.UNKNOWN in words:
            return (found or None), tuple(n for n in range(1, len(self.names.classes)) if found and n not in found)
        return found, unknown

    def notes(self) -> list[str]:
        """Return a line for each word that was read as no class or as unknown."""
        meaning = {
            Word.NEGATIVE: "no class is in the image (data.negative: [] reads it as the name of a class)",
            Word.UNKNOWN: "it is not known which classes are in the image",
            Word.MISSING: "an empty cell: no class is in the image",
            Word.BACKGROUND: "no class is in the image: the background is not a class",
        }
        return [
            f"{count} {'label' if count == 1 else 'labels'} {name!r} read as: {meaning[word]}."
            for (word, name), count in self.words.items()
        ]


def class_names(rows: Iterable[LabelRow], rules: Rules) -> list[str]:
    """Return the names in a label table that are classes, in alphabetical order."""
    names = {name.removeprefix(UNKNOWN_MARK) for row in rows for name in split_labels(row.labels, ())}
    return sorted(name for name in names if name and rules.word(name) is None)


def read_rows(
    rows: Iterable[LabelRow], names: LabelNames, rules: Rules, log: Callable[[str], None]
) -> dict[str, Known]:
    """Return image id → what its row says; words that are not classes are logged.

    Raises:
        InvalidInput: see `LabelCells.read`.
    """
    cells = LabelCells(names, rules)
    found = {row.id: cells.read(row) for row in rows}
    for line in cells.notes():
        log(line)
    return found
