"""Per-image scores in TopoMortar's column names: ``framework/labels/size/loss/seed.csv``, and what lies beside them.

The authors' result files and ours have the same columns and the same places, so that both stand in one table.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.atomic import write_json, write_text
from wsss.io.files.contained import open_to_read
from wsss.io.files.recorded import check_recorded
from wsss.io.text.json_files import read_json
from wsss.io.text.tables import csv_text, from_cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

ID = "ID"
GROUP = "group"
GROUPS_FILE = "dataset_types.txt"
LEVELS = ("framework", "labels", "size", "loss")
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")


NO_DISTANCE = 9_999_999.0
"""What the authors' files have as the HD95 of an empty prediction."""

OVERLAPS = ("Dice", "clDice")
"""How columns begin whose scores are at most 1."""


@dataclass(frozen=True)
class Place:
    """Where a result file stands: its path, the folders above it, and the seed that names it."""

    path: Path
    framework: str
    labels: str
    size: str
    loss: str
    seed: int


@dataclass(frozen=True)
class Scores:
    """The content of a result file.

    Args:
        images: ``N`` image keys (see `image_key`), each once, in the order of the file.
        columns: column name → ``(N,)`` float64; NaN where the cell is empty.
        unread: columns that were not asked for.
    """

    images: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]
    unread: tuple[str, ...]


@dataclass(frozen=True)
class Resources:
    """What a training run cost: seconds, peak memory in bytes (``None`` where unknown), and the kind of device."""

    seconds: float
    memory_bytes: int | None
    device: str


def image_key(text: str) -> str:
    """Return what tells images apart: whole numbers by their value (``071`` is ``71``), anything else as it is."""
    text = text.strip()
    return str(int(text.partition(".")[0])) if _WHOLE.fullmatch(text) else text


def find_results(root: Path) -> tuple[list[Place], list[str]]:
    """Return the result files below ``root``, sorted by place and seed, and a sentence on each thing left out.

    Raises:
        InvalidInput: ``root`` is no folder or holds no result file, or a seed occurs twice (``1`` and ``01``).
    """
    _check_folder(root)
    places, unnamed = [], []
    inside = _files(
        root, root.glob("/".join("*" for _ in LEVELS) + "/*.csv")
    )  # follows links to folders, rglob doesn't
    elsewhere = [path.relative_to(root).as_posix() for path in _files(root, root.rglob("*.csv")) if path not in inside]
    for path in inside:
        framework, labels, size, loss = path.relative_to(root).parts[:-1]
        seed = re.fullmatch(r"\D*?(\d+)", path.stem)  # 1.csv, seed1.csv, seed_01.csv
        if seed is None:
            unnamed.append(path.relative_to(root).as_posix())
        else:
            places.append(Place(path, framework, labels, size, loss, int(seed[1])))
    if not places:
        found = f"; found {listing(elsewhere + unnamed)}" if elsewhere or unnamed else ""
        raise InvalidInput(
            f"{root}: no result here: FRAMEWORK/LABELS/SIZE/LOSS/SEED.csv is looked for, SEED a whole number "
            f"or a word that ends with one{found}.",
            hint="Name the folder above the frameworks (results, of TopoMortar's repository).",
        )
    _check_seeds(places)
    notes = []
    if elsewhere:
        notes.append(f"left out, not at FRAMEWORK/LABELS/SIZE/LOSS/SEED.csv: {listing(elsewhere)}")
    if unnamed:
        notes.append(f"left out, not called by a seed (a whole number): {listing(unnamed)}")
    return sorted(places, key=lambda one: (one.framework, one.labels, one.size, one.loss, one.seed)), notes


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise InvalidInput(
            f"{root}: no such folder.", hint="Name the folder above FRAMEWORK/LABELS/SIZE/LOSS/SEED.csv."
        )


def _files(root: Path, paths: Iterable[Path]) -> list[Path]:
    """Return the files among the paths, sorted; nothing hidden."""
    shown = (path for path in paths if not any(part.startswith(".") for part in path.relative_to(root).parts))
    return sorted(path for path in shown if path.is_file())


def _check_seeds(places: Sequence[Place]) -> None:
    seen: dict[tuple[str, int], Path] = {}
    for place in places:
        known = seen.setdefault((str(place.path.parent), place.seed), place.path)
        if known != place.path:
            raise InvalidInput(f"{place.path}: duplicate seed {place.seed}; the other is {known.name}.")


def read_scores(path: Path, wanted: Sequence[str]) -> Scores:
    """Read a result file.

    Args:
        path: a CSV with the column ``ID``.
        wanted: score columns to read, those that the file has.

    Raises:
        InvalidInput: not such a file, none of the wanted columns, an image twice, or a cell that is no finite number,
            or none that such a score can be.
    """
    rows = _rows(path)
    if not rows or ID not in rows[0]:
        found = listing(rows[0]) if rows and any(rows[0]) else "nothing"
        raise InvalidInput(
            f"{path}: the first line must name the columns, {ID!r} among them; found {found}.",
            hint="Write it with commas between the columns, as wsss score does, or take it away.",
        )
    head, *body = rows
    twice = [name for name in head if name and head.count(name) > 1]
    if twice:
        raise InvalidInput(f"{path}: two columns are called {twice[0]!r}.")
    present = [name for name in wanted if name in head]
    if not present:
        raise InvalidInput(f"{path}: none of the columns {listing(wanted, limit=20)}; found {listing(head, limit=20)}.")
    images: dict[str, int] = {}
    values = np.full((len(present), len(body)), np.nan)
    at = [head.index(name) for name in present]
    for place, row in enumerate(body):
        where = f"{path}: line {place + 2}"
        if len(row) != len(head):
            raise InvalidInput(f"{where}: found {counted(len(row), 'cell')}, expected {len(head)}: is the file whole?")
        key = image_key(row[head.index(ID)])
        if not key or key in images:
            raise InvalidInput(f"{where}: " + (f"duplicate image {key}." if key else f"no {ID}."))
        images[key] = place
        values[:, place] = [_score(row[column], head[column], f"{where}: {head[column]}") for column in at]
    known = {ID, "", *wanted}
    unread = tuple(name for name in head if name not in known)
    return Scores(tuple(images), dict(zip(present, values, strict=True)), unread)


def write_scores(path: Path, images: Sequence[str], columns: Mapping[str, Sequence[float]]) -> None:
    """Write a result file atomically: ``ID`` and the columns, as many digits as tell each float64 from any other.

    Args:
        path: where.
        images: ``N`` image ids.
        columns: column name → ``N`` values; whole numbers are written as such.
    """
    rows = [[ID, *columns]]
    for place, image in enumerate(images):
        rows.append([image, *(_text(values[place]) for values in columns.values())])
    write_text(path, csv_text(rows))


def read_groups(path: Path) -> dict[str, str]:
    """Read which group each image is in: a CSV with the columns ``ID`` and ``group``.

    Returns:
        Image key → group.

    Raises:
        InvalidInput: not such a file, or an image in two groups.
    """
    rows = _rows(path)
    if not rows or ID not in rows[0] or GROUP not in rows[0]:
        raise InvalidInput(
            f"{path}: the first line must be {ID},{GROUP}; found {listing(rows[0]) if rows else 'nothing'}."
        )
    image_at, group_at = rows[0].index(ID), rows[0].index(GROUP)
    groups: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) <= max(image_at, group_at) or not row[group_at].strip():
            raise InvalidInput(f"{path}: line {number}: expected an image and its group, found {','.join(row)!r}.")
        key, group = image_key(row[image_at]), row[group_at].strip()
        if groups.setdefault(key, group) != group:
            raise InvalidInput(f"{path}: line {number}: image {key} is in two groups, {groups[key]} and {group}.")
    return groups


def write_groups(path: Path, groups: Mapping[str, str]) -> None:
    """Write a file that `read_groups` reads, atomically."""
    write_text(path, csv_text([[ID, GROUP], *([image, group] for image, group in groups.items())]))


def find_groups(root: Path) -> Path:
    """Return the groups file that belongs to a folder of results: in it, beside it, or in ``dataset/`` beside it.

    Raises:
        InvalidInput: there is none.
    """
    _check_folder(root)
    candidates = [
        place
        for above in dict.fromkeys((root.absolute(), root.resolve()))  # beside a link, or beside what it leads to
        for place in (
            above / GROUPS_FILE,
            above.parent / GROUPS_FILE,
            above.parent / "dataset" / GROUPS_FILE,
            above / "dataset" / GROUPS_FILE,
        )
    ]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise InvalidInput(
            f"{root}: which image is in which group? No {GROUPS_FILE} there, beside it, or in dataset/ beside it.",
            hint=f"Name it: --groups FILE (the dataset's dataset/{GROUPS_FILE}; a CSV with the columns ID and group).",
        )
    return found


def read_resources(path: Path) -> Resources | None:
    """Return what `write_resources` wrote beside a result file, ``None`` where nothing is there.

    Args:
        path: of the result file (``1.csv``; its resources are in ``1.json``).

    Raises:
        InvalidInput: it is something else.
    """
    beside = path.with_suffix(".json")
    check_recorded(beside)
    try:
        value = read_json(beside)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{beside}: not a readable JSON file ({error}).") from error
    try:
        memory = value["memory_bytes"]
        seconds = float(value["seconds"])
        if not 0 <= seconds < math.inf:
            raise ValueError(f"seconds {seconds}")
        return Resources(seconds, None if memory is None else int(memory), str(value["device"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{beside}: expected the keys seconds, memory_bytes and device ({type(error).__name__}: {error})."
        ) from error


def write_resources(path: Path, resources: Resources) -> None:
    """Write what a run cost beside its result file ``path``, atomically."""
    document = {
        "seconds": resources.seconds,
        "memory_bytes": resources.memory_bytes,
        "device": resources.device,
    }
    write_json(path.with_suffix(".json"), document)


def _rows(path: Path) -> list[list[str]]:
    """Return the lines of a CSV that aren't empty."""
    check_recorded(path)
    try:
        with io.TextIOWrapper(open_to_read(path), encoding="utf-8-sig", newline="") as file:
            return [[from_cell(cell.strip()) for cell in row] for row in csv.reader(file, strict=True) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(
            f"{path}: not a readable CSV file ({error}).", hint="Write it again as UTF-8 text, or take it away."
        ) from error


def _score(text: str, column: str, where: str) -> float:
    """Return a cell's number. An infinite distance, that of an empty prediction, is the authors' sentinel for one."""
    if column.startswith("HD95") and text.lower() in ("inf", "+inf"):
        return NO_DISTANCE
    value, highest = _number(text, where), 1.0 if column.startswith(OVERLAPS) else math.inf
    if not (0 <= value <= highest or math.isnan(value)):
        allowed = "from 0 to 1" if highest == 1 else "0 or more"
        raise InvalidInput(
            f"{where}: found {text}; this score is {allowed}.", hint=f"Is {column} another measure here?"
        )
    return value


def _number(text: str, where: str) -> float:
    """Return a cell's number; NaN for an empty one, as pandas writes what isn't defined."""
    if text.lower() in ("", "nan"):
        return math.nan
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidInput(f"{where}: expected a number, found {text!r}.") from error
    if not math.isfinite(value):
        raise InvalidInput(f"{where}: expected a finite number, found {text!r}.")
    return value


def _text(value: float) -> str:
    return str(int(value)) if isinstance(value, int | np.integer) else repr(float(value))
