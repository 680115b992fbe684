"""What docs/export.md and docs/python.md tell people to do, done on one run of the quickstart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from docpages import Session, blocks, check_marks

from wsss.io.rasters.rgb_images import write_png

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [DOCS / "export.md", DOCS / "python.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run(page: Path, tmp_path: Path) -> None:
    check_marks(page)
    session = Session(tmp_path, slow=False)
    for block in blocks(page):
        session.run(block)
    assert any(block.language in ("sh", "python") for block in blocks(page))


def put_satellite_image(folder: Path) -> None:
    """Write a GeoTIFF with pixels of 10 m."""
    import rasterio

    folder.mkdir()
    transform = rasterio.Affine(10, 0, 389_000, 0, -10, 5_820_000)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "crs": "EPSG:32633", "transform": transform}
    with rasterio.open(folder / "a.tif", "w", height=40, width=50, **profile) as data:
        data.write(np.random.default_rng(1).integers(0, 255, (3, 40, 50), dtype=np.uint8))


@pytest.mark.slow
def test_the_pages_on_a_small_run(tmp_path: Path) -> None:
    from learning import CLASSES, coloured_dataset

    from wsss.cli.main import _call

    data = coloured_dataset(tmp_path / "data", classes=CLASSES)
    (tmp_path / "data" / "classes.txt").write_text("40 red\n90 green\n")
    rows = [
        f"{sample.id},{';'.join(CLASSES.names[index] for index in sample.labels or ())},{split}"
        for split, samples in data.splits.items()
        for sample in samples
    ]
    (tmp_path / "data" / "labels.csv").write_text("\n".join(["image_id,labels,split", *rows]))
    (tmp_path / "p.yaml").write_text(
        "name: quickstart\n"
        f"data: {{root: '{tmp_path / 'data'}'}}\n"
        "stages:\n"
        "  segment:\n"
        "    uses: segment\n"
        "    with: {labels: ground-truth, backbone: {weights: none}, epochs: 1, batch_size: 2,\n"
        "      augmentation: {size: 32}}\n"
        "  predict: {uses: predict, needs: [segment]}\n"
    )
    assert _call(["run", str(tmp_path / "p.yaml"), "--run-dir", str(tmp_path / "runs" / "quickstart")]) == 0
    write_png(tmp_path / "photos" / "a.png", np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8))
    put_satellite_image(tmp_path / "satellite")
    session = Session(tmp_path, slow=True)
    for block in (block for page in PAGES for block in blocks(page)):
        session.run(block)
    assert (tmp_path / "masks" / "masks" / "a.png").is_file()
    assert [path.name for path in (tmp_path / "satellite-polygons").glob("*.geojson")] == ["a.geojson"]
    assert (tmp_path / "satellite-clean" / "a.tif").is_file()
    assert (tmp_path / "sheet" / "sheet.pdf").is_file() and (tmp_path / "coco" / "annotations.json").is_file()
