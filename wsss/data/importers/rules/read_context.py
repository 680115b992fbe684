"""One reading of a label file: the rules in force, the notes made on the way, and which rules were needed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from wsss.data.readers.label_rules import EMPTY, NO, YES, Rules, Word, number_in
from wsss.errors import InvalidInput, closest

Note = tuple[str, str]
"""(kind, message): something worth knowing, as in `wsss.data.checks.check.Finding`."""

_MINUS_ONE = "-1"
SOFT_MEND = (
    "Say from where on a class is present: --soft-threshold 0.5, or --soft-threshold 0.3,0.7 to leave open what lies "
    "between."
)
DECIMAL_COMMAS = "numbers with a decimal comma"
EMPTY_CELLS = "empty cells, read as: the class is absent (--unknown empty says it is not known)"
EMPTY_IMAGES = "images with an empty label, read as: no class is in the image (--unknown empty leaves them unlabelled)"


MISSING_WORDS = "labels read as an empty cell"


def times(count: int) -> str:
    """Return how often something occurs, in words."""
    return "once" if count == 1 else f"{count} times"


class ReadContext:
    """What a reader needs besides its file.

    Args:
        rules: see `Rules`.
        image_key: key or column that names the image; ``None``: as it is usually called.
    """

    def __init__(self, rules: Rules | None = None, *, image_key: str | None = None) -> None:
        self.rules = rules or Rules()
        self.image_key = image_key
        self.notes: list[Note] = []
        self._used: set[str] = set()
        self._minus_one: bool | None = None
        self._soft: Counter[bool | None] = Counter()
        self._missing: Counter[str] = Counter()

    def note(self, kind: str, *messages: str) -> None:
        """Add notes of one kind."""
        self.notes += [(kind, message) for message in messages]

    def word(self, label: str) -> Word | None:
        """Return what a label is (see `Rules.word`), and remember that it was met."""
        self._used.add(label.strip().casefold())
        return self.rules.word(label)

    def empty_is_unknown(self) -> bool:
        """Whether an empty cell means "not known"; remembers that there was one."""
        self._used.add(EMPTY)
        return self.rules.empty_is_unknown

    def settle_minus_one(self, cells: Iterable[str], where: str) -> None:
        """Decide what -1 means in a file of 0 and 1: "absent" where it takes the place of 0, else "not known".

        CheXpert writes 1, 0, -1 for present, absent, uncertain; other files write 1 and -1 for present and absent.

        Args:
            cells: all cells of 0 and 1 in the file.
            where: of the file.
        """
        texts = {_whole(cell.strip().casefold()) for cell in cells}
        if _MINUS_ONE not in texts or _MINUS_ONE in (*self.rules.unknown, *(self.rules.negative or ())):
            return
        if texts & NO:
            self.note("-1 beside 0, read as: not known (--negative -1 says: absent)", where)
        else:
            self._minus_one = False
            self.note("-1 in place of 0, read as: absent (--unknown -1 says: not known)", where)

    def presence(self, cell: str, where: str) -> bool | None:
        """Return whether a cell of 0 and 1 says that a class is present; ``None``: it is not known.

        Args:
            cell: its text.
            where: of the cell.

        Raises:
            InvalidInput: it is none of 0, 1, yes, no, ``?`` and the like, or a soft label without a threshold.
        """
        text = _whole(cell.strip().casefold())
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
                f"{where}: found {text!r}; allowed are 0 and 1 (or true and false, yes and no), ? for unknown, and "
                "nothing.",
                hint="Cells with another word for unknown or absent: --unknown WORD, --negative WORD.",
            )
        if "," in text:
            self.note(DECIMAL_COMMAS, f"{where}: {text} is {value:g}")
        return self.soft(value, where)

    def soft(self, value: float, where: str) -> bool | None:
        """Return what a label between 0 and 1 means; ``None``: the class is neither present nor absent for certain.

        Raises:
            InvalidInput: it is out of range, or there is no threshold.
        """
        if not 0 <= value <= 1:
            raise InvalidInput(f"{where}: found {value:g}; a label is 0 or 1, or lies between them.")
        try:
            there = self.rules.present(value)
        except ValueError as error:
            raise InvalidInput(
                f"{where}: found {value:g}, a soft label; labels of training images are 0 or 1.", hint=SOFT_MEND
            ) from error
        self._soft[there] += 1
        return there

    def note_counts(self) -> None:
        """Note how many labels the threshold has decided, and which words stood for empty cells."""
        if self.rules.soft is not None and self._soft:
            counts = {"present": self._soft[True], "absent": self._soft[False], "not known": self._soft[None]}
            said = ", ".join(f"{count} {what}" for what, count in counts.items())
            self.note("labels between 0 and 1, decided by --soft-threshold", said)
        self.note(MISSING_WORDS, *(f"{word!r} ({times(count)})" for word, count in self._missing.items()))

    def require_used(self, names: Iterable[str]) -> None:
        """Refuse words of ``--negative`` and ``--unknown`` that nothing in the file is called.

        Args:
            names: the classes, for a suggestion.

        Raises:
            InvalidInput: names the option and the word.
        """
        if self.rules.soft is not None and not self._soft:
            raise InvalidInput(
                "--soft-threshold: no label in the file lies between 0 and 1.", hint="Leave --soft-threshold out."
            )
        known = list(names)
        for option, words in (("--negative", self.rules.negative or ()), ("--unknown", self.rules.unknown)):
            for word in words:
                if (word or EMPTY).casefold() not in self._used:
                    raise InvalidInput(f"{option} {word}: no label in the file has this name{closest(word, known)}")


def _whole(text: str) -> str:
    """Return ``-1`` for ``-1.0``: tables with an empty cell in a column have its numbers written as fractions."""
    return re.sub(r"(-?[0-9]+)[.,]0+", r"\1", text) if re.fullmatch(r"-?[0-9]+[.,]0+", text) else text
