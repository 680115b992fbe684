"""Memory, time and seams of prediction in tiles: an image of 12,000 × 9,000 pixels, and a crop against the whole.

Run it with ``python benchmarks/large_tiles.py`` (``--help`` for the options). The default segmentation network
(MobileNetV2 with an LR-ASPP head) is trained on generated pictures with their masks: grainy blobs of many sizes, of
which those with a reddish colour are the class. ``wsss predict`` then predicts a large picture of the same kind in a
process of its own; memory is the largest resident set of any process of the command. Last, the masks of another picture
in tiles are compared with its mask as a whole, for several sizes of tiles.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measured_command import WSSS, measured
from numpy.typing import NDArray

TRAIN = 12
"""Pictures that the network is trained on."""

SIDE = 512
"""Side of these pictures."""

RED = 140
"""Pixels of a larger red value, before grain is added, are of the class."""


def picture(size: tuple[int, int], seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture ``(H, W, 3)`` uint8 of grainy blobs of many sizes, and its mask ``(H, W)``."""
    import cv2

    rng = np.random.default_rng(seed)
    image = np.full((*size, 3), 128, np.uint8)
    for cell, strength in ((200, 0.5), (60, 0.3), (20, 0.2)):
        coarse = rng.normal(128, 70, (size[0] // cell + 2, size[1] // cell + 2, 3)).clip(0, 255).astype(np.uint8)
        grown = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
        image = cv2.addWeighted(image, 1.0, grown, strength, -128 * strength)
    mask = (image[..., 0] > RED).astype(np.uint8)
    for top in range(0, size[0], 500):
        band = image[top : top + 500]
        grain = rng.integers(-25, 26, band.shape, dtype=np.int16)
        image[top : top + 500] = (band + grain).clip(0, 255)
    return image, mask


def write_dataset(root: Path) -> None:
    """Write the training pictures in the folder layout, with masks."""
    import cv2

    for name in ("images", "masks", "splits"):
        (root / name).mkdir(parents=True)
    names = [f"blobs{number}" for number in range(TRAIN)]
    for number, name in enumerate(names):
        image, mask = picture((SIDE, SIDE), number)
        cv2.imwrite(str(root / "images" / f"{name}.png"), image[..., ::-1])
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
    (root / "classes.txt").write_text("red\n")
    (root / "splits" / "train.txt").write_text("\n".join(names) + "\n")


def train(work: Path, steps: int, *further: str) -> Path:
    """Train the default network, from random weights; return its folder."""
    write_dataset(work / "data")
    words = ("segment", "--data.root", str(work / "data"), "--targets", "ground-truth", "--steps", str(steps))
    settings = ("epochs=null", "batch_size=4", "backbone.weights=none", "backbone.freeze_batchnorm=false", *further)
    took, _, _ = measured(
        (*WSSS, *words, *(word for each in settings for word in ("--set", each)), "--out", str(work / "segment"))
    )
    print(f"trained {steps} steps in {took:.0f} s\n", flush=True)
    return work / "segment"


def memory(work: Path, network: Path, size: tuple[int, int], tilings: list[tuple[int, int]]) -> None:
    """Print seconds and MiB of ``wsss predict`` for a large picture."""
    import cv2

    folder = work / "large"
    folder.mkdir()
    image, _ = picture(size, 1000)
    cv2.imwrite(str(folder / "large.png"), image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    del image
    print("| size | tile | overlap | seconds | MiB |\n|---|---|---|---|---|")
    for tile, overlap in tilings:
        words = ("predict", "--images", str(folder), "--weights", str(network), "--device", "cpu")
        sides = ("--set", f"tile={tile}", "--set", f"overlap={overlap}")
        took, _, peak = measured((*WSSS, *words, *sides, "--out", str(work / f"masks-{tile}-{overlap}")))
        print(f"| {size[1]} × {size[0]} | {tile} | {overlap} | {took:.0f} | {peak:.0f} |", flush=True)


def masks(network: Path, image: NDArray[np.uint8], tilings: list[tuple[int, int]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the mask of the whole image, and those in tiles."""
    import wsss
    from wsss.models.segmentation_networks.inference import class_probabilities
    from wsss.models.segmentation_networks.segmenters import load_segmenter

    yield class_probabilities(load_segmenter(network)[0], image[None])[0].argmax(0).numpy()
    for tile, overlap in tilings:
        yield wsss.load_segmenter(network, device="cpu", tile=tile, overlap=overlap)(image)


def seams(network: Path, side: int, tilings: list[tuple[int, int]]) -> None:
    """Print the share of pixels of a square picture that tiles predict otherwise than the whole."""
    image, truth = picture((side, side), 2000)
    start, found = time.monotonic(), masks(network, image, tilings)
    whole = next(found)
    share = 100 * (whole != truth).mean()
    print(f"\nwhole picture of {side}²: {share:.2f} % of pixels wrong, {time.monotonic() - start:.0f} s\n")
    print("| tile | overlap | pixels that differ from the whole | seconds |\n|---|---|---|---|")
    for tile, overlap in tilings:
        start = time.monotonic()
        differ = 100 * (next(found) != whole).mean()
        print(f"| {tile} | {overlap} | {differ:.4f} % | {time.monotonic() - start:.0f} |", flush=True)


def main() -> None:
    """Parse the options, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="12000x9000", metavar="WxH", help="of the large picture; 0x0: none")
    parser.add_argument("--crop", type=int, default=3000, help="side of the picture whose masks are compared; 0: none")
    parser.add_argument("--steps", type=int, default=150, help="of the training")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="settings of the training")
    parser.add_argument("--network", type=Path, help="folder of a trained network, instead of the training")
    parser.add_argument("--large", nargs="+", default=["768/256"], metavar="TILE/OVERLAP", help="of the large picture")
    parser.add_argument("--tiles", nargs="+", default=["768/128", "768/256", "1024/256"], help="of the crop")
    args = parser.parse_args()
    large, tilings = ([tuple(map(int, each.split("/"))) for each in group] for group in (args.large, args.tiles))
    width, height = map(int, args.size.split("x"))
    with tempfile.TemporaryDirectory() as place:
        network = args.network or train(Path(place), args.steps, *args.settings)
        if width:
            memory(Path(place), network, (height, width), large)
        if args.crop:
            seams(network, args.crop, tilings)


if __name__ == "__main__":
    main()
