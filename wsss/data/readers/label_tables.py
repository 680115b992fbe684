"""The small text files of a dataset: lists of ids, tables of image-level labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from wsss.data.readers.find_images import MISSING_HINT
from wsss.data.readers.label_rules import UNKNOWN_MARK
from wsss.data.sample_ids import check_id, without_suffix
from wsss.errors import InvalidInput, closest, counted, listing, together
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES
from wsss.io.text.tables import from_cell
from wsss.io.text.text_files import read_text

S = TypeVar("S")


@dataclass(frozen=True)
class LabelRow:
    """One row of a label table.

    Args:
        id: image id, without suffix.
        labels: the cell as it stands.
        split: the cell of the ``split`` column, or ``None`` where there is no such column.
        where: ``"file:line"``.
    """

    id: str
    labels: str
    split: str | None
    where: str


def read_label_table(path: Path) -> list[LabelRow]:
    """Read a CSV table ``image_id,labels[,split]`` with a header line; further columns are left alone.

    Raises:
        InvalidInput: no such columns, a row that is too short, a bad id, or an id that comes twice.
    """
    rows = _csv_rows(path)
    if not rows:
        raise InvalidInput(f"{path}: the file is empty; expected a header line image_id,labels[,split].")
    header = [cell.strip() for cell in rows[0][1]]
    if not {"image_id", "labels"} <= set(header):
        raise InvalidInput(
            f"{path}:{rows[0][0]}: the header is {','.join(header)!r}; expected the columns image_id and labels, "
            "separated by a comma (and split, if the file also says which split an image belongs to)."
        )
    id_at, labels_at = header.index("image_id"), header.index("labels")
    split_at = header.index("split") if "split" in header else None
    table: dict[str, LabelRow] = {}
    for number, cells in rows[1:]:
        where = f"{path}:{number}"
        if len(cells) <= max(id_at, labels_at, split_at or 0):
            raise InvalidInput(f"{where}: the row has {counted(len(cells), 'cell')}, the header {len(header)}.")
        name = check_id(without_suffix(cells[id_at].strip()), where)
        if name in table:
            raise InvalidInput(
                f"{where}: image id {name!r} comes twice; the first time is at {table[name].where}.",
                hint="Give each image one row, with all its labels separated by spaces.",
            )
        split = None if split_at is None else cells[split_at].strip()
        table[name] = LabelRow(name, cells[labels_at].strip(), split, where)
    return list(table.values())


def read_image_table(path: Path, folder: Path, *, complete: bool = True) -> dict[str, list[Path]]:
    """Read a CSV table ``image_id,file`` that says which file below ``folder`` is which image.

    Returns:
        id → the one path, in the form of `images_by_id`; unless ``complete``, files may be missing.

    Raises:
        InvalidInput: no such columns, a bad id or one that comes twice, or a file that is missing, has no suffix of an
            image, or lies outside ``folder``.
    """
    rows = _csv_rows(path)
    header = [cell.strip() for cell in rows[0][1]] if rows else []
    if header != ["image_id", "file"]:
        raise InvalidInput(f"{path}:1: the header is {','.join(header)!r}; expected image_id,file.")
    found: dict[str, list[Path]] = {}
    missing: list[InvalidInput] = []
    for number, cells in rows[1:]:
        where = f"{path}:{number}"
        if len(cells) != 2:
            raise InvalidInput(f"{where}: the row has {counted(len(cells), 'cell')}, the header 2.")
        name, file = check_id(cells[0].strip(), where), PurePosixPath(cells[1])
        if name in found:
            raise InvalidInput(f"{where}: image id {name!r} comes twice.", hint="Give each image one row.")
        if file.is_absolute() or ".." in file.parts:
            raise InvalidInput(f"{where}: {cells[1]!r} leads out of {folder}; name a file below it.")
        if without_suffix(file.name) == file.name:
            raise InvalidInput(f"{where}: {cells[1]!r} is no image ({', '.join(IMAGE_SUFFIXES)} are).")
        if complete and not (folder / file).is_file():
            missing.append(InvalidInput(f"{where}: there is no file {cells[1]!r} in {folder}.", hint=MISSING_HINT))
        found[name] = [folder / file]
    if missing:
        raise together(missing, len(found), "listed images can't be found")
    return found


def split_labels(cell: str, known: Sequence[str]) -> list[str]:
    """Return the class names in a cell.

    They are separated by ``;`` or ``|``, or, where there is neither, by spaces. A cell that is itself a known class
    name (``"dining table"``) is that class.
    """
    for separator in (";", "|"):
        if separator in cell:
            return [name.strip() for name in cell.split(separator) if name.strip()]
    return [cell] if cell.removeprefix(UNKNOWN_MARK) in known else cell.split()


def _csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return (line number, cells) of all rows that aren't blank."""
    reader = csv.reader(io.StringIO(read_text(path)))
    try:
        return [(reader.line_num, list(map(from_cell, row))) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InvalidInput(f"{path}:{reader.line_num}: not a CSV table ({error}).") from error


def choose_splits(splits: Mapping[str, S], wanted: Sequence[str] | None, *, where: Path) -> dict[str, S]:
    """Return the splits that ``data.splits`` names, in its order; all of them where it names none.

    Raises:
        InvalidInput: there is no such split in ``where``.
    """
    for name in wanted or ():
        if name not in splits:
            raise InvalidInput(
                f"data.splits: {where} has no split {name!r}; there are {listing(splits, limit=20)}"
                f"{closest(name, splits)}"
            )
    return dict(splits) if wanted is None else {name: splits[name] for name in wanted}
