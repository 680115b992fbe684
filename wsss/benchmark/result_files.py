"""The files of a benchmark: scores per image in TopoMortar's column names, the groups of the images, training costs.

The column names are those of the authors' result files, so that both can be compared in one table.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.benchmark.result_folder import require_folder
from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.atomic import write_json, write_text
from wsss.io.files.contained import open_to_read
from wsss.io.files.json_files import read_json
from wsss.io.files.recorded import check_recorded
from wsss.io.text.tables import csv_text, from_cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

ID = "ID"
GROUP = "group"
GROUPS_FILE = "dataset_types.txt"

NO_DISTANCE = 9_999_999.0
"""HD95 of an empty prediction in the authors' files."""

OVERLAPS = ("Dice", "clDice")
"""Prefixes of the columns whose scores are at most 1."""

_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")


@dataclass(frozen=True)
class Scores:
    """The content of a result file.

    Args:
        images: ``N`` distinct image keys (see `image_key`), in the order of the file.
        columns: column name → ``(N,)`` float64; NaN where the cell is empty.
        unread: names of the columns that were not requested.
    """

    images: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]
    unread: tuple[str, ...]


@dataclass(frozen=True)
class Resources:
    """The cost of a training run: seconds, peak memory in bytes (``None`` where unknown), and the device type."""

    seconds: float
    memory_bytes: int | None
    device: str


def image_key(text: str) -> str:
    """Return the key of an image: whole numbers by value (``071`` is ``71``), other ids unchanged."""
    text = text.strip()
    return str(int(text.partition(".")[0])) if _WHOLE.fullmatch(text) else text


def read_scores(path: Path, requested: Sequence[str]) -> Scores:
    """Read a result file.

    Args:
        path: a CSV file with the column ``ID``.
        requested: score columns to read, where present.

    Raises:
        InvalidInput: no such file, none of the requested columns, a duplicate image, or an invalid score.
    """
    rows = _rows(path)
    if not rows or ID not in rows[0]:
        raise InvalidInput(
            "invalid header",
            subject=path,
            allowed=f"column names, including {ID}",
            found=rows[0] if rows and any(rows[0]) else "",
            hint="Separate the columns with commas, as wsss score does, or delete the file.",
        )
    head, *body = rows
    duplicate = next((name for name in head if name and head.count(name) > 1), None)
    if duplicate is not None:
        raise InvalidInput(f"duplicate column {duplicate!r}", subject=path)
    present = [name for name in requested if name in head]
    if not present:
        raise InvalidInput(
            "no score column", subject=path, allowed=f"one of {listing(requested, limit=20)}", found=head
        )
    indices = [head.index(name) for name in present]
    images: dict[str, int] = {}
    values = np.full((len(present), len(body)), np.nan)
    for index, row in enumerate(body):
        line = f"{path}: line {index + 2}"
        if len(row) != len(head):
            raise InvalidInput("truncated line", subject=line, allowed=counted(len(head), "cell"), found=len(row))
        key = image_key(row[head.index(ID)])
        if not key or key in images:
            raise InvalidInput(f"duplicate image {key}" if key else f"no {ID}", subject=line)
        images[key] = index
        values[:, index] = [_score(row[column], head[column], line) for column in indices]
    unread = tuple(name for name in head if name not in {ID, "", *requested})
    return Scores(tuple(images), dict(zip(present, values, strict=True)), unread)


def write_scores(path: Path, images: Sequence[str], columns: Mapping[str, Sequence[float]]) -> None:
    """Write a result file atomically, floats with all digits of a float64.

    Args:
        images: ``N`` image ids.
        columns: column name → ``N`` values; integers are written as such.
    """
    rows = zip(images, *([_text(value) for value in values] for values in columns.values()), strict=True)
    write_text(path, csv_text([[ID, *columns], *rows]))


def read_groups(path: Path) -> dict[str, str]:
    """Read the group of each image from a CSV file with the columns ``ID`` and ``group``.

    Returns:
        Image key → group.

    Raises:
        InvalidInput: no such file, or an image in two groups.
    """
    rows = _rows(path)
    if not rows or ID not in rows[0] or GROUP not in rows[0]:
        raise InvalidInput(
            "invalid header", subject=path, allowed=f"{ID},{GROUP}", found=",".join(rows[0]) if rows else ""
        )
    image_column, group_column = rows[0].index(ID), rows[0].index(GROUP)
    groups: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        line = f"{path}: line {number}"
        if len(row) <= max(image_column, group_column) or not row[group_column].strip():
            raise InvalidInput(subject=line, allowed="an image and its group", found=",".join(row))
        key, group = image_key(row[image_column]), row[group_column].strip()
        if groups.setdefault(key, group) != group:
            raise InvalidInput(f"image {key} is in two groups, {groups[key]} and {group}", subject=line)
    return groups


def write_groups(path: Path, groups: Mapping[str, str]) -> None:
    """Write a file for `read_groups` atomically."""
    write_text(path, csv_text([[ID, GROUP], *groups.items()]))


def find_groups(root: Path) -> Path:
    """Return the groups file of a results folder: inside it, next to it, or in ``dataset/`` inside or next to it.

    Raises:
        InvalidInput: no such file.
    """
    require_folder(root)
    candidates = [
        folder / GROUPS_FILE
        for path in dict.fromkeys((root.absolute(), root.resolve()))  # next to a link, then next to its target
        for folder in (path, path.parent, path.parent / "dataset", path / "dataset")
    ]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise InvalidInput(
            f"unknown image groups: no {GROUPS_FILE} in this folder, next to it, or in dataset/ next to it",
            subject=root,
            hint=f"Pass --groups FILE: the dataset's dataset/{GROUPS_FILE}, or a CSV file with columns ID and group.",
        )
    return path


def read_resources(path: Path) -> Resources | None:
    """Return the training costs stored next to a result file; ``None`` if there are none.

    Args:
        path: the result file (``1.csv``; its costs are in ``1.json``).

    Raises:
        InvalidInput: the file has unexpected content.
    """
    costs = path.with_suffix(".json")
    check_recorded(costs)
    try:
        value = read_json(costs)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"not a readable JSON file ({error})", subject=costs) from error
    try:
        memory = value["memory_bytes"]
        seconds = float(value["seconds"])
        if not 0 <= seconds < math.inf:
            raise ValueError(f"seconds {seconds}")
        return Resources(seconds, None if memory is None else int(memory), str(value["device"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(
            f"invalid training costs ({type(error).__name__}: {error})",
            subject=costs,
            allowed="the keys seconds, memory_bytes and device",
        ) from error


def write_resources(path: Path, resources: Resources) -> None:
    """Write the training costs next to the result file ``path``, atomically."""
    write_json(path.with_suffix(".json"), asdict(resources))


def _rows(path: Path) -> list[list[str]]:
    """Return the non-empty lines of a CSV file."""
    check_recorded(path)
    try:
        with io.TextIOWrapper(open_to_read(path), encoding="utf-8-sig", newline="") as file:
            return [[from_cell(cell.strip()) for cell in row] for row in csv.reader(file, strict=True) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(
            f"not a readable CSV file ({error})", subject=path, hint="Save it as UTF-8 text, or delete it."
        ) from error


def _score(text: str, column: str, line: str) -> float:
    """Return a score; NaN for an empty cell, and `NO_DISTANCE` for an infinite HD95 (that of an empty prediction)."""
    subject = f"{line}: {column}"
    if column.startswith("HD95") and text.lower() in ("inf", "+inf"):
        return NO_DISTANCE
    if text.lower() in ("", "nan"):
        return math.nan
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidInput(subject=subject, allowed="a number", found=text) from error
    if not math.isfinite(value):
        raise InvalidInput(subject=subject, allowed="a finite number", found=text)
    bounded = column.startswith(OVERLAPS)
    if value < 0 or (bounded and value > 1):
        raise InvalidInput(
            "not a valid score",
            subject=subject,
            allowed="a number from 0 to 1" if bounded else "a number of at least 0",
            found=value,
            hint=f"Check whether the column {column} contains another metric.",
        )
    return value


def _text(value: float) -> str:
    return str(int(value)) if isinstance(value, int | np.integer) else repr(float(value))
