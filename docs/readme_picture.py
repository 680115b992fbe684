"""Make the README picture from a finished run of the quickstart.

wsss run quickstart && python docs/readme_picture.py runs/quickstart docs/quickstart.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from wsss.data.artifacts import read_indices, read_maps
from wsss.data.readers.registry import open_dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.io.rasters.rgb_images import read_image
from wsss.viz.drawing.heatmap import heat_overlay
from wsss.viz.drawing.overlay import contact_sheet, overlay
from wsss.viz.drawing.palette import class_colours

IMAGES = 4


def main(run: Path, out: Path) -> None:
    """Write a sheet of images, maps, pseudo masks, predictions and ground truth."""
    root = next((run / "data").glob("shapes-*/images")).parent
    data = open_dataset({"layout": "folder", "root": str(root)}, work=run / "data")
    palette = class_colours(data.classes)
    several = [sample for sample in data.split("val") if len(sample.labels or ()) > 1]
    rows = []
    for sample in several[:IMAGES]:
        image = read_image(*sample.source)
        cams = read_maps(run / "cam", sample, data.classes)
        strongest = cams.at(cams.size).max(0)

        def masked(mask: np.ndarray, image: np.ndarray = image) -> np.ndarray:
            return overlay(image, mask, palette)

        stages = [read_indices(run / name, sample.id, data.classes) for name in ("pseudo", "predict")]
        truth = read_sample_mask(sample, data.classes)
        rows.append([image, heat_overlay(image, strongest), *map(masked, stages), masked(truth)])
    contact_sheet(rows, ["image", "class activation map", "pseudo mask", "network", "ground truth"], out, width=180)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
