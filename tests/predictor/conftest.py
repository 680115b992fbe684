"""A network and photographs, for the tests of predictions without a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learning import picture_of_colours, random_segmenter
from PIL import Image

from wsss.io.rasters.rgb_images import write_png


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random network, without other files."""
    return random_segmenter(tmp_path_factory.mktemp("model"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A PNG, a rotated JPEG and a grey TIFF, and two images in subfolders."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    write_png(folder / "a.png", picture_of_colours())
    write_png(folder / "deep" / "er" / "a.png", generator.integers(0, 255, (20, 30, 3), dtype=np.uint8))
    write_png(folder / "deep" / "c d.png", generator.integers(0, 255, (20, 33, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(generator.integers(0, 255, (24, 44, 3), dtype=np.uint8))
    turned.save(folder / "turned.jpg", exif=exif)
    Image.fromarray(generator.integers(0, 255, (25, 26), dtype=np.uint8)).save(folder / "grey.tif")
    return folder
