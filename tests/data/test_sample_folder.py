"""The folder ``data``: class lists, a sample of generated images, and the README."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsss.data.checks.check import check_config
from wsss.data.class_list import VOC_IDS, read_class_list
from wsss.data.readers.registry import LAYOUTS, get_layout
from wsss.data.synthetic.shapes import Config, generate
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import read_image

DATA = Path(__file__).parents[2] / "data"


def test_class_list_of_voc() -> None:
    assert read_class_list(DATA / "classes" / "voc.txt") == VOC_IDS


def test_the_sample_is_clean(tmp_path: Path) -> None:
    report = check_config({"root": str(DATA / "sample")}, work=tmp_path)
    assert report.problems == () and report.splits["train"].images == 6


def test_the_sample_is_reproducible(tmp_path: Path) -> None:
    """If this fails, raise `GENERATOR` and regenerate the sample. Sines differ in the last bit between processors."""
    generate(Config(size=64, train=6, val=2), tmp_path / "sample")
    for path in sorted((DATA / "sample" / "images").iterdir()):
        drawn = read_image(tmp_path / "sample" / "images" / path.name).astype(int)
        assert np.abs(drawn - read_image(path)).max() <= 1
        masks = [read_mask(folder / "masks" / path.name) for folder in (DATA / "sample", tmp_path / "sample")]
        assert (masks[0] != masks[1]).mean() < 0.001
    for name in ("labels.csv", "classes.txt", "shapes.json"):
        assert (DATA / "sample" / name).read_text() == (tmp_path / "sample" / name).read_text()


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_readme_documents_every_key(name: str) -> None:
    text = (DATA / "README.md").read_text()
    section = text.split(f"## `{name}`", 1)[1].split("\n## ", 1)[0]
    for key in get_layout(name).config.model_fields:
        assert key == "layout" or f"`{key}`" in section, f"{name}.{key}"
