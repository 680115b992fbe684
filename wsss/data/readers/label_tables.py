"""The small text files of a dataset: lists of ids, tables of image-level labels."""

from __future__ import annotations

import codecs
import csv
import io
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from wsss.data.readers.label_rules import UNKNOWN_MARK
from wsss.errors import InvalidInput, closest, counted, listing, together
from wsss.io.files.recorded import check_recorded
from wsss.io.rasters.image_kinds import IMAGE_SUFFIXES, OTHER_IMAGES, unread
from wsss.io.text.tables import from_cell
from wsss.io.text.utf8 import is_utf8

S = TypeVar("S")

MOST_BYTES = 200
"""Longest id in UTF-8: file names end at 255 bytes, and an id gets suffixes and prefixes."""


MISSING_HINT = "Restore the file, or take its line out; `wsss init --force` writes lists of the images that exist."


@dataclass(frozen=True)
class Line:
    """A non-empty line of a text file; ``str(line)`` is ``"file:number"``."""

    path: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


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


def read_text(path: Path) -> str:
    """Read a UTF-8 text file (with or without byte-order mark).

    Raises:
        InvalidInput: missing, unreadable, or not UTF-8.
    """
    check_recorded(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: no such file.") from error
    except UnicodeDecodeError as error:
        marked = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        utf16 = marked or b"\0" in error.object
        line = error.object.count(b"\n", 0, error.start) + 1
        found = "it is UTF-16" if marked else f"line {line}: {error.reason} at byte {error.start}"
        raise InvalidInput(f"{path}: not UTF-8 text ({found}).", hint=_as_utf8(path, utf16=utf16)) from error
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read ({error.strerror}).") from error
    if "\0" in text:  # UTF-16 without a mark at its beginning
        raise InvalidInput(f"{path}: not UTF-8 text (it has NUL characters).", hint=_as_utf8(path, utf16=True))
    return text


def _as_utf8(path: Path, *, utf16: bool) -> str:
    """Return the hint for a text in another encoding: on Windows that is Windows-1252 (Excel's plain CSV) or UTF-16."""
    excel = " (in Excel: Save As, 'CSV UTF-8')" if path.suffix.lower() in (".csv", ".tsv", ".txt") else ""
    encoding = "UTF-16" if utf16 else "WINDOWS-1252"
    old, new = shlex.quote(str(path)), shlex.quote(f"{path.stem}-utf8{path.suffix}")
    guess = "" if utf16 else " (if Windows wrote it in Western Europe)"
    return f"Save the file as UTF-8{excel}, or convert it{guess}: iconv -f {encoding} -t UTF-8 {old} > {new}"


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a text file that aren't empty, stripped.

    Raises:
        InvalidInput: see `read_text`.
    """
    lines = enumerate(read_text(path).splitlines(), start=1)
    return [Line(path, number, text.strip()) for number, text in lines if text.strip()]


def without_suffix(name: str) -> str:
    """Return a file name without an image suffix; other dots belong to the id (``"scan.v2"`` stays)."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and (dot + suffix).lower() in IMAGE_SUFFIXES else name


def check_id(name: str, where: object, *, most_bytes: int | None = MOST_BYTES) -> str:
    """Return ``name`` if it can be an id: it becomes part of file names, so it can't lead out of a folder.

    Raises:
        InvalidInput: empty, longer than ``most_bytes``, with a path separator, ``..`` or a control character, hidden
            (``.x``), or no valid text.
    """
    problem = ""
    if not name:
        problem = "is empty"
    elif "/" in name or "\\" in name:
        problem = "has a path separator"
    elif ".." in name:
        problem = "has '..' in it"
    elif name.startswith("."):
        problem = "starts with a dot"
    elif any(ord(character) < 32 or ord(character) == 127 for character in name):
        problem = "has a control character"
    elif not is_utf8(name):
        problem = "is no valid text"
    elif most_bytes is not None and len(name.encode()) > most_bytes:
        problem = f"is longer than {most_bytes} bytes"
    if problem:
        raise InvalidInput(f"{where}: image id {name!r} {problem}; an id is a file name without folder and suffix.")
    return name


def cut(text: str, size: int) -> str:
    """Return the beginning of ``text`` that takes at most ``size`` bytes in UTF-8."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def unique_ids(ids: Iterable[tuple[str, Line]], path: Path) -> list[tuple[str, Line]]:
    """Return ids with their lines, once it is certain that there is at least one and that none comes twice.

    Raises:
        InvalidInput: the list is empty, or an id comes twice; names file and line.
    """
    seen: dict[str, Line] = {}
    for name, line in ids:
        if name in seen:
            raise InvalidInput(
                f"{line}: image id {name!r} is listed twice; the first time is in line {seen[name].number}.",
                hint="Delete one of the two lines.",
            )
        seen[name] = line
    if not seen:
        raise InvalidInput(
            f"{path}: the split is empty: the file lists no image.",
            hint="List one image id per line, or delete the file.",
        )
    return list(seen.items())


def images_by_id(folder: Path) -> dict[str, list[Path]]:
    """Return the images in a folder by id (file name without suffix); several of one id are for the caller to judge.

    Raises:
        InvalidInput: there is no such folder.
    """
    found: dict[str, list[Path]] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except NotADirectoryError as error:
        raise InvalidInput(f"{folder}: a file; a folder of images is needed.") from error
    except FileNotFoundError as error:
        raise InvalidInput(f"{folder}: no such folder; the images are looked for there.") from error
    except OSError as error:
        raise InvalidInput(f"{folder}: can't be read ({error.strerror}).") from error
    for name in names:
        stem = without_suffix(name)
        if stem != name and not name.startswith("."):
            found.setdefault(stem, []).append(folder / name)
    return found


def unread_images(folder: Path) -> dict[str, str]:
    """Return the files in a folder that are images of kinds that aren't read → what they are."""
    names = sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []
    return {name: unread(name) or "" for name in names if PurePosixPath(name).suffix.lower() in OTHER_IMAGES}


def unread_note(folder: Path) -> str | None:
    """Return a line that names the image files in a folder that are left out, if there are any."""
    found = unread_images(folder)
    if not found:
        return None
    count = counted(len(found), "image file is", "image files are")
    return f"{folder}: {count} of kinds that are not read, left out: {listing(found)}; convert them to JPEG or PNG."


def the_image(name: str, images: dict[str, list[Path]], *, where: object, folder: Path, complete: bool = True) -> Path:
    """Return the one image of an id; where there need not be one, the place where it would be, without a suffix.

    Raises:
        InvalidInput: there is none in a ``complete`` dataset, or there are several (``a.jpg`` and ``a.png``).
    """
    paths = images.get(name, [])
    if not paths and not complete:
        return folder / name
    if not paths:
        others = [why for file, why in unread_images(folder).items() if file.rpartition(".")[0] == name]
        found = f"the file exists, but {others[0]}" if others else f"{', '.join(IMAGE_SUFFIXES)} are looked for"
        raise InvalidInput(
            f"{where}: image {name!r} is listed, and there is no such image in {folder} ({found}).",
            hint=MISSING_HINT,
        )
    if len(paths) > 1:
        raise InvalidInput(
            f"{where}: image {name!r} stands for {len(paths)} files in {folder}: "
            f"{listing(path.name for path in paths)}; an id is a file name without suffix.",
            hint="Rename or delete all but one of them.",
        )
    return paths[0]


def require_images(wanted: Iterable[tuple[str, object]], find: Callable[..., Path]) -> None:
    """Look for the images of all ids, so that one error names all that are missing.

    Args:
        wanted: ids, each with the place that lists it.
        find: `the_image` of the dataset: called with an id and ``where``.

    Raises:
        InvalidInput: names the first of the images that ``find`` refuses, and how many there are.
    """
    listed = dict(wanted)
    errors = []
    for name, where in listed.items():
        try:
            find(name, where=where)
        except InvalidInput as error:
            errors.append(error)
    if errors:
        raise together(errors, len(listed), "listed images can't be found")


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
