from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shareddata import SHARED_DATA, needs_shared_data
from small_run import drawn_dataset, whole_run

from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path
from wsss.io.rasters.cams import Cams, write_cams
from wsss.io.rasters.label_masks import write_mask
from wsss.viz.report.page import breakable
from wsss.viz.report.run_overview import StageRecord, read_record
from wsss.viz.report.run_page import Options, build_report

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """Checks the nesting of elements, and collects them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"unclosed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset, dict[str, dict[str, Any]]]:
    root = tmp_path_factory.mktemp("report")
    data = drawn_dataset(root / "data", train=30, val=20)
    return root / "run", data, whole_run(root / "run", data)


@pytest.fixture(scope="module")
def records(run: tuple[Path, Dataset, dict[str, Any]]) -> list[StageRecord]:
    return [read_record(run[0] / stage["id"]) for stage in json.loads((run[0] / "run.json").read_text())["stages"]]


@pytest.fixture(scope="module")
def html(run: tuple[Path, Dataset, dict[str, Any]], records: list[StageRecord]) -> str:
    return build_report(records, run[1], Options("My <run> & more", images=12)).html


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_is_self_contained(html: str, page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "xlink:href", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, name, value)
    assert not re.search(r"https?:", html)
    assert all(target.startswith("data:image/") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "@import" not in html
    assert not page.all("link") and not page.all("iframe")
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy is not None and policy.startswith("default-src 'none'")


def test_the_page_has_every_score(run: tuple[Path, Dataset, dict[str, Any]], page: Page) -> None:
    for metrics in run[2].values():
        for key in ("miou", "precision", "recall", "pixel_accuracy"):
            assert f"{metrics[key]:.3f}" in page.text
        for value in metrics["iou"].values():
            assert value is None or f"{value:.3f}" in page.text
    for word in ("0.874", "otsu per class", "mobilenet_v2 (ImageNet)", "irn", "30 images in train, 20 images in val"):
        assert word in page.text


def test_oracle_scores_are_stamped_everywhere(page: Page) -> None:
    assert "ORACLE Ground truth was used" in page.text
    assert "ORACLE mIoU 0." in page.text  # below its masks in the gallery
    # Headline card, threshold policy, stage, table of classes.
    assert page.text.count("ORACLE") >= 5


def test_ratio_of_weak_to_full_supervision(run: tuple[Path, Dataset, dict[str, Any]], page: Page) -> None:
    ratio = 100 * run[2]["score_val"]["miou"] / run[2]["score_full"]["miou"]
    assert f"{ratio:.1f} % of full supervision" in page.text


def test_class_without_support_is_explained(page: Page) -> None:
    assert page.text.count("no pixels in the ground truth; excluded from the mean") == 5


def test_names_are_escaped(html: str, page: Page) -> None:
    assert "<script>alert" not in html
    assert "<script>alert(1)</script>" in page.text
    assert "My <run> & more" in page.text
    assert len(page.all("script")) == 1
    assert any("<script>alert(1)</script>" in (image["alt"] or "") for image in page.all("img"))


def test_pictures_have_alternatives_and_controls_have_names(page: Page) -> None:
    images = page.all("img")
    assert images and all(image.get("alt") for image in images)
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    targets = [link["href"] for link in page.all("a")]
    assert all(target is not None and target[1:] in ids for target in targets)


def test_gallery_columns_are_the_stages_then_the_ground_truth(page: Page) -> None:
    columns: list[str | None] = []
    sections: list[list[str | None]] = []
    for _, attributes in page.elements:
        if "row" in (attributes.get("class") or "").split():
            columns = []
            sections.append(columns)
        if "data-column" in attributes and attributes["data-column"] not in columns:
            columns.append(attributes["data-column"])
    assert len(sections) == 12
    assert {tuple(section) for section in sections} == {
        ("image", "cam", "pseudo", "pseudo_oracle", "crf", "ground truth"),
        ("image", "predict", "predict_full", "ground truth"),
    }
    assert "ranked by mIoU in score_val" in page.text


def test_page_does_not_depend_on_workers(
    run: tuple[Path, Dataset, dict[str, Any]], records: list[StageRecord], html: str
) -> None:
    assert build_report(records, run[1], Options("My <run> & more", images=12), workers=4).html == html


def test_the_size_limit_is_kept_and_omissions_are_stated(
    run: tuple[Path, Dataset, dict[str, Any]], records: list[StageRecord]
) -> None:
    free = build_report(records, run[1], Options("run", images=50))
    assert (free.shown, free.left_out) == (50, 0)
    limit = 250_000
    assert len(free.html.encode()) > limit
    tight = build_report(records, run[1], Options("run", images=50, max_bytes=limit))
    assert len(tight.html.encode()) <= limit
    assert 0 < tight.shown < 50 and tight.shown + tight.left_out == 50
    assert f"{tight.left_out} of 50 selected images were omitted" in Page(tight.html).text


@pytest.mark.parametrize(
    ("images", "max_bytes", "words"), [(0, 9_500_000, "none were requested"), (9, 1, "none fit within the size limit")]
)
def test_page_without_pictures(
    run: tuple[Path, Dataset, dict[str, Any]], records: list[StageRecord], images: int, max_bytes: int, words: str
) -> None:
    made = build_report(records, run[1], Options("run", images=images, max_bytes=max_bytes))
    assert made.shown == 0 and words in Page(made.html).text


def test_page_without_data_and_without_stages(records: list[StageRecord]) -> None:
    assert "the dataset was not available" in Page(build_report(records, None, Options("run")).html).text
    assert "The run has no stages." in Page(build_report([], None, Options("run")).html).text


def test_only_the_requested_splits_are_shown(
    run: tuple[Path, Dataset, dict[str, Any]], records: list[StageRecord]
) -> None:
    text = Page(build_report(records, run[1], Options("run", images=6, splits=("val",))).html).text
    assert "Split val 6 of 20 images" in text and "of 30 images" not in text
    with pytest.raises(InvalidInput):
        build_report(records, run[1], Options("run", splits=("vall",)))


def test_a_broken_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "stage.json").write_text("{")
    with pytest.raises(InvalidInput) as error:
        read_record(tmp_path)
    assert error.value.subject == str(tmp_path / "stage.json")


def test_a_mask_of_another_size_is_reported(tmp_path: Path) -> None:
    data = drawn_dataset(tmp_path / "data", train=1, val=1)
    whole_run(tmp_path / "run", data)
    write_mask(tmp_path / "run" / "crf" / "masks" / "train_0.png", np.zeros((3, 3), np.uint8))
    records = [read_record(path.parent) for path in (tmp_path / "run").glob("*/stage.json")]
    assert "crf/masks/train_0.png: mask and image differ in size" in build_report(records, data, Options("run")).html


def test_unreadable_photographs_only_cost_their_rows(tmp_path: Path) -> None:
    data = drawn_dataset(tmp_path / "data", train=1, val=3)
    whole_run(tmp_path / "run", data)
    records = [read_record(path.parent) for path in (tmp_path / "run").glob("*/stage.json")]
    whole = data.split("val")[1].image.read_bytes()
    data.split("val")[1].image.write_bytes(whole[: len(whole) // 2])
    data.split("val")[2].image.unlink()
    made = build_report(records, replace(data, missing=frozenset({"val_2"})), Options("run"))
    assert made.shown == 2 and [one.id for one in made.unread] == ["val_2", "val_1"]
    page = Page(made.html)
    assert "2 images omitted because of missing or unreadable files: val_2 (no such image in" in page.text
    assert "val_1.png: the image is broken or truncated" in page.text
    assert len([one for one in page.all("article") if one.get("class") == "row"]) == 2
    made = build_report(
        records, replace(data, missing=frozenset({"train_0", "val_0", "val_1", "val_2"})), Options("run")
    )
    assert made.shown == 0 and "No pictures: the images are missing or unreadable." in Page(made.html).text
    assert "4 images omitted" in Page(made.html).text


@pytest.mark.slow
@needs_shared_data
def test_real_photographs_fit_the_limit(tmp_path: Path) -> None:
    from wsss.data.readers import voc

    config = voc.Config(root=SHARED_DATA / "voc_animals")
    data = voc.read(config, work=tmp_path, log=lambda line: None)
    data = replace(data, splits={name: samples[:20] for name, samples in data.splits.items()})
    whole_run(tmp_path / "run", data)
    records = [read_record(path.parent) for path in (tmp_path / "run").glob("*/stage.json")]
    made = build_report(records, data, Options("photographs", images=24), workers=2)
    assert made.shown == 24
    assert 300_000 < len(made.html.encode()) < 9_500_000
    Page(made.html)


def headings(html: str) -> list[str]:
    """Return the ids of the sections of the page."""
    return re.findall(r'<section id="([^"]+)"', html)


def test_pictures_come_first_then_scores_and_settings_last(html: str) -> None:
    order = headings(html)
    assert order[:2] == ["gallery", "numbers"] and order[-2:] == ["pipeline", "stages"]
    assert set(order) >= {"classes", "curves"}
    links = re.findall(r'<a href="#([^"]+)">', html[html.index("<nav") : html.index("</nav>")])
    assert links == order


def test_further_splits_with_pictures_are_named(
    run: tuple[Path, Dataset, dict[str, Any]], records: list[StageRecord]
) -> None:
    of_val = Page(build_report(records, run[1], Options("run", images=4, splits=("val",))).html)
    assert "also maps or masks for train" in of_val.text
    of_both = Page(build_report(records, run[1], Options("run", images=4, splits=("val", "train"))).html)
    assert "also maps or masks" not in of_both.text
    of_all = Page(build_report(records, run[1], Options("run", images=4)).html)
    assert "also maps or masks" not in of_all.text


def test_rows_of_few_pictures_are_no_larger_than_others(
    run: tuple[Path, Dataset, dict[str, Any]], records: list[StageRecord]
) -> None:
    few = [record for record in records if record.id == "predict"]
    data = replace(run[1], splits={"val": tuple(replace(one, mask=None) for one in run[1].splits["val"])})
    page = build_report(few, data, Options("run", images=2)).html
    assert {int(count) for count in re.findall(r"--columns:(\d+)", page)} == {4}


def test_predicted_masks_that_contradict_the_labels_are_marked(tmp_path: Path) -> None:
    data = drawn_dataset(tmp_path / "data")
    whole_run(tmp_path / "run", data)
    labels = {"val_0": (1, 2), "val_1": (1,), "val_2": None, "val_3": (1, 2)}  # the masks show 1; 1 and 2; 1; 1 and 2
    relabelled = {
        split: tuple(replace(sample, labels=labels.get(sample.id, sample.labels)) for sample in samples)
        for split, samples in data.splits.items()
    }
    folders = [tmp_path / "run" / name for name in ("predict", "pseudo")]
    worst = [{"image": "val_1", "contradiction": "shows"}, {"image": "val_0", "contradiction": "misses"}]
    records = [replace(read_record(folder), metrics={"contradictions": worst}) for folder in folders if folder.is_dir()]
    page = Page(build_report(records, replace(data, splits=relabelled), Options("x", images=9, splits=("val",))).html)
    rows = [one for one in page.all("article") if one.get("class") == "row"]
    assert [row["data-reason"] for row in rows[:2]] == ["contradicts labels", "contradicts labels"]
    assert [str(row["data-name"])[:6] for row in rows[:2]] == ["val_1:", "val_0:"]
    assert "".join(page.words).count("contradicts labels") == 1 + 2  # the filter, and two images
    assert "misses <script>alert(1)</script>" in page.text and "shows <script>alert(1)</script> (" in page.text
    assert "4 of 4 images, 2 whose masks contradict the labels, and others evenly spaced over the split" in page.text


def test_colour_scale_of_maps_needs_maps(run: tuple[Path, Dataset, dict[str, Any]], records: list[StageRecord]) -> None:
    for shown, expected in ((records, True), ([record for record in records if not record.has_cams], False)):
        page = build_report(shown, run[1], Options("run", images=4)).html
        assert ("colour scale from dark" in page) == expected


def test_splits_that_repeat_images_are_not_listed(
    run: tuple[Path, Dataset, dict[str, Any]], records: list[StageRecord]
) -> None:
    data = replace(run[1], splits={**run[1].splits, "train-large": run[1].splits["train"]})
    page = Page(build_report(records, data, Options("run", images=4)).html)
    assert "Dataset drawn & small: 30 images in train, 20 images in val;" in page.text


def test_maps_of_an_image_without_a_class_are_not_missing(tmp_path: Path) -> None:
    data = drawn_dataset(tmp_path / "data")
    whole_run(tmp_path / "run", data)
    folder = tmp_path / "run" / "cam"
    write_cams(cam_path(folder, "train_0"), Cams(np.zeros((0, 15, 20), np.float32), (), (60, 80)))
    first, *others = data.splits["train"]
    negative = replace(data, splits={**data.splits, "train": (replace(first, labels=()), *others)})
    page = Page(build_report([read_record(folder)], negative, Options("x", images=9, splits=("train",))).html)
    assert page.text.count("no class") == 1 and "no result" not in page.text


def test_captions_break_at_the_parts_of_an_id() -> None:
    assert breakable("cam@variant=a<b,seed=1") == "cam<wbr>@variant=a&lt;b,<wbr>seed=1"
