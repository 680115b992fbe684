"""The files of a folder of tiles (see `wsss.data.tiles.tiling`).

::

    out/images/<image>_<row>_<column>.png    the tile
        labels.csv                           image_id,labels,split: the layout of `wsss.data.readers.folder`
        classes.txt
        tiles.csv                            position of each tile, and the colour statistics of its image
        tiles.json                           settings and counts
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.data.readers.folder import CLASSES
from wsss.data.readers.label_tables import join_labels
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.atomic import write_json, write_text
from wsss.io.text.tables import csv_text, read_rows
from wsss.io.text.text_files import read_text

if TYPE_CHECKING:
    from wsss.data.classes import Classes

IMAGES, LABELS, POSITIONS, DRAWN = "images", "labels.csv", "tiles.csv", "tiles.json"
SPLIT = "train"
"""Name of the only split of a folder of tiles."""

_STATISTICS = tuple(f"{what}_{channel}" for what in ("mean", "std") for channel in ("red", "green", "blue"))
_COLUMNS = ("tile_id", "image_id", "row", "column", "size", "labels", *_STATISTICS)


@dataclass(frozen=True)
class Tile:
    """A square crop of an image with image-level labels.

    Args:
        row, column: position of the upper left pixel in the image.
        size: side length in pixels.
        labels: sorted indices (≥ 1) of the classes in the tile.
        mean, std: mean and standard deviation of red, green and blue over the whole image, in [0, 1].
    """

    image: str
    row: int
    column: int
    size: int
    labels: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def id(self) -> str:
        """Id of the tile, composed of image, row and column."""
        return f"{self.image}_{self.row:05d}_{self.column:05d}"

    def path(self, folder: Path) -> Path:
        """Return the tile's PNG, relative to the folder of all tiles."""
        return folder / IMAGES / f"{self.id}.png"


def write_tables(out: Path, tiles: Sequence[Tile], *, classes: Classes, drawn: Mapping[str, Any]) -> None:
    """Write the tables of a folder of tiles.

    Args:
        drawn: content of ``tiles.json``.
    """
    names = [join_labels((classes.names[index] for index in tile.labels), classes.foreground) for tile in tiles]
    labels = [(tile.id, tile_labels, SPLIT) for tile, tile_labels in zip(tiles, names, strict=True)]
    write_text(out / LABELS, csv_text([("image_id", "labels", "split"), *labels]))
    rows = [
        (
            *(tile.id, tile.image, tile.row, tile.column, tile.size, tile_labels),
            *(f"{value:.9g}" for value in (*tile.mean, *tile.std)),
        )
        for tile, tile_labels in zip(tiles, names, strict=True)
    ]
    write_text(out / POSITIONS, csv_text([_COLUMNS, *rows]))
    ids = zip(classes.values, classes.names, strict=True)
    write_text(out / CLASSES, "".join(f"{values[0]} {name}\n" for values, name in ids))
    write_json(out / DRAWN, dict(drawn))


def read_tiles(folder: Path, classes: Classes) -> list[Tile]:
    """Read the table written by `write_tables`.

    Raises:
        InvalidInput: the table is missing or invalid, a class is unknown, tile sizes differ, or a PNG is missing.
    """
    path = folder / POSITIONS
    if not path.is_file():
        raise InvalidInput(
            "no such file", subject=path, hint="Pass the folder of a tiles stage, or one written by `wsss data tiles`."
        )
    rows = read_rows(io.StringIO(read_text(path)), path)
    tiles = [_read_row(row, f"{path}: row {number}", classes) for number, row in enumerate(rows, start=1)]
    if not tiles:
        raise InvalidInput("the table has no tiles", subject=path)
    missing = [tile.id for tile in tiles if not tile.path(folder).is_file()]
    if missing:
        raise InvalidInput(
            f"{len(missing)} of {counted(len(tiles), 'tile')} have no PNG: {listing(missing)}", subject=folder
        )
    sizes = sorted({tile.size for tile in tiles})
    if len(sizes) > 1:
        raise InvalidInput("tiles of different sizes", subject=path, found=sizes, allowed="one size")
    return tiles


def _read_row(row: Mapping[str, str], where: str, classes: Classes) -> Tile:
    try:
        statistics = [float(row[name]) for name in _STATISTICS]
        top, left, size = (int(row[name]) for name in ("row", "column", "size"))
        image, cell = row["image_id"], row["labels"].strip()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        columns = f"a row of {listing(_COLUMNS, limit=20)}"
        raise InvalidInput(f"invalid row ({error})", subject=where, allowed=columns) from error
    if min(top, left) < 0 or size < 1 or not np.isfinite(statistics).all() or min(statistics[3:]) < 0:
        raise InvalidInput("position or colour statistics out of range", subject=where)
    mean, std = (statistics[0], statistics[1], statistics[2]), (statistics[3], statistics[4], statistics[5])
    labels = tuple(sorted({classes.index(name) for name in _names(cell, where, classes)}))
    return Tile(check_id(image, where), top, left, size, labels, mean, std)


def _names(cell: str, where: str, classes: Classes) -> list[str]:
    """Return the names of the classes in a cell; earlier versions separated all names by spaces.

    Raises:
        InvalidInput: the names are separated by spaces, and names that contain spaces allow several readings.
    """
    separated = [name.strip() for name in cell.split(";") if name.strip()]
    if ";" in cell and set(separated) <= set(classes.foreground):
        return separated
    words = cell.split()
    readings = _readings(words, classes.foreground)
    if len(readings) > 1:
        raise InvalidInput(
            "ambiguous labels",
            subject=where,
            found=cell,
            allowed=[join_labels(sorted(names), classes.foreground) for names in readings],
            hint="Draw the tiles again, or separate the names by semicolons.",
        )
    return sorted(readings[0]) if readings else words


def _readings(words: Sequence[str], known: Sequence[str]) -> list[frozenset[str]]:
    """Return at most two ways to divide words into known names."""
    names = {tuple(name.split()): name for name in known}
    of_rest: list[list[frozenset[str]]] = [[] for _ in words] + [[frozenset()]]
    for start in reversed(range(len(words))):
        ways = (
            rest | {name}
            for pieces, name in names.items()
            if tuple(words[start : start + len(pieces)]) == pieces
            for rest in of_rest[start + len(pieces)]
        )
        of_rest[start] = list(dict.fromkeys(ways))[:2]
    return of_rest[0]
