"""The state of reading one label file: the rules, the notes, and which rules were used."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wsss.data.readers.label_rules import EMPTY, NO, YES, Rules, Word, number_in
from wsss.errors import InvalidInput

Note = tuple[str, str]
"""(kind, message), as in `wsss.data.checks.check_report.Finding`."""

SOFT_HINT = "Set a threshold: --soft-threshold 0.5, or --soft-threshold 0.3,0.7 for unknown in between."
DECIMAL_COMMAS = "numbers with a decimal comma"
EMPTY_CELLS = "empty cells read as absent (--unknown empty: read as unknown)"
EMPTY_IMAGES = "images with an empty label, read as no class (--unknown empty: read as unlabelled)"
MISSING_WORDS = "labels read as empty cells"

_MINUS_ONE = "-1"


def times(count: int) -> str:
    """Return ``once`` or ``N times``."""
    return "once" if count == 1 else f"{count} times"


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a label file; `wsss.data.importers.importer_registry` lists which apply to which format.

    Args:
        format: one of `wsss.data.importers.importer_registry.FORMATS`, or ``auto``: by suffix, for JSON by content.
        separator: between labels in a cell of a CSV table or in a JSON string; ``None``: see
            `wsss.data.importers.rules.cells.separator_of`.
        classes: class list with the names of the vectors' elements, for ``npy``.
        label_key: key, column or control of the labels; comma-separated for several columns of 0 and 1; ``None``: one
            with a usual name.
        rules: which labels mean "no class" or "unknown"; ``None``: the usual words.
        image_key: key or column of the images; ``None``: one with a usual name.
        use_predictions: Label Studio: read the predictions of tasks without annotation.
    """

    format: str = "auto"
    separator: str | None = None
    classes: Path | None = None
    label_key: str | None = None
    rules: Rules | None = None
    image_key: str | None = None
    use_predictions: bool = False


class ReadContext:
    """The state of reading one label file.

    Attributes:
        options: the user's options.
        rules: which labels mean "no class" or "unknown".
        notes: notes so far.
    """

    def __init__(self, options: ReadOptions | None = None) -> None:
        self.options = options or ReadOptions()
        self.rules = self.options.rules or Rules()
        self.notes: list[Note] = []
        self._used: set[str] = set()
        self._minus_one: bool | None = None
        self._soft: Counter[bool | None] = Counter()
        self._missing: Counter[str] = Counter()

    def note(self, kind: str, *messages: str) -> None:
        """Add notes of one kind."""
        self.notes += [(kind, message) for message in messages]

    def word(self, label: str) -> Word | None:
        """Return the meaning of a label (see `Rules.word`), and record that it occurs."""
        self._used.add(label.strip().casefold())
        return self.rules.word(label)

    def empty_is_unknown(self) -> bool:
        """Return whether an empty cell means "unknown", and record that one occurs."""
        self._used.add(EMPTY)
        return self.rules.empty_is_unknown

    def resolve_minus_one(self, cells: Iterable[str], where: str) -> None:
        """Decide the meaning of -1 in a file of 0 and 1: "absent" if it replaces 0, otherwise "unknown".

        CheXpert writes 1, 0, -1 for present, absent, uncertain; other files write 1 and -1 for present and absent.

        Args:
            cells: all cells of 0 and 1 in the file.
            where: the file.
        """
        values = {_integer(cell.strip().casefold()) for cell in cells}
        if _MINUS_ONE not in values or _MINUS_ONE in (*self.rules.unknown, *(self.rules.negative or ())):
            return
        if values & NO:
            self.note("-1 together with 0, read as unknown (--negative -1: read as absent)", where)
        else:
            self._minus_one = False
            self.note("-1 in place of 0, read as absent (--unknown -1: read as unknown)", where)

    def presence(self, cell: str, where: str) -> bool | None:
        """Return whether a cell of 0 and 1 marks a class as present; ``None``: unknown.

        Args:
            cell: its text.

        Raises:
            InvalidInput: not a presence value (0, 1, yes, no, ``?`` …), or a soft label without a threshold.
        """
        text = _integer(cell.strip().casefold())
        word = self.word(text)
        if word is Word.MISSING:
            if text:
                self._missing[cell.strip()] += 1
            if self.empty_is_unknown():
                return None
            self.note(EMPTY_CELLS, where)
            return False
        if text == _MINUS_ONE and word is Word.UNKNOWN and text not in self.rules.unknown:
            return self._minus_one
        if word is Word.UNKNOWN:
            return None
        if word is Word.NEGATIVE or text in NO:
            return False
        return True if text in YES else self._number(text, where)

    def _number(self, text: str, where: str) -> bool | None:
        value = number_in(text)
        if value is None:
            raise InvalidInput(
                subject=where,
                found=text,
                allowed="0 or 1 (true or false, yes or no), ? for unknown, or an empty cell",
                hint="Other words for unknown or absent: --unknown WORD, --negative WORD.",
            )
        if "," in text:
            self.note(DECIMAL_COMMAS, f"{where}: {text} is {value:g}")
        return self.soft(value, where)

    def soft(self, value: float, where: str) -> bool | None:
        """Return whether a label in [0, 1] means "present"; ``None``: unknown.

        Raises:
            InvalidInput: out of range, or soft (neither 0 nor 1) without a threshold.
        """
        if not 0 <= value <= 1:
            raise InvalidInput(subject=where, found=value, allowed="a label from 0 to 1")
        try:
            present = self.rules.present(value)
        except ValueError as error:
            raise InvalidInput(
                "a soft label needs a threshold", subject=where, found=value, allowed="0 or 1", hint=SOFT_HINT
            ) from error
        self._soft[present] += 1
        return present

    def note_counts(self) -> None:
        """Note the number of labels decided by the threshold, and the words read as empty cells."""
        if self.rules.soft is not None and self._soft:
            counts = f"{self._soft[True]} present, {self._soft[False]} absent, {self._soft[None]} unknown"
            self.note("labels between 0 and 1, decided by --soft-threshold", counts)
        self.note(MISSING_WORDS, *(f"{word!r} ({times(count)})" for word, count in self._missing.items()))

    def require_used(self, classes: Iterable[str]) -> None:
        """Require the words of ``--negative`` and ``--unknown``, and soft labels for a threshold, to occur in the file.

        Args:
            classes: for a suggestion.

        Raises:
            InvalidInput: names the option and the word.
        """
        if self.rules.soft is not None and not self._soft:
            raise InvalidInput(
                "the file has no label between 0 and 1", subject="--soft-threshold", hint="Omit --soft-threshold."
            )
        known = list(classes)
        for option, words in (("--negative", self.rules.negative or ()), ("--unknown", self.rules.unknown)):
            for word in words:
                if (word or EMPTY).casefold() not in self._used:
                    raise InvalidInput("no such label in the file", subject=option, found=word, allowed=known or None)


def _integer(text: str) -> str:
    """Return ``-1`` for ``-1.0``: pandas writes a column of integers with an empty cell as floats."""
    return re.sub(r"(-?[0-9]+)[.,]0+", r"\1", text) if re.fullmatch(r"-?[0-9]+[.,]0+", text) else text
