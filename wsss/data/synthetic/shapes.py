"""The dataset `shapes`: synthetic multi-label scenes in the layout of `wsss.data.readers.folder`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from wsss.data.dataset import Dataset
from wsss.data.readers import folder
from wsss.data.readers.layout import Layout, LayoutConfig, Log, hash_cache
from wsss.data.synthetic.generated import Generated, drawn
from wsss.data.synthetic.scene import CLASS_NAMES, draw_scene
from wsss.io.files.atomic import write_text
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.rgb_images import write_png

GENERATOR = 1
"""Version of the generator; increment it whenever the images of a config change."""

LABELS = "labels.csv"


class Config(LayoutConfig):
    """``data:`` of generated scenes."""

    layout: Literal["shapes"] = "shapes"
    size: int = Field(96, ge=32, le=1024, description="Side length of the square images in pixels.")
    train: int = Field(240, ge=1, le=100_000, description="Number of images in the split train.")
    val: int = Field(80, ge=0, le=100_000, description="Number of images in the split val.")
    classes: int = Field(4, ge=1, le=len(CLASS_NAMES), description="Number of classes.")
    objects: int = Field(2, ge=1, le=3, description="Maximum number of objects per image.")
    seed: int = Field(0, ge=0, description="Random seed.")


@dataclass(frozen=True)
class _Scene:
    id: str
    split: str
    number: int
    first: int


def read(config: Config, *, work: Path, log: Log) -> Dataset:
    """Return the dataset, generated below ``work`` if necessary."""
    root = _generated(config).ensure(
        work, _files(config), lambda out: generate(config, out), log=log, count=config.train + config.val
    )
    dataset = folder.read(folder.Config.model_validate({"root": root}), work=work, log=log)
    return replace(dataset, name="shapes", cache=hash_cache(work))


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
    rows = ["image_id,labels,split\n"]
    names = enumerate(("background", *CLASS_NAMES[: config.classes]))
    with _generated(config).writing(out, _files(config)):
        for scene, labels in drawn(_scenes(config), lambda scene: _write(config, scene, out), advance):
            rows.append(f"{scene.id},{labels},{scene.split}\n")
        write_text(out / LABELS, "".join(rows))
        write_text(out / folder.CLASSES, "".join(f"{number} {name}\n" for number, name in names))


def _generated(config: Config) -> Generated:
    return Generated(config, GENERATOR)


def _files(config: Config) -> set[str]:
    pairs = {f"{kind}/{scene.id}.png" for scene in _scenes(config) for kind in ("images", "masks")}
    return pairs | {LABELS, folder.CLASSES}


def _scenes(config: Config) -> list[_Scene]:
    """Return all scenes in order; the class of the first object cycles, so that all classes are equally frequent."""
    numbers = [("train", number) for number in range(config.train)] + [("val", number) for number in range(config.val)]
    return [
        _Scene(f"{split}_{number:05d}", split, number, first=1 + number % config.classes) for split, number in numbers
    ]


def _write(config: Config, scene: _Scene, out: Path) -> str:
    """Draw and write one scene unless it exists; return the names of its classes, separated by spaces."""
    image_path, mask_path = out / "images" / f"{scene.id}.png", out / "masks" / f"{scene.id}.png"
    if image_path.is_file() and mask_path.is_file():
        mask = read_mask(mask_path)
    else:
        rng = np.random.default_rng([config.seed, int(scene.split == "val"), scene.number])
        image, mask = draw_scene(
            rng, size=config.size, first=scene.first, classes=config.classes, max_objects=config.objects
        )
        write_png(image_path, image)
        write_mask(mask_path, mask)
    return " ".join(CLASS_NAMES[value - 1] for value in np.unique(mask) if value > 0)


LAYOUT: Layout[Config] = Layout(name="shapes", config=Config, read=read)
