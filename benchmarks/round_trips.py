"""Round trips of masks through the readers and writers of datumaro and label-studio-sdk.

    python -m venv tools && tools/bin/pip install datumaro label-studio-sdk
    python benchmarks/round_trips.py --tools tools/bin/python [--images 6] [--data PATH/TO/voc_animals]

datumaro requires another version of OpenCV than wsss, so both packages are used in an environment of their own:
``wsss export`` writes the masks, `round_trip_tools` opens them with the tool's reader, paints a rectangle into every
mask and saves them with the tool's writer, and ``wsss import-masks`` reads them back. Exactly the painted pixels must
differ; otherwise the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np
from measured_command import run
from numpy.typing import NDArray

from wsss.data.dataset import Dataset
from wsss.data.readers.registry import open_dataset
from wsss.io.rasters.label_masks import read_mask, write_mask

ROOT = Path(__file__).parents[1]
FORMATS = {"voc": "voc", "coco": "coco", "cvat": "voc", "label-studio": "label-studio"}
"""Format of the export → format in which the tool saves it: datumaro reads CVAT's "Segmentation mask 1.1" as VOC."""

SAVED = {"coco": "annotations/instances_default.json", "label-studio": "tasks.json"}
"""File that the tool writes, where it is not the folder."""


@dataclass(frozen=True)
class Rectangle:
    """A rectangle of an image, to be painted with a class."""

    top: int
    left: int
    bottom: int
    right: int
    value: int
    label: str


@dataclass
class Counts:
    """Numbers of pixels: all, painted with another class, of these changed as painted, and of other changed pixels."""

    pixels: int = 0
    painted: int = 0
    changed: int = 0
    others: int = 0


def main() -> int:
    """Export, change, import and compare in every format."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tools", required=True, help="Python with datumaro and label-studio-sdk")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--data", type=Path, help="dataset with masks; by default synthetic shapes")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        root = options.data or _shapes(work / "shapes", options.images)
        masks = _masks(root, work / "masks", options.images)
        print(f"| format | images | pixels | painted pixels | changed | other pixels changed |\n|{'---|' * 6}")
        for name in FORMATS:
            counts = _round_trip(name, root, masks, work, options.tools)
            shown = (len(masks), *astuple(counts))
            print(f"| {name} | " + " | ".join(f"{count:,}" for count in shown) + " |", flush=True)
            wrong += counts.others + counts.painted - counts.changed
    return int(wrong > 0)


def _shapes(folder: Path, images: int) -> Path:
    from wsss.data.synthetic.shapes import Config, generate

    generate(Config(seed=0, size=64, train=images, val=1, classes=3), folder)
    return folder


def _masks(root: Path, out: Path, images: int) -> dict[str, Path]:
    """Copy the first true masks: id → file."""
    data = open_dataset({"root": root}, work=out)
    truth = {sample.id: sample.mask for sample in data.split("train") if sample.mask is not None}
    masks = {name: out / f"{name}.png" for name in list(truth)[:images]}
    for name, file in masks.items():
        write_mask(file, read_mask(truth[name]))
    return masks


def _round_trip(name: str, root: Path, masks: dict[str, Path], work: Path, tools: str) -> Counts:
    exported, changed, back = (work / f"{name}-{step}" for step in ("exported", "changed", "back"))
    folder, images = work / "masks", [] if name == "cvat" else ["--with-images", "copy"]
    run("export", folder, "--format", name, "--data.root", root, *images, "--out", exported)
    rectangles = _rectangles(masks, open_dataset({"root": root}, work=work))
    painted = {image: asdict(rectangle) for image, rectangle in rectangles.items()}
    task = {"format": name, "source": str(exported), "out": str(changed), "painted": painted}
    (work / "task.json").write_text(json.dumps(task))
    subprocess.run([tools, ROOT / "benchmarks" / "round_trip_tools.py", work / "task.json"], check=True)
    source = changed / SAVED.get(name, "")
    options = ("--format", FORMATS[name], "--empty", "background", "--data.root", root)
    run("import-masks", source, *options, "--out", back)
    counts = Counts()
    for image, file in masks.items():
        _count(read_mask(file), read_mask(back / "masks" / f"{image}.png"), rectangles[image], counts)
    return counts


def _count(before: NDArray[np.uint8], after: NDArray[np.uint8], rectangle: Rectangle, counts: Counts) -> None:
    inside = np.zeros(before.shape, bool)
    inside[rectangle.top : rectangle.bottom, rectangle.left : rectangle.right] = True
    painted = inside & (before != rectangle.value)
    counts.pixels += before.size
    counts.painted += int(painted.sum())
    counts.changed += int((after[painted] == rectangle.value).sum())
    counts.others += int((after != before)[~painted].sum())


def _rectangles(masks: dict[str, Path], data: Dataset) -> dict[str, Rectangle]:
    generator = np.random.default_rng(0)
    rectangles = {}
    for image, file in masks.items():
        height, width = read_mask(file).shape
        top, left = int(generator.integers(height // 2)), int(generator.integers(width // 2))
        index = int(generator.integers(1, len(data.classes.names)))
        value = next(iter(data.classes.values[index]))
        label = data.classes.names[index]
        rectangles[image] = Rectangle(top, left, top + height // 3, left + width // 3, value, label)
    return rectangles


if __name__ == "__main__":
    sys.exit(main())
