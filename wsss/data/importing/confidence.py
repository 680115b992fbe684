"""Labels with a confidence each, as OpenImages has them: 1 means that the class is present, 0 that it is absent."""

from __future__ import annotations

from collections.abc import Sequence

from wsss.data.importing.labels import CONTRADICTION, Entry, require_one_split, stated
from wsss.data.importing.presence import is_soft
from wsss.data.importing.reading import Reading
from wsss.data.label_rules import UNKNOWN_MARK, Word


def by_confidence(entries: list[Entry], key: str | None, cells: Sequence[str], reading: Reading) -> list[Entry]:
    """Return the entries, one per image, with what the confidences say.

    Args:
        entries: one per row.
        key: column or key of the confidences; ``None``: there is none, and the entries stay as they are.
        cells: confidence of each entry; unless all are numbers from 0 to 1, the entries stay as they are.
        reading: rules in force.

    Raises:
        InvalidInput: a value between 0 and 1 without a threshold, or an image in two splits.
    """
    if key is None:
        return entries
    if not is_soft(cells, reading):
        _note_unused(entries, key, cells, reading)
        return entries
    reading.note("column of confidences: 1, the label's class is present; 0, it is absent", key)
    images: dict[str, dict[str, bool | None]] = {}
    first: dict[str, Entry] = {}
    for entry, cell in zip(entries, cells, strict=True):
        require_one_split(first.setdefault(entry.image, entry), entry, repr(entry.image))
        there = reading.presence(cell, f"{entry.where}: {key!r}")
        said = images.setdefault(entry.image, {})
        for name in entry.labels or ():
            if reading.rules.word(name) is Word.NEGATIVE and not there:  # "not ok" doesn't say which class it is
                said[UNKNOWN_MARK] = True
                continue
            if said.get(name, there) != there:
                reading.note(CONTRADICTION, f"{entry.image}: {name!r} is both present and absent (see {entry.where})")
            said[name] = True if said.get(name) else there
    return [stated(image, said, first[image].where, first[image].split) for image, said in images.items()]


def _note_unused(entries: Sequence[Entry], key: str, cells: Sequence[str], reading: Reading) -> None:
    """Note a column of confidences that are not all numbers from 0 to 1, with the first that is none."""
    wrong = ((entry, cell) for entry, cell in zip(entries, cells, strict=True) if not is_soft([cell], reading))
    entry, cell = next(((entry, cell) for entry, cell in wrong if reading.rules.word(cell) is None), (None, ""))
    if entry is not None:
        kind = "column of confidences that are not all from 0 to 1, not used: every label counts as present"
        reading.note(kind, f"{key}, for example {cell!r} ({entry.where})")
