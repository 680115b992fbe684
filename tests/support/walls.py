"""A tiny dataset of walls: red bricks, and grey joints that are lighter or darker than the bricks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png

WALL_CLASSES = Classes(("background", "mortar"), ((0,), (1,)))

TRAINING = {
    "convnet": {"widths": [8, 8]},
    "pooling": "lse",
    "lse_sharpness": 4,
    "epochs": 12,
    "batch_size": 10,
    "optimiser": {"name": "adamw", "lr": 0.01, "head_lr_factor": 10},
}
"""Settings of `classify` with which the tiles of such walls are learned in seconds."""

MAPS = {"scales": [1], "flip": False, "stride": 1, "activation": "sigmoid"}
"""Settings of `cam` for this classifier."""


def walls(root: Path, *, count: int = 4, size: int = 96, dark: tuple[int, ...] = ()) -> Dataset:
    """Return a dataset of ``count`` walls in the split ``train``; the joints of those in ``dark`` are dark."""
    samples = []
    for number in range(count):
        rng = np.random.default_rng([7, number])
        mask = np.zeros((size, size), np.uint8)
        for course, top in enumerate(range(3 + number, size, 24)):
            mask[top : top + 4] = 1
            for left in range(5 + 20 * (course % 2), size, 40):
                mask[top : top + 24, left : left + 4] = 1
        joint = (70, 68, 66) if number in dark else (190, 185, 180)
        image = np.where(mask[..., None] == 1, joint, (150, 80, 60)) + rng.normal(0, 14, (size, size, 3))
        path, mask_path = root / "images" / f"w{number}.png", root / "masks" / f"w{number}.png"
        write_png(path, image.clip(0, 255).astype(np.uint8))
        write_mask(mask_path, mask)
        samples.append(Sample(f"w{number}", path, (1,), mask_path))
    return Dataset("walls", root, WALL_CLASSES, {"train": tuple(samples)})
