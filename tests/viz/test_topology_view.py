"""The topology view: exactly the unmatched features are marked, at their positions."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Page, needs_chromium
from PIL import Image
from scipy import ndimage
from small_run import RunBuilder

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.io.files.atomic import write_text
from wsss.io.files.stage_files import mask_path, probability_path
from wsss.io.rasters.arrays import write_arrays
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.metrics.structure import structure_scores, table_rows
from wsss.viz.report.pictures.thumbnails import DETAILS
from wsss.viz.report.pictures.topology_panels import SPURIOUS
from wsss.viz.report.pictures.topology_view import TopologyRow, UnshownImage, topology_view
from wsss.viz.report.run_overview import read_record
from wsss.viz.report.run_page import Options, build_report

CLASSES = Classes(("background", "line"), ((0,), (1,)))


def grid() -> np.ndarray:
    """Four cells of lines that touch the border; within a frame of foreground, all four are holes."""
    mask = np.zeros((60, 80), np.uint8)
    mask[28:32] = mask[:, 38:42] = 1
    return mask


def broken() -> np.ndarray:
    """The grid with a gap in its left arm, a spurious speck and a spurious ring."""
    mask = grid()
    mask[26:34, 15:20] = 0
    mask[50:53, 60:64] = 1
    mask[5:20, 55:70] = 1
    mask[8:17, 58:67] = 0
    return mask


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    root = tmp_path_factory.mktemp("topology-view")
    samples = []
    for name in ("good", "bad"):
        write_png(root / f"{name}.png", np.full((60, 80, 3), 90, np.uint8))
        write_mask(root / "truth" / f"{name}.png", grid())
        samples.append(Sample(name, root / f"{name}.png", (1,), root / "truth" / f"{name}.png"))
    data = Dataset("lines", root, CLASSES, {"val": tuple(samples)})
    builder = RunBuilder(root / "run", data)
    masks = builder.stage("predict", "predict", {})
    for sample, mask in zip(samples, (grid(), broken()), strict=True):
        write_mask(mask_path(masks, sample.id), mask)
        soft = ndimage.gaussian_filter(mask.astype(float), 1)
        arrays = {"probabilities": np.stack([1 - soft, soft]).astype(np.float16), "classes": np.arange(2)}
        write_arrays(probability_path(masks, sample.id), {**arrays, "size": np.array(mask.shape)})
    groups = ("betti_matching", "cldice")
    scores = [
        structure_scores(mask, read_sample_mask(sample, CLASSES), 2, groups, window=128, frame="own-max")
        for sample, mask in zip(samples, (grid(), broken()), strict=True)
    ]
    metrics = {"iou": {"background": 0.9, "line": 0.7}, "miou": 0.8, "split": "val", "images": 2}
    score = builder.stage("score", "score", {"pred": "predict"}, metrics=metrics, config={"frame": "own-max"})
    rows = table_rows([sample.id for sample in samples], scores, CLASSES.names, groups)
    write_text(score / "structure.csv", "\n".join(map(",".join, rows)) + "\n")
    return root / "run", data


def rows_of(run: tuple[Path, Dataset], count: int = 4, budget: int = 10_000_000) -> tuple[TopologyRow, ...]:
    records = [read_record(path.parent) for path in sorted(run[0].glob("*/stage.json"))]
    view = topology_view(run[1], records, count=count, detail=DETAILS[1], budget=budget)
    return view.rows  # type: ignore[return-value]


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))


def test_worst_image_comes_first_up_to_the_count(run: tuple[Path, Dataset]) -> None:
    assert [row.id for row in rows_of(run)] == ["bad", "good"]
    assert [row.id for row in rows_of(run, 1)] == ["bad"]
    assert rows_of(run, 0) == ()


def test_marks_are_the_unmatched_features(run: tuple[Path, Dataset]) -> None:
    bad, good = rows_of(run)
    assert good.marks == () and "0 spurious" in good.summary
    places = [(mark.panel, mark.name, mark.box) for mark in bad.marks]
    assert ("prediction", "component", (60, 50, 4, 3)) in places  # the speck
    assert ("prediction", "component", (55, 5, 15, 15)) in places  # the ring
    assert ("prediction", "hole", (58, 8, 9, 9)) in places  # its inside
    # The gap joins the two left cells, so one cell of the label is unmatched.
    assert [(panel, name) for panel, name, _ in places if panel == "label"] == [("label", "hole")]
    assert len(places) == 4
    captions = [panel.caption for panel in bad.panels[:2]]
    assert captions == ["2 unmatched components, 1 unmatched hole", "0 unmatched components, 1 unmatched hole"]


def test_centrelines_show_the_terms_of_cldice(run: tuple[Path, Dataset]) -> None:
    bad, good = rows_of(run)
    assert good.panels[2].caption.startswith("0% of the prediction's centreline is spurious, 0%")
    layer = decoded(bad.panels[2].layer)
    spurious = (layer[..., :3] == SPURIOUS).all(-1) & (layer[..., 3] > 0)
    assert spurious[5:20, 55:70].any() and spurious[48:56, 58:66].any()
    assert not spurious[:, :50].any()


def test_diagram_and_barcode_need_probabilities(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    bad, _ = rows_of(run)
    assert bad.diagram.startswith("<svg") and 'class="alone"' in bad.diagram
    assert bad.bars.count("<path") > 3
    probability_path(run[0] / "predict", "good").rename(tmp_path / "aside.npz")
    assert rows_of(run)[1].diagram == "" == rows_of(run)[1].bars
    (tmp_path / "aside.npz").rename(probability_path(run[0] / "predict", "good"))


def test_rows_keep_the_budget_and_the_worst_image(run: tuple[Path, Dataset]) -> None:
    both = sum(row.weight() for row in rows_of(run))
    assert [row.id for row in rows_of(run, budget=both - 1)] == ["bad"]
    assert rows_of(run, budget=100) == ()


def test_omitted_rows_are_stated(run: tuple[Path, Dataset]) -> None:
    records = [read_record(path.parent) for path in sorted(run[0].glob("*/stage.json"))]
    progress: list[tuple[str, int]] = []

    def track(what: str, total: int) -> Callable[[int], None]:
        return lambda steps: progress.append((what, steps))

    page = build_report(records, run[1], Options("topology", images=0, max_bytes=20_000), track=track).html
    assert "2 more rows were omitted to keep the page below 0.02 MB" in page and 'class="card topology"' not in page
    assert progress.count(("topology", 1)) == 2
    whole = build_report(records, run[1], Options("topology")).html
    assert "omitted to keep" not in whole and whole.count('class="card topology"') == 2


def test_a_missing_mask_only_costs_its_row(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    mask = mask_path(run[0] / "predict", "bad")
    mask.rename(tmp_path / "aside.png")
    gone, good = rows_of(run)
    (tmp_path / "aside.png").rename(mask)
    assert isinstance(gone, UnshownImage) and "bad.png" in gone.why
    assert isinstance(good, TopologyRow)


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_readable_on_a_phone_and_in_the_dark(
    run: tuple[Path, Dataset], tmp_path: Path, chromium: Any, width: int, scheme: str
) -> None:
    records = [read_record(path.parent) for path in sorted(run[0].glob("*/stage.json"))]
    write_text(tmp_path / "index.html", build_report(records, run[1], Options("topology")).html)
    page = Page(chromium, tmp_path / "index.html", width=width, scheme=scheme)
    page.page.locator(".topology ellipse").first.click(force=True)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.violations() == [] and page.messages == []
    page.close()


@pytest.mark.slow
def test_clicking_a_circle_zooms_all_pictures(run: tuple[Path, Dataset], tmp_path: Path, chromium: Any) -> None:
    records = [read_record(path.parent) for path in sorted(run[0].glob("*/stage.json"))]
    write_text(tmp_path / "index.html", build_report(records, run[1], Options("topology")).html)
    page = Page(chromium, tmp_path / "index.html")
    card = page.page.locator(".topology").first
    ring = next(mark for mark in rows_of(run)[0].marks if mark.box == (58, 8, 9, 9))
    card.locator(f"ellipse[data-mark='{ring.number}']").click(force=True)
    views = card.locator("svg.field").evaluate_all("all => all.map(e => e.getAttribute('viewBox'))")
    assert len(set(views)) == 1 and len(views) == 3
    left, top, side, _ = map(float, re.split(" ", views[0]))
    assert side == 48 and left <= 58 and left + side >= 67 and top <= 8 and top + side >= 17
    assert card.locator("button[aria-pressed=true]").inner_text() == "hole in the prediction, 81 px"
    card.get_by_role("button", name="whole image").press("Enter")
    assert card.locator("svg.field").first.get_attribute("viewBox") == "0 0 80 60"
    assert page.messages == [] and page.violations() == []
    page.close()
