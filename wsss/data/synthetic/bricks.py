"""The dataset `bricks`: synthetic walls in the layout of `wsss.data.readers.topomortar`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from pydantic import Field, model_validator

from wsss.data.dataset import Dataset
from wsss.data.readers import topomortar
from wsss.data.readers.layout import Layout, LayoutConfig, Log, hash_cache
from wsss.data.readers.topomortar import FOLDER, GROUP_FILE, KINDS, MASK_VALUES, SPLITS, SPLITS_SMALL
from wsss.data.readers.topomortar_files import GROUPS, PARTS
from wsss.data.synthetic.generated import Generated, drawn
from wsss.data.synthetic.walls.brickwork import draw_wall
from wsss.io.files.atomic import write_text
from wsss.io.rasters.rgb_images import write_png

GENERATOR = 2
"""Version of the generator; increment it whenever the images of a config change."""

BETTI = "betti_numbers.csv"


class Config(LayoutConfig):
    """``data:`` of generated brick walls."""

    layout: Literal["bricks"] = "bricks"
    size: int = Field(256, ge=64, le=1024, description="Side length of the square images in pixels.")
    train: int = Field(40, ge=1, le=5_000, description="Number of images in the large training set.")
    small: int = Field(8, ge=1, le=5_000, description="Number of these images that form the small training set.")
    val: int = Field(10, ge=0, le=2_000, description="Number of validation images.")
    test: int = Field(6, ge=0, le=500, description="Number of test images in each of the seven groups.")
    seed: int = Field(0, ge=0, description="Random seed.")
    splits: list[str] | None = Field(None, description="Splits to read; absent = all.")

    @model_validator(mode="after")
    def _small_is_a_part(self) -> Config:
        if self.small > self.train:
            raise ValueError(f"small: expected at most train ({self.train}), got {self.small}")
        return self

    @property
    def count(self) -> int:
        """Number of images."""
        return self.train + self.val + self.test * len(GROUPS)


@dataclass(frozen=True)
class _Wall:
    id: str
    part: str
    group: str
    number: int  # within its part and group, so that the size of one part does not change the walls of another

    def path(self, kind: str) -> str:
        return f"{FOLDER}/{self.part}/{kind}/{self.id}.png"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its label kinds; test images have accurate labels only."""
        return KINDS[:1] if self.part == "test" else KINDS


def read(config: Config, *, work: Path, log: Log) -> Dataset:
    """Return the dataset, generated below ``work`` if necessary."""
    root = _generated(config).ensure(
        work, _files(config), lambda out: generate(config, out), log=log, count=config.count
    )
    of_layout = topomortar.Config(root=root, splits=config.splits)
    return replace(topomortar.read(of_layout, work=work, log=log), name="bricks", cache=hash_cache(work))


def generate(config: Config, out: Path, *, advance: Callable[[int], None] = lambda steps: None) -> None:
    """Write the dataset to ``out``; equal configs give equal bytes.

    Files from an interrupted call are kept; only missing ones are drawn.

    Args:
        out: the folder; it must be new, empty, or of the same config.
        advance: called with the number of finished images, to show progress.

    Raises:
        InvalidInput: ``out`` contains other files.
        RunFailed: the disk is full, or ``out`` is not writable.
    """
    walls, base = _walls(config), out / FOLDER
    lists = {part: [wall.path("images") for wall in walls if wall.part == part] for part in PARTS}
    rows = ["ID,Betti0,Betti1,Betti2\n"]
    with _generated(config).writing(out, _files(config)):
        for wall, betti in drawn(walls, lambda wall: _write(config, wall, out), advance):
            if wall.part == "test":
                rows.append(f"{wall.id},{betti[0]},{betti[1]},0\n")
        write_text(base / SPLITS, _yaml(lists))
        write_text(base / SPLITS_SMALL, _yaml({**lists, "train": lists["train"][: config.small]}))
        write_text(base / GROUP_FILE, "ID,group\n" + "".join(f"{wall.id},{wall.group}\n" for wall in walls))
        write_text(base / BETTI, "".join(rows))


def _yaml(lists: dict[str, list[str]]) -> str:
    return str(yaml.safe_dump({1: lists}, sort_keys=True))


def _generated(config: Config) -> Generated:
    return Generated(config.model_copy(update={"splits": None}), GENERATOR)


def _files(config: Config) -> set[str]:
    """Return the relative paths of all files of the dataset."""
    pictures = {wall.path(kind) for wall in _walls(config) for kind in ("images", *wall.kinds)}
    return pictures | {f"{FOLDER}/{name}" for name in (SPLITS, SPLITS_SMALL, GROUP_FILE, BETTI)}


def _walls(config: Config) -> list[_Wall]:
    """Return all walls, numbered as in TopoMortar: train, val, then test group by group."""
    counts = [("train", GROUPS[0], config.train), ("val", GROUPS[0], config.val)]
    counts += [("test", group, config.test) for group in GROUPS]
    walls = [(part, group, number) for part, group, count in counts for number in range(count)]
    return [_Wall(f"{number:03d}", *wall) for number, wall in enumerate(walls, start=1)]


def _write(config: Config, wall: _Wall, out: Path) -> tuple[int, int]:
    """Draw one wall and write its missing files; return the Betti numbers of its accurate mask."""
    missing = [kind for kind in ("images", *wall.kinds) if not (out / wall.path(kind)).is_file()]
    if not missing and wall.part != "test":  # its Betti numbers are not used
        return 0, 0
    seed = [config.seed, PARTS.index(wall.part), GROUPS.index(wall.group), wall.number]
    drawn = draw_wall(np.random.default_rng(seed), wall.group, size=config.size)
    mortar = MASK_VALUES.classes[1][0]
    for kind in missing:
        write_png(out / wall.path(kind), drawn.image if kind == "images" else drawn.masks[kind] * np.uint8(mortar))
    return drawn.betti


LAYOUT: Layout[Config] = Layout(name="bricks", config=Config, read=read)
