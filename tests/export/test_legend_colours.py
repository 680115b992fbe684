"""Legends of overlays and sheets have the colours of the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exported import truth
from numpy.typing import NDArray
from PIL import Image

from wsss.export.export_formats import export_masks
from wsss.export.export_items import Masks, Options
from wsss.viz.drawing.palette import class_colours

Colour = tuple[int, ...]


def shown(masks: Masks, format_name: str, folder: Path, *, legend: bool) -> dict[str, NDArray[np.uint8]]:
    options = Options(opacity=1, contours=False, legend=legend)
    export_masks(masks, format_name, options, folder)
    return {path.stem: np.array(Image.open(path)) for path in sorted(folder.glob("*.png"))}


def colours_in(strip: NDArray[np.uint8]) -> list[Colour]:
    """Return the colours of a legend in reading order; its names, lines and hatching are grey."""
    pixels = strip.reshape(-1, 3)
    colours, first = np.unique(pixels[np.ptp(pixels, axis=1) > 0], axis=0, return_index=True)
    return [tuple(int(part) for part in colours[index]) for index in np.argsort(first)]


@pytest.mark.parametrize("format_name", ["overlay", "sheet"])
def test_each_colour_of_a_legend_is_in_the_picture(made: Masks, tmp_path: Path, format_name: str) -> None:
    with_legend = shown(made, format_name, tmp_path / "with", legend=True)
    without = shown(made, format_name, tmp_path / "without", legend=False)
    palette = class_colours(made.classes)
    indices = {name: np.unique(made.classes.encode(mask, where=name)) for name, mask in truth(made).items()}
    if format_name == "sheet":
        indices = {"sheet-1": np.unique(np.concatenate(list(indices.values())))}
    assert list(with_legend) == list(without) and set(without) == set(indices)
    for name, picture in without.items():
        height, width = picture.shape[:2]
        assert np.array_equal(with_legend[name][:height, :width], picture)
        legend = colours_in(with_legend[name][height:])
        assert legend == [tuple(int(part) for part in palette[index]) for index in indices[name] if index % 255]
        for colour in legend:
            assert (picture == colour).all(-1).any(), (name, colour)
