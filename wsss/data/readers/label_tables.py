"""CSV tables of a dataset: image-level labels, and image files."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TypeVar

from wsss.data.readers.find_images import MISSING_HINT
from wsss.data.readers.label_rules import UNKNOWN_MARK
from wsss.data.sample_ids import check_id, without_suffix
from wsss.errors import InvalidInput, together
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES
from wsss.io.text.tables import from_cell
from wsss.io.text.text_files import read_text

S = TypeVar("S")


@dataclass(frozen=True)
class LabelRow:
    """One row of a label table.

    Args:
        id: image id, without suffix.
        labels: the cell ``labels``, stripped.
        split: the cell ``split``, or ``None`` without such a column.
        where: ``"file:line"``.
    """

    id: str
    labels: str
    split: str | None
    where: str


def read_label_table(path: Path) -> list[LabelRow]:
    """Read a CSV table ``image_id,labels[,split]`` with a header line; other columns are ignored.

    Raises:
        InvalidInput: missing or repeated columns, a row with fewer or more cells than the header, or an invalid or
            duplicate id.
    """
    rows = _csv_rows(path)
    if not rows:
        raise InvalidInput("empty file", subject=path, allowed="a header line image_id,labels[,split]")
    header = [cell.strip() for cell in rows[0][1]]
    if not {"image_id", "labels"} <= set(header):
        raise InvalidInput(
            "invalid header",
            subject=f"{path}:{rows[0][0]}",
            allowed="the columns image_id and labels (and split, optionally), separated by commas",
            found=",".join(header),
        )
    for column in ("image_id", "labels", "split"):
        if header.count(column) > 1:
            hint = "Put all labels of an image into one cell, separated by ';'." if column == "labels" else None
            raise InvalidInput(f"duplicate column {column!r}", subject=f"{path}:{rows[0][0]}", hint=hint)
    id_at, labels_at = header.index("image_id"), header.index("labels")
    split_at = header.index("split") if "split" in header else None
    table: dict[str, LabelRow] = {}
    for number, cells in rows[1:]:
        where = f"{path}:{number}"
        if len(cells) <= max(id_at, labels_at, split_at or 0):
            raise InvalidInput("short row", subject=where, allowed=f"{len(header)} cells", found=len(cells))
        if any(cell.strip() for cell in cells[len(header) :]):  # cat,dog without quotes: dog would be another column
            raise InvalidInput(
                "more cells than the header",
                subject=where,
                allowed=f"{len(header)} cells",
                found=len(cells),
                hint="Separate several labels of an image by ';' (cat;dog), or enclose the cell in double quotes.",
            )
        name = check_id(without_suffix(cells[id_at].strip()), where)
        if name in table:
            raise InvalidInput(
                f"duplicate image id {name!r}, first listed at {table[name].where}",
                subject=where,
                hint="Give each image one row, with all its labels separated by spaces.",
            )
        split = None if split_at is None else cells[split_at].strip()
        table[name] = LabelRow(name, cells[labels_at].strip(), split, where)
    return list(table.values())


def read_image_table(path: Path, folder: Path, *, complete: bool = True) -> dict[str, list[Path]]:
    """Read a CSV table ``image_id,file`` of image files below ``folder``.

    Returns:
        id → list of its one path, as from `images_by_id`; the files may be missing unless ``complete``.

    Raises:
        InvalidInput: missing columns, an invalid or duplicate id, or a file that is missing, has no image suffix, or
            lies outside ``folder``.
    """
    rows = _csv_rows(path)
    header = ",".join(cell.strip() for cell in rows[0][1]) if rows else ""
    if header != "image_id,file":
        raise InvalidInput("invalid header", subject=f"{path}:1", allowed="image_id,file", found=header)
    images: dict[str, list[Path]] = {}
    missing: list[InvalidInput] = []
    for number, cells in rows[1:]:
        where = f"{path}:{number}"
        if len(cells) != 2:
            raise InvalidInput(subject=where, allowed="2 cells", found=len(cells))
        name, file = check_id(cells[0].strip(), where), cells[1]
        if name in images:
            raise InvalidInput(f"duplicate image id {name!r}", subject=where, hint="Give each image one row.")
        _check_image_path(file, folder, where)
        if complete and not (folder / file).is_file():
            missing.append(InvalidInput(f"no file {file!r} in {folder}", subject=where, hint=MISSING_HINT))
        images[name] = [folder / file]
    if missing:
        raise together(missing, len(images), "listed images are missing")
    return images


def _check_image_path(file: str, folder: Path, where: str) -> None:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts:
        raise InvalidInput("invalid path", subject=where, allowed=f"a file inside {folder}", found=file)
    if without_suffix(path.name) == path.name:
        raise InvalidInput("not an image", subject=where, allowed=f"a {', '.join(IMAGE_SUFFIXES)} file", found=file)


def split_labels(cell: str, known: Sequence[str]) -> list[str]:
    """Return the class names in a cell.

    They are separated by ``;`` or ``|``, or, without either, by commas, or else by spaces. A cell that is a known class
    name as a whole (``"dining table"``) is that class, and a name with a comma that is known is one name among others
    separated by spaces.
    """
    for separator in (";", "|"):
        if separator in cell:
            return _parts(cell, separator)
    if cell.removeprefix(UNKNOWN_MARK) in known:
        return [cell]
    words = cell.split()
    if "," in cell and not all(word.removeprefix(UNKNOWN_MARK) in known for word in words):
        return _parts(cell, ",")
    return words


def never_apart(cells: Iterable[str]) -> list[str]:
    """Return the pairs of words that occur at least twice, and only side by side, separated by a space.

    They may be one name (``"dining table"``) that `split_labels` reads as two.
    """
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        names = split_labels(cell, ())
        words.update(name.removeprefix(UNKNOWN_MARK) for name in names)
        if names == cell.split():
            # Only the first word of an unknown name is marked: "?fire truck".
            pairs.update((a.removeprefix(UNKNOWN_MARK), b) for a, b in pairwise(names) if a != UNKNOWN_MARK)
    return [f"{a} {b}" for (a, b), count in pairs.items() if count > 1 and count == words[a] == words[b]]


def _parts(cell: str, separator: str) -> list[str]:
    return [name.strip() for name in cell.split(separator) if name.strip()]


def join_labels(labels: Iterable[str], known: Iterable[str]) -> str:
    """Return a cell that `split_labels` splits into the same names.

    They are separated by spaces; if a known name contains a space, ``|`` or a comma, each name, including the last one,
    is followed by ``;``, so that "brick wall" is never read as two classes.

    Args:
        labels: names, without ``;``.
        known: all names that the table can have.
    """
    if any("|" in name or "," in name or name.split() != [name] for name in known):
        return "".join(f"{name};" for name in labels)
    return " ".join(labels)


def _csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return (line number, cells) of all rows that are not blank."""
    reader = csv.reader(io.StringIO(read_text(path)))
    try:
        return [(reader.line_num, list(map(from_cell, row))) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InvalidInput(f"invalid CSV ({error})", subject=f"{path}:{reader.line_num}") from error


def choose_splits(splits: Mapping[str, S], wanted: Sequence[str] | None, *, where: Path) -> dict[str, S]:
    """Return the splits of ``data.splits`` in its order; all splits if it is ``None``.

    Raises:
        InvalidInput: an unknown split.
    """
    for name in wanted or ():
        if name not in splits:
            raise InvalidInput(f"unknown split of {where}", subject="data.splits", found=name, allowed=splits)
    return dict(splits) if wanted is None else {name: splits[name] for name in wanted}
