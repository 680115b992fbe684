"""The files of a folder of tiles (see `wsss.data.tiles.tiling`).

::

    out/images/<image>_<row>_<column>.png    the tile
        labels.csv                           image_id,labels,split: a plain folder, see `wsss.data.readers.folder`
        classes.txt
        tiles.csv                            where each was cut, and the colour statistics of its image
        tiles.json                           how they were drawn
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.data.readers.folder import CLASSES
from wsss.data.sample_ids import check_id
from wsss.errors import InvalidInput, listing
from wsss.io.files.atomic import write_json, write_text
from wsss.io.text.tables import csv_text, read_rows
from wsss.io.text.text_files import read_text

if TYPE_CHECKING:
    from wsss.data.sample import Classes

IMAGES, LABELS, PLACES, DRAWN = "images", "labels.csv", "tiles.csv", "tiles.json"
SPLIT = "train"
"""What a folder of tiles calls its only split."""

_STATISTICS = tuple(f"{what}_{channel}" for what in ("mean", "std") for channel in ("red", "green", "blue"))
_COLUMNS = ("tile_id", "image_id", "row", "column", "size", "labels", *_STATISTICS)


@dataclass(frozen=True)
class Tile:
    """A tile.

    Args:
        image: id of the image it is cut from.
        row, column: its upper left pixel there.
        size: its side length in pixels.
        labels: sorted indices (≥ 1) of the classes that are said to be in it.
        mean, std: of red, green and blue over the whole image it is cut from, in [0, 1].
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
        """The tile's name: image, row and column."""
        return f"{self.image}_{self.row:05d}_{self.column:05d}"

    def path(self, folder: Path) -> Path:
        """Return the tile's picture below the folder of all tiles."""
        return folder / IMAGES / f"{self.id}.png"


def write_tables(out: Path, tiles: Sequence[Tile], *, classes: Classes, drawn: Mapping[str, Any]) -> None:
    """Write the tables beside the pictures.

    Args:
        out: folder of all tiles.
        tiles: all of them.
        classes: of the dataset.
        drawn: how they were drawn, for ``tiles.json``.
    """
    names = [" ".join(classes.names[index] for index in tile.labels) for tile in tiles]
    labels = [(tile.id, seen, SPLIT) for tile, seen in zip(tiles, names, strict=True)]
    write_text(out / LABELS, csv_text([("image_id", "labels", "split"), *labels]))
    rows = [
        (tile.id, tile.image, tile.row, tile.column, tile.size, seen, *(f"{x:.9g}" for x in (*tile.mean, *tile.std)))
        for tile, seen in zip(tiles, names, strict=True)
    ]
    write_text(out / PLACES, csv_text([_COLUMNS, *rows]))
    of_classes = zip(classes.values, classes.names, strict=True)
    write_text(out / CLASSES, "".join(f"{values[0]} {name}\n" for values, name in of_classes))
    write_json(out / DRAWN, dict(drawn))


def read_tiles(folder: Path, classes: Classes) -> list[Tile]:
    """Read the table that `write_tables` wrote.

    Raises:
        InvalidInput: there is none, it is broken, names a class that the dataset doesn't have, or a picture is missing.
    """
    path = folder / PLACES
    if not path.is_file():
        raise InvalidInput(
            f"{path}: no such file.", hint="Give the folder of a tiles stage, or one that `wsss data tiles` wrote."
        )
    rows = read_rows(io.StringIO(read_text(path)), path)
    tiles = [_read_row(row, f"{path}: row {number}", classes) for number, row in enumerate(rows, start=1)]
    if not tiles:
        raise InvalidInput(f"{path}: the table lists no tile.")
    missing = [tile.id for tile in tiles if not tile.path(folder).is_file()]
    if missing:
        raise InvalidInput(f"{folder}: {len(missing)} of {len(tiles)} tiles have no picture: {listing(missing)}.")
    sizes = sorted({tile.size for tile in tiles})
    if len(sizes) > 1:
        raise InvalidInput(
            f"{path}: tiles of different sizes ({listing(sizes)}); one training takes tiles of one size."
        )
    return tiles


def _read_row(row: Mapping[str, str], where: str, classes: Classes) -> Tile:
    try:
        values = [float(row[name]) for name in _STATISTICS]
        place = [int(row[name]) for name in ("row", "column", "size")]
        image, names = row["image_id"], row["labels"].split()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{where}: expected the columns {listing(_COLUMNS, limit=20)} ({error}).") from error
    if min(place) < 0 or place[2] < 1 or not np.isfinite(values).all() or min(values[3:]) < 0:
        raise InvalidInput(f"{where}: a place or a colour statistic is out of its range.")
    mean, std = (values[0], values[1], values[2]), (values[3], values[4], values[5])
    labels = tuple(sorted(classes.index(name) for name in names))
    return Tile(check_id(image, where), place[0], place[1], place[2], labels, mean, std)
