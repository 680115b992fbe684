"""Round trips of masks through the readers and writers of datumaro and label-studio-sdk.

    python -m venv tools && tools/bin/pip install datumaro label-studio-sdk
    python benchmarks/round_trips.py --tools tools/bin/python [--images 6] [--data PATH/TO/voc_animals]

Both packages need other versions of OpenCV than wsss, so they are used in an environment of their own: ``wsss export``
writes the masks, `round_trip_tools` opens them with the tool's reader, paints a rectangle into every mask and saves them
with the tool's writer, and ``wsss import-masks`` reads them back. Exactly the painted pixels must differ. The exit code is
1 if any others do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from wsss.data.dataset import Dataset
from wsss.data.readers.registry import open_dataset
from wsss.io.rasters.label_masks import read_mask, write_mask

ROOT = Path(__file__).parents[1]
FORMATS = {"voc": "voc", "coco": "coco", "cvat": "voc", "label-studio": "label-studio"}
"""Format of the export → format in which the tool saves it. CVAT's "Segmentation mask 1.1" is read as VOC by datumaro."""


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
            print(f"| {name} | " + " | ".join(f"{count:,}" for count in counts) + " |", flush=True)
            wrong += counts[-1] + (counts[2] - counts[3])
    return int(wrong > 0)


def _shapes(folder: Path, images: int) -> Path:
    from wsss.data.synthetic.shapes import Config, generate

    generate(Config(size=64, train=images, val=1, classes=3), folder)
    return folder


def _masks(root: Path, out: Path, images: int) -> dict[str, Path]:
    """Copy the first true masks: id → file."""
    data = open_dataset({"root": root}, work=out)
    samples = [sample for sample in data.split("train") if sample.mask is not None][:images]
    for sample in samples:
        write_mask(out / f"{sample.id}.png", read_mask(_of(sample.mask)))
    return {sample.id: out / f"{sample.id}.png" for sample in samples}


def _of(path: Path | None) -> Path:
    assert path is not None
    return path


def _round_trip(name: str, root: Path, masks: dict[str, Path], work: Path, tools: str) -> tuple[int, int, int, int, int]:
    """Return the numbers of images, pixels, painted pixels, of these changed as painted, and of other changed pixels."""
    exported, changed, back = (work / f"{name}-{step}" for step in ("exported", "changed", "back"))
    images = [] if name == "cvat" else ["--with-images", "copy"]
    _wsss("export", next(iter(masks.values())).parent, "--format", name, "--data.root", root, *images, "--out", exported)
    data = open_dataset({"root": root}, work=work)
    painting = {"format": name, "source": str(exported), "out": str(changed), "painted": _paint(masks, data)}
    (work / "painting.json").write_text(json.dumps(painting))
    subprocess.run([tools, ROOT / "benchmarks" / "round_trip_tools.py", work / "painting.json"], check=True)
    source = changed / "tasks.json" if name == "label-studio" else changed
    source = changed / "annotations" / "instances_default.json" if name == "coco" else source
    _wsss("import-masks", source, "--data.root", root, "--out", back, "--empty", "background", "--format", FORMATS[name])
    total, painted, arrived, other = 0, 0, 0, 0
    for image, file in masks.items():
        before, after = read_mask(file), read_mask(back / "masks" / f"{image}.png")
        top, left, bottom, right, value, _ = painting["painted"][image]
        expected = before.copy()
        expected[top:bottom, left:right] = value
        rectangle = expected != before
        total += before.size
        painted += int(rectangle.sum())
        arrived += int((after[rectangle] == value).sum())
        other += int((after[~rectangle] != before[~rectangle]).sum())
    return len(masks), total, painted, arrived, other


def _paint(masks: dict[str, Path], data: Dataset) -> dict[str, list[object]]:
    """Return a rectangle for every image: top, left, bottom, right, and the value and the name of its class."""
    generator = np.random.default_rng(0)
    named = list(zip(data.classes.names, data.classes.values, strict=True))[1:]
    painted: dict[str, list[object]] = {}
    for image, file in masks.items():
        height, width = read_mask(file).shape
        top, left = int(generator.integers(height // 2)), int(generator.integers(width // 2))
        name, values = named[int(generator.integers(len(named)))]
        painted[image] = [top, left, top + height // 3, left + width // 3, values[0], name]
    return painted


def _wsss(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "wsss", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
