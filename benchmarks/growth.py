"""Time and memory of whole commands as datasets grow: 10³ to 10⁵ images, and 1 to 254 classes.

Run it with ``python benchmarks/growth.py`` (``--help`` for the options; ``--images 100 --classes 1`` takes a minute).
It writes tiny PNGs with different bytes to a temporary folder and runs commands on them, each in a process of its own:
the check of the dataset, its content hashes, the plan, a run of cheap stages, the same run again (nothing to do), the
state of the run, its report and exports. The second table has a classifier and its maps, their masks and scores for
many classes; 254 is the limit of 8-bit masks. Large images are measured by ``large_photographs.py``.

CPU seconds are those of the command and its workers: other work on the machine hardly affects them. Memory is the
largest resident set of any process of the command.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from measured_command import WSSS, measured, work_folder
from numpy.typing import NDArray

SIDE = 16
"""Side of the tiny images."""

IMAGES_PER_TABLE = 512
"""Number of images in the table of classes; each has 64² pixels."""

PIPELINE = """name: growth
data: {{layout: folder, root: {root}}}
stages:
  colour: {{uses: colour, with: {{splits: [train]}}}}
  pseudo: {{uses: pseudo, needs: [colour], with: {{splits: [train]}}}}
  score: {{uses: score, needs: [pseudo], with: {{split: train}}}}
  report: {{uses: report, needs: [score, pseudo]}}
"""

HASHES = """
import sys
from pathlib import Path
from wsss.data.readers.registry import open_dataset
data = open_dataset({"root": sys.argv[1]}, work=Path(sys.argv[2]))
for kind in ("images", "labels", "masks"):
    data.fingerprint("train", kind)
"""


def png(rows: NDArray[np.uint8]) -> bytes:
    """Return an uncompressed PNG of ``(H, W)`` grey values or ``(H, W, 3)`` colours."""
    height, width = rows.shape[:2]
    lines = np.zeros((height, 1 + rows[0].size), np.uint8)
    lines[:, 1:] = rows.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if rows.ndim == 2 else 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 0)), (b"IEND", b""))
    parts = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def write_dataset(root: Path, images: int, *, classes: int = 1, side: int = SIDE, copies: bool = False) -> None:
    """Write a dataset of random images and masks, in the folder layout.

    Args:
        root: its folder.
        images: number of images.
        classes: number of classes; the image with number n shows the class n modulo ``classes`` + 1, where 0 is none.
        side: side of the images.
        copies: give all images the same bytes.
    """
    for folder in ("images", "masks", "splits"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"image{number:06}" for number in range(images)]
    for number, name in enumerate(names):
        if not (copies and number):
            image = rng.integers(0, 255, (side, side, 3), np.uint8)
        mask = np.zeros((side, side), np.uint8)
        mask[: side // 2] = number % (classes + 1)
        (root / "images" / f"{name}.png").write_bytes(png(image))
        (root / "masks" / f"{name}.png").write_bytes(png(mask))
    shown = [number % (classes + 1) for number in range(images)]
    rows = [f"{name},{f'class{label}' if label else ''}\n" for name, label in zip(names, shown, strict=True)]
    (root / "labels.csv").write_text("image_id,labels\n" + "".join(rows))
    (root / "classes.txt").write_text("".join(f"class{1 + number}\n" for number in range(classes)))
    (root / "splits" / "train.txt").write_text("".join(f"{name}\n" for name in names))


def steps(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and command of each measurement, in order."""
    data, pipeline, run = (str(folder / name) for name in ("data", "pipeline.yaml", "run"))
    again = ("run", pipeline, "--run-dir", run, "--workers", "2")
    yield "data check", (*WSSS, "data", "check", data, "--workers", "2")
    yield "content hashes, first time", (sys.executable, "-c", HASHES, data, str(folder))
    yield "content hashes, cached", (sys.executable, "-c", HASHES, data, str(folder))
    yield "plan (run --dry-run)", (*WSSS, *again, "--dry-run")
    yield "run: colour, pseudo, score, report", (*WSSS, *again)
    yield "run again: nothing to do", (*WSSS, *again)
    yield "plan of the finished run", (*WSSS, *again, "--dry-run")
    yield "status", (*WSSS, "status", run)
    yield "status --verify", (*WSSS, "status", run, "--verify")
    yield "report", (*WSSS, "report", run, "--out", str(folder / "page"))
    masks = str(folder / "run" / "pseudo")
    for name in ("label-studio", "coco", "cvat"):
        yield f"export {name}", (*WSSS, "export", masks, "--format", name, "--out", str(folder / name))


def class_steps(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and command of each measurement of the table of classes, in order."""
    data, small = ("--data.root", str(folder / "data")), ("--set", "convnet={}")
    classify, maps, masks = (str(folder / name) for name in ("classify", "cam", "pseudo"))
    yield "data check", (*WSSS, "data", "check", str(folder / "data"), "--workers", "1")
    yield (
        "classify, 4 steps of 16 images",
        (*WSSS, "classify", *small, "--steps", "4", "--epochs", "null", *data, "--out", classify),
    )
    scales = ("--set", "scales=[1.0]", "--set", "flip=false", "--splits", "train", "--workers", "1")
    yield "cam", (*WSSS, "cam", "--classifier", classify, *scales, *data, "--out", maps)
    yield "pseudo", (*WSSS, "pseudo", "--cams", maps, "--splits", "train", "--workers", "1", *data, "--out", masks)
    score = ("--pred", masks, "--split", "train", "--workers", "1", *data, "--out", str(folder / "score"))
    yield "score", (*WSSS, "score", *score)


def by_images(work: Path, counts: Sequence[int]) -> None:
    """Print a table of `steps`: one column per number of images."""
    results: dict[str, list[str]] = {}
    for count in counts:
        folder = work / str(count)
        write_dataset(folder / "data", count)
        (folder / "pipeline.yaml").write_text(PIPELINE.format(root=folder / "data"))
        collect(results, steps(folder), f"{count} images")
        shutil.rmtree(folder)
    print_table(results, [f"{count:,} images" for count in counts])


def by_classes(work: Path, counts: Sequence[int]) -> None:
    """Print a table of `class_steps`: one column per number of classes."""
    results: dict[str, list[str]] = {}
    for count in counts:
        folder = work / f"classes-{count}"
        write_dataset(folder / "data", IMAGES_PER_TABLE, classes=count, side=64)
        collect(results, class_steps(folder), f"{count} classes")
        files = [path.stat().st_size for path in (folder / "cam").rglob("*.npz")]
        results.setdefault("maps per image", []).append(f"{sum(files) / len(files) / 1024:.1f} KiB")
        shutil.rmtree(folder)
    print_table(results, [f"{count:,} class{'es' if count > 1 else ''}" for count in counts])


def collect(results: dict[str, list[str]], commands: Iterator[tuple[str, tuple[str, ...]]], column: str) -> None:
    """Run commands and append a cell to each row."""
    for name, words in commands:
        took, cpu, peak = measured(words)
        results.setdefault(name, []).append(f"{took:.1f} s, {cpu:.1f} CPU s, {peak:.0f} MiB")
        print(f"  {column}: {name}: {results[name][-1]}", file=sys.stderr, flush=True)


def print_table(results: dict[str, list[str]], columns: Sequence[str]) -> None:
    """Print rows by name as Markdown."""
    print(f"| command | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, cells in results.items():
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print()


def main() -> None:
    """Parse the options, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="*", type=int, default=[1000, 10000, 100000])
    parser.add_argument("--classes", nargs="*", type=int, default=[1, 20, 200, 254])
    parser.add_argument("--work", type=Path, help="folder of the temporary files")
    args = parser.parse_args()
    with work_folder(args.work) as place:
        if args.images:
            by_images(place, args.images)
        if args.classes:
            by_classes(place, args.classes)


if __name__ == "__main__":
    main()
