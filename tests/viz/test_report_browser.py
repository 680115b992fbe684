"""The report in a real browser, opened from disk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Page, needs_chromium
from PIL import Image
from small_run import CLASSES, RunBuilder, drawn_dataset, whole_run

from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.io.files.atomic import write_text
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.viz.report.compare_runs import Run, build_runs_page
from wsss.viz.report.run_overview import read_record
from wsss.viz.report.run_page import Options, build_report

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser")
    data = drawn_dataset(root / "data", train=12, val=8)
    whole_run(root / "run", data)
    records = [read_record(path.parent) for path in sorted((root / "run").glob("*/stage.json"))]
    write_text(root / "index.html", build_report(records, data, Options("small", images=20)).html)
    return root / "index.html"


@pytest.fixture
def page(chromium: Any, report: Path) -> Iterator[Page]:
    opened = Page(chromium, report)
    yield opened
    opened.close()


def picture(page: Any) -> np.ndarray:
    shot = Image.open(io.BytesIO(page.locator("#viewer .frame").screenshot())).convert("RGB")
    return np.asarray(shot, np.int16)[8:-8]  # without the rounded corners


def differing(first: np.ndarray, second: np.ndarray) -> float:
    """Share of differing pixels; the edges of layers may be half a pixel apart."""
    return float((np.abs(first - second).max(-1) > 3).mean())


def test_no_requests_and_no_console_messages(page: Page, report: Path) -> None:
    page.page.locator(".tile button").first.click()
    page.page.keyboard.press("ArrowRight")
    assert [url for url in page.requests if not url.startswith("data:")] == [report.as_uri()]
    assert page.messages == []


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_accessible_and_without_horizontal_scrolling(chromium: Any, report: Path, scheme: str, width: int) -> None:
    page = Page(chromium, report, width=width, scheme=scheme)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.violations() == []
    page.page.locator(".tile.mask button").first.click()
    page.page.locator("#viewer [data-compare]").select_option(index=1)
    assert page.violations("#viewer") == []
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_filters_by_reason_split_and_class(page: Page) -> None:
    def shown() -> int:
        return page.page.locator("#gallery .row:visible").count()

    everything = shown()
    page.page.get_by_role("button", name="worst").click()
    worst = shown()
    assert 0 < worst < everything
    assert page.page.locator("#gallery .row:visible .tag").all_inner_texts() == ["worst"] * worst
    assert page.page.locator("#shown").inner_text() == f"{worst} of {everything} shown"
    page.page.get_by_role("button", name="all", exact=True).click()
    page.page.locator("select[data-filter=split]").select_option("val")
    of_val = page.page.locator("#gallery .row:visible").all()
    assert of_val and all(row.get_attribute("data-name").startswith("val_") for row in of_val)
    page.page.locator("select[data-filter=labels]").select_option("2")
    of_class = page.page.locator("#gallery .row:visible").all()
    assert 0 < len(of_class) < len(of_val)
    assert all("script" in row.get_attribute("data-name") for row in of_class)
    page.page.locator("select[data-filter=labels]").select_option("3")
    assert shown() == 0  # no image has this class
    page.page.locator("select[data-filter=labels]").select_option("")
    page.page.locator("select[data-filter=split]").select_option("")
    assert shown() == everything


@pytest.mark.slow
def test_split_names_may_have_spaces(chromium: Any, tmp_path: Path) -> None:
    data = drawn_dataset(tmp_path / "data", train=2, val=3)
    data = Dataset("spaces", data.root, data.classes, {"in dist": data.splits["val"], "in": data.splits["train"]})
    run = RunBuilder(tmp_path / "run", data)
    for split in data.splits:
        run.masks(split.replace(" ", "-"), "predict", {}, split=split, shift=2)
    records = [read_record(path.parent) for path in sorted((tmp_path / "run").glob("*/stage.json"))]
    write_text(tmp_path / "index.html", build_report(records, data, Options("spaces", images=5)).html)
    page = Page(chromium, tmp_path / "index.html")
    for split, count in (("in dist", 3), ("in", 2)):
        page.page.locator("select[data-filter=split]").select_option(split)
        assert page.page.locator("#gallery .row:visible").count() == count
    page.close()


@pytest.mark.slow
def test_page_of_several_runs(chromium: Any, tmp_path: Path) -> None:
    data = drawn_dataset(tmp_path / "data")
    runs = []
    for name in ("one", "two"):
        whole_run(tmp_path / name, data)
        runs.append(
            Run(name, tuple(read_record(path.parent) for path in sorted((tmp_path / name).glob("*/stage.json"))))
        )
    write_text(tmp_path / "index.html", build_runs_page(runs, data, Options(title="both")))
    page = Page(chromium, tmp_path / "index.html", width=390, scheme="dark")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.violations() == []
    page.page.locator(".tile.mask button").first.click()
    assert page.violations("#viewer") == [] and page.messages == []
    page.close()


def test_viewer_by_keyboard_alone(page: Page) -> None:
    first = page.page.locator("#gallery .tile button").first
    first.focus()
    page.page.keyboard.press("Enter")
    viewer = page.page.locator("#viewer")
    assert viewer.is_visible()
    name = page.page.locator("#viewer .name")
    before, row = page.page.locator("#viewer figcaption").inner_text(), name.inner_text()
    page.page.keyboard.press("ArrowRight")
    assert page.page.locator("#viewer figcaption").inner_text() != before
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("ArrowDown")
    assert name.inner_text() != row
    page.page.keyboard.press("ArrowUp")
    assert name.inner_text() == row
    page.page.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert page.page.evaluate("document.activeElement.closest('.tile') !== null")


@pytest.mark.slow
def test_divider_between_two_pictures_of_an_image(page: Page) -> None:
    names = page.page.locator("#gallery .row").first.locator(".tile").evaluate_all("all => all.map(e => e.dataset.key)")
    assert names[0] == "image" and names[-1] == "ground truth"
    page.page.locator("#gallery .row").first.locator(".tile button").last.click()
    truth = picture(page.page)
    page.page.keyboard.press("ArrowRight")  # wraps around to the photograph
    photo = picture(page.page)
    assert differing(truth, photo) > 0.1
    slider = page.page.locator("#viewer [data-divide]")
    assert not slider.is_visible()
    page.page.locator("#viewer [data-compare]").select_option("ground truth")
    assert slider.is_visible()
    divided = picture(page.page)
    width = divided.shape[1]
    left, right = slice(8, width // 2 - 8), slice(width // 2 + 8, width - 8)
    assert differing(divided[:, left], photo[:, left]) < 0.01
    assert differing(divided[:, right], truth[:, right]) < 0.01
    slider.focus()
    page.page.keyboard.press("End")
    assert differing(picture(page.page)[:, : width - 8], photo[:, : width - 8]) < 0.01
    box = page.page.locator("#viewer .frame").bounding_box()
    page.page.mouse.move(box["x"] + 2, box["y"] + 20)
    page.page.mouse.down()
    page.page.mouse.up()
    assert int(slider.input_value()) <= 2
    # The selection persists when stepping through the images.
    page.page.keyboard.press("Tab")
    page.page.locator("#viewer button[data-step='0,1']").click()
    assert page.page.locator("#viewer [data-compare]").input_value() == "ground truth"
    assert page.page.locator("#viewer .divider").count() == 1


def test_zoom_and_opacity(page: Page) -> None:
    page.page.locator("#gallery .row").first.locator(".tile.mask button").first.click()
    view = page.page.locator("#viewer .view")
    assert view.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    before = page.page.locator("#viewer .pic").first.bounding_box()["width"]
    for _ in range(2):
        page.page.keyboard.press("+")
    assert page.page.locator("#viewer .pic").first.bounding_box()["width"] == pytest.approx(3 * before, rel=0.02)
    assert view.evaluate("e => e.scrollWidth > e.clientWidth")
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.page.keyboard.press("-")
    assert page.page.locator("#viewer .pic").first.bounding_box()["width"] == pytest.approx(2 * before, rel=0.02)
    opacity = page.page.locator("#viewer [data-opacity]")
    opacity.focus()
    page.page.keyboard.press("Home")
    assert page.page.locator("#viewer .pic img").first.evaluate("e => getComputedStyle(e).opacity") == "0"


SHAPES = ((1, 300), (90, 1200), (300, 1), (40, 60), (60, 40))


@pytest.fixture(scope="module")
def elongated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on images of odd shapes (width, height)."""
    root = tmp_path_factory.mktemp("elongated")
    samples = []
    for index, (width, height) in enumerate(SHAPES):
        name = f"{index}-{width}x{height}"
        mask = np.zeros((height, width), np.uint8)
        mask[: (height + 1) // 2] = 8
        write_png(root / f"{name}.png", np.full((height, width, 3), 90, np.uint8))
        write_mask(root / "masks" / f"{name}.png", mask)
        samples.append(Sample(name, root / f"{name}.png", (1,), root / "masks" / f"{name}.png"))
    data = Dataset("odd", root, CLASSES, {"val": tuple(samples)})
    run = RunBuilder(root / "run", data)
    run.masks("predict", "predict", {}, split="val", shift=0)
    records = [read_record(root / "run" / "predict")]
    write_text(root / "index.html", build_report(records, data, Options("odd", images=9)).html)
    return root / "index.html"


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_tiles_of_elongated_images_stay_in_bounds(chromium: Any, elongated: Path, width: int) -> None:
    page = Page(chromium, elongated, width=width)
    rows = page.page.locator("#gallery .row").all()
    assert len(rows) == len(SHAPES)
    for row, (across, down) in zip(rows, SHAPES, strict=True):
        boxes = [pic.bounding_box() for pic in row.locator(".pic").all()]
        for box in boxes:
            assert box["height"] <= 400.5 and box["width"] >= 11.5 and box["height"] >= 11.5
            assert box == pytest.approx(boxes[0] | {"x": box["x"], "y": box["y"]})
            if max(across, down) < 100:
                assert box["width"] / box["height"] == pytest.approx(across / down, rel=0.02)
        for layer in row.locator(".pic:has(img)").all():
            assert layer.locator("img").bounding_box() == pytest.approx(layer.bounding_box())
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.page.evaluate("document.documentElement.scrollHeight") < 4500
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 700), (700, 300)])
def test_viewer_fits_pictures_of_any_shape(chromium: Any, elongated: Path, width: int, height: int) -> None:
    page = Page(chromium, elongated, width=width)
    page.page.set_viewport_size({"width": width, "height": height})
    page.page.locator(".tile.mask button").first.click()
    page.page.locator("#viewer [data-compare]").select_option(index=1)
    for across, down in SHAPES:
        frame = page.page.locator("#viewer .frame")
        assert f"{across}x{down}" in page.page.locator("#viewer .name").inner_text()
        view, box = page.page.locator("#viewer .view").bounding_box(), frame.bounding_box()
        assert box["width"] <= width - 60 + 0.5 and box["height"] <= max(120, height - 220) + 0.5
        assert view["x"] <= box["x"] and box["x"] + box["width"] <= view["x"] + view["width"] + 0.5
        for inner in frame.locator(".pic").all():
            assert inner.bounding_box() == pytest.approx(box)
        page.page.locator("#viewer [data-zoom]").fill("3")
        assert frame.bounding_box()["height"] == pytest.approx(3 * box["height"])
        page.page.locator("#viewer [data-zoom]").fill("1")
        page.page.locator("#viewer button[aria-label='Next image']").click()
    page.close()


@pytest.mark.slow
def test_thousand_images_open_in_two_seconds_of_cpu_time(tmp_path: Path, chromium: Any) -> None:
    random = np.random.default_rng(0)
    samples = []
    for index in range(1000):
        name = f"image_{index:04d}"
        coarse = random.integers(0, 255, (9, 12, 3)).astype(np.uint8)
        image = Image.fromarray(coarse).resize((200, 150), Image.Resampling.BICUBIC)
        mask = np.zeros((150, 200), np.uint8)
        mask[30 : 60 + index % 75, 40 : 100 + index % 95] = 8
        image.save(tmp_path / f"{name}.png", compress_level=1)  # a fifth of the time of write_png
        write_mask(tmp_path / "truth" / f"{name}.png", mask)
        write_mask(mask_path(tmp_path / "run" / "predict", name), np.roll(mask, 12, axis=1))
        samples.append(Sample(name, tmp_path / f"{name}.png", (1,), tmp_path / "truth" / f"{name}.png"))
    data = Dataset("thousand", tmp_path, CLASSES, {"val": tuple(samples)})
    write_text(tmp_path / "run" / "predict" / "stage.json", '{"id": "predict", "uses": "predict", "status": "done"}')
    records = [read_record(tmp_path / "run" / "predict")]
    page = build_report(records, data, Options("thousand", images=1000))
    assert page.shown == 1000 and page.left_out == 0
    assert len(page.html.encode()) < 10_000_000
    write_text(tmp_path / "index.html", page.html)
    Page(chromium, tmp_path / "index.html").close()  # warm up the browser
    times = []
    for _ in range(2):
        opened = Page(chromium, tmp_path / "index.html")
        assert opened.page.locator("#gallery .row").count() == 1000
        times.append(cpu_seconds(opened))
        assert opened.messages == []
        opened.close()
    assert min(times) < 2, times


def cpu_seconds(page: Page) -> float:
    """Return the CPU time of a page's process, which hardly depends on the load of the machine."""
    client = page.context.new_cdp_session(page.page)
    client.send("Performance.enable")
    return next(
        row["value"] for row in client.send("Performance.getMetrics")["metrics"] if row["name"] == "ProcessTime"
    )
