"""Memory and time of large photographs: dense CRF, maps and prediction, with a working size and without.

Run it with ``python benchmarks/large_photographs.py`` (``--help`` for the options). One synthetic photograph of each
size is processed by whole commands in separate processes, with untrained networks: memory and time depend only on
sizes, except for the CRF, whose lattice has more points the more the colours vary. Memory is the largest resident set
of any process of the command. Finally, SIGTERM is sent to a CRF in the middle of a large image.

With ``--photographs ROOT`` (a dataset with masks, in any layout that `wsss data check` recognises), the accuracy of
upsampled labels is measured instead: a CRF runs on the downscaled photographs, its labels are upsampled in three ways,
and compared with the true ones near the borders of objects.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from measured_command import WSSS, measured
from numpy.typing import NDArray

FREE = ("--set", "backbone.freeze_batchnorm=false")
CLASSIFIER = ("classify", "--set", "preset=classify/mobilenet_v2_bnfolded", "--set", "backbone.weights=none", *FREE)
NETWORK = ("segment", "--set", "preset=segment/mobilenet_v2_bnfolded", "--set", "backbone.weights=none", *FREE)
BLACK = np.zeros((64, 64), np.uint8)
NEAR = 7
"""Pixels from a border within which labels are compared."""

UNKNOWN = 15
"""Pixels from a border within which the CRF starts with unknown labels."""

FACTORS = (2, 3, 6)
"""By which photographs are reduced for the CRF."""


def photograph(size: tuple[int, int], seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture ``(H, W, 3)`` of shaded, grainy blobs, and its mask."""
    import cv2

    height, width = size
    rng = np.random.default_rng(seed)
    coarse = rng.normal(128, 60, (24, 36, 3)).astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image += rng.standard_normal((height, width, 3), dtype=np.float32) * 8
    mask = (image[..., 0] > 150).astype(np.uint8)
    mask = np.asarray(cv2.medianBlur(mask * 255, 5), np.uint8) // 255
    return image.clip(0, 255).astype(np.uint8), mask


def write_dataset(root: Path, images: dict[str, NDArray[np.uint8]]) -> None:
    """Write a dataset in the folder layout in which every image shows the one class, and one black image doesn't."""
    import cv2

    (root / "images").mkdir(parents=True)
    (root / "splits").mkdir()
    images = {**images, "black": np.zeros((64, 64, 3), np.uint8)}
    for name, image in images.items():
        cv2.imwrite(str(root / "images" / f"{name}.png"), image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    (root / "classes.txt").write_text("blob\n")
    (root / "splits" / "train.txt").write_text("\n".join(images) + "\n")
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("image_id", "labels"), *((name, "" if name == "black" else "blob") for name in images)]
        )


def commands(folder: Path, side: str) -> dict[str, tuple[str, ...]]:
    """Return the measured commands by name; ``folder`` holds ``data``, ``masks`` and two networks."""
    data, masks = str(folder / "data"), str(folder / "masks")
    common = ("--max-side", side, "--workers", "1", "--data.root", data)
    return {
        "crf": ("crf", "--masks", masks, "--set", "preset=crf/irn", *common),
        "cam": ("cam", "--classifier", str(folder.parent / "classify"), "--splits", "train", *common),
        "predict": ("predict", "--weights", str(folder.parent / "segment"), "--splits", "train", *common),
    }


def measure(work: Path, sizes: list[tuple[int, int]], sides: list[str], largest: dict[str, int]) -> None:
    """Print a table: size, working size, command, seconds, MiB."""
    print("| size | max_side | command | seconds | MiB |\n|---|---|---|---|---|")
    for size in sizes:
        folder = work / f"{size[1]}x{size[0]}"
        image, mask = photograph(size)
        write_dataset(folder / "data", {"large": image})
        write_masks(folder / "masks", {"large": mask, "black": BLACK})
        for side in sides:
            for name, words in commands(folder, side).items():
                if side == "null" and size[0] * size[1] > largest.get(name, 1 << 60):
                    continue
                took, _, peak = measured((*WSSS, *words, "--out", str(folder / f"{name}-{side}")))
                print(f"| {size[1]} × {size[0]} | {side} | {name} | {took:.0f} | {peak:.0f} |", flush=True)


def write_masks(folder: Path, masks: dict[str, NDArray[np.uint8]]) -> None:
    """Write masks of class indices."""
    from wsss.io.rasters.label_masks import write_mask

    folder.mkdir()
    for name, mask in masks.items():
        write_mask(folder / f"{name}.png", mask)


def stop(work: Path, size: tuple[int, int], after: float) -> None:
    """Print how long a CRF at full size takes to end after SIGTERM in the middle of an image."""
    folder = work / f"{size[1]}x{size[0]}"
    words = commands(folder, "null")["crf"]
    process = subprocess.Popen(
        [*WSSS, *words, "--out", str(folder / "stopped")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(after)
    if process.poll() is not None:
        raise SystemExit(f"crf ended within {after} s: choose a larger size or a shorter --stop-after")
    start = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    code = process.wait()
    print(f"\nSIGTERM {after:.0f} s after the start: exit code {code} after {time.monotonic() - start:.1f} s")


def enlargement(root: Path, split: str) -> None:
    """Print the share of right labels near borders after a CRF at reduced sizes, for three ways to full size.

    The CRF begins with the true labels, unknown within `UNKNOWN` pixels of a border.
    """
    import cv2

    from wsss.data.readers.registry import open_dataset
    from wsss.data.sample_mask import read_sample_mask
    from wsss.io.rasters.rgb_images import read_image

    with tempfile.TemporaryDirectory() as work:
        data = open_dataset({"root": str(root)}, work=Path(work))
    samples = [sample for sample in data.split(split) if sample.mask is not None]
    print("| reduced to | nearest | bilinear | along edges |\n|---|---|---|---|")
    for factor in FACTORS:
        right, total = np.zeros(3, np.int64), 0
        for sample in samples:
            image, mask = read_image(*sample.source), read_sample_mask(sample, data.classes)
            borders = (
                cv2.morphologyEx(np.where(mask == 255, 0, mask), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
            )
            if not borders.any():
                continue
            near = within(borders, NEAR) & (mask != 255)
            right += [(labels == mask)[near].sum() for labels in refined(image, mask, within(borders, UNKNOWN), factor)]
            total += int(near.sum())
        print(f"| 1/{factor} | " + " | ".join(f"{100 * count / total:.2f} %" for count in right) + " |", flush=True)


def within(borders: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return which pixels have a border within some rows and columns."""
    import cv2

    side = 2 * pixels + 1
    return np.asarray(cv2.dilate(borders.astype(np.uint8), np.ones((side, side), np.uint8))) > 0


def refined(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], unknown: NDArray[np.bool_], factor: int
) -> list[NDArray[np.uint8]]:
    """Return the labels of a CRF at 1/``factor`` of an image's size, enlarged: nearest, bilinear, along edges."""
    import cv2

    from wsss.data.image_transforms.resizing import resize
    from wsss.refine.dense_crf import CrfConfig, refine_labels

    values = np.array([value for value in np.unique(mask) if value != 255], np.uint8)
    positions = np.full(256, len(values), np.uint8)
    positions[values] = np.arange(len(values))
    labels = np.where(unknown, len(values), positions[mask])
    size = (mask.shape[1] // factor, mask.shape[0] // factor)
    along = refine_labels(image, labels, len(values), CrfConfig(max_side=max(size)), uncertain=len(values))
    small_labels = cv2.resize(labels.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    small = refine_labels(resize(image, size[::-1]), small_labels, len(values), CrfConfig(), uncertain=len(values))
    maps = [(small == position).astype(np.float32) for position in range(len(values))]
    bilinear = np.stack([cv2.resize(one, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) for one in maps]).argmax(0)
    nearest = cv2.resize(small.astype(np.uint8), mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return [values[one] for one in (nearest, bilinear, along)]


def main() -> None:
    """Parse the options, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1500x1000", "3000x2000", "6000x4000"], metavar="WxH")
    parser.add_argument("--sides", nargs="+", default=["1024", "null"], help="values of max_side")
    parser.add_argument("--stop-after", type=float, default=20, help="seconds until SIGTERM; 0: not measured")
    parser.add_argument("--photographs", type=Path, help="a dataset with masks; measures the enlargement alone")
    parser.add_argument("--split", default="val", help="of those")
    args = parser.parse_args()
    if args.photographs is not None:
        enlargement(args.photographs, args.split)
        return
    sizes = [(int(height), int(width)) for width, _, height in (each.partition("x") for each in args.sizes)]
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        write_dataset(work / "small", {f"small{number}": photograph((64, 64))[0] for number in range(3)})
        blobs = {f"small{number}": photograph((64, 64))[1] for number in range(3)}
        write_masks(work / "truth", {**blobs, "black": BLACK})
        training = ("--steps", "1", "--batch-size", "2", "--epochs", "null", "--data.root", str(work / "small"))
        for words in ((*CLASSIFIER, *training), (*NETWORK, "--masks", str(work / "truth"), *training)):
            measured((*WSSS, *words, "--out", str(work / words[0])))
        measure(work, sizes, args.sides, {"crf": 3000 * 2000, "cam": 3000 * 2000})
        if args.stop_after:
            stop(work, sizes[-1], args.stop_after)


if __name__ == "__main__":
    main()
