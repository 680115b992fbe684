"""Files and views that hand-written loops share; see `pipeline`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Work:
    """Input and output of a loop.

    Args:
        samples: images with ``id``, ``image``, ``mask`` and ``labels`` (indices ≥ 1).
        values: value in masks by class index.
        results: folder of the finished stages.
        out: folder for the loop's own results.
        settings: config of the stage.
    """

    samples: list[dict[str, Any]]
    values: list[int]
    results: Path
    out: Path
    settings: dict[str, Any]

    @classmethod
    def load(cls, stage: str, samples: str, results: str, out: str) -> Work:
        """Read the list of samples and the config recorded by the stage."""
        listed = json.loads(Path(samples).read_text())
        record = json.loads((Path(results) / stage / "stage.json").read_text())
        Path(out).mkdir(parents=True, exist_ok=True)
        return cls(listed["samples"], listed["values"], Path(results), Path(out), record["config"])

    @property
    def indices(self) -> Pixels:
        """Table value in masks → class index; unknown values are background."""
        table = np.zeros(256, np.uint8)
        table[255] = 255
        table[self.values] = range(len(self.values))
        return table

    @property
    def stored(self) -> Pixels:
        """Table class index → value in masks."""
        table = np.full(256, 255, np.uint8)
        table[: len(self.values)] = self.values
        return table


def read_rgb(path: str | Path) -> Pixels:
    """Read an image ``(H, W, 3)``."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)


def read_labels(path: str | Path) -> Pixels:
    """Read the values of a mask ``(H, W)``."""
    with Image.open(path) as image:
        return np.asarray(image)


def write_labels(path: Path, mask: Pixels) -> None:
    """Write a mask as a palette PNG."""
    image = Image.fromarray(mask)
    image.putpalette([value for index in range(256) for value in (index, index, index)])
    image.save(path)


def scaled(array: Pixels, factor: float, interpolation: int = cv2.INTER_LINEAR) -> Pixels:
    """Resize an image or a mask by a factor."""
    return np.asarray(cv2.resize(array, None, fx=factor, fy=factor, interpolation=interpolation), np.uint8)


def views(image: Pixels, settings: dict[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Yield the network's inputs ``(1, 3, H', W')`` at every scale, and mirrored."""
    import torch

    for scale in settings["scales"]:
        batch = torch.from_numpy(scaled(image, scale))[None].permute(0, 3, 1, 2)
        yield batch, False
        if settings["flip"]:
            yield batch.flip(3), True


def present(work: Work, sample: dict[str, Any]) -> tuple[Pixels, Pixels, Pixels]:
    """Return an image, its pseudo mask as positions in the sorted values of its classes, and those values."""
    mask = read_labels(work.results / "pseudo" / "masks" / f"{sample['id']}.png")
    values = np.array(sorted({0, *(work.values[index] for index in sample["labels"])}), np.uint8)
    return read_rgb(sample["image"]), np.searchsorted(values, mask).clip(0, len(values) - 1).astype(np.uint8), values
