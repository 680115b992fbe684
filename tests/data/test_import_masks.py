"""Importing masks: the pixels that shapes label."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_sources import (
    CAT,
    COCO_BOX,
    COCO_POLYGON,
    CVAT_POLYGON,
    DOG,
    HEIGHT,
    LABELME_POLYGON,
    RECTANGLE,
    SIZE,
    UNLABELLED,
    WIDTH,
    coco,
    cvat,
    imported,
    labelme,
    rectangle,
    studio,
    studio_polygon,
)

from wsss.data.corrections import outline_drawing
from wsss.data.corrections.drawing_rules import DrawingRules
from wsss.data.corrections.import_masks import ImportOptions, import_masks
from wsss.data.dataset import Dataset
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import image_size


def test_a_polygon_of_every_format_is_a_full_mask(data: Dataset, tmp_path: Path) -> None:
    sources = [
        coco(tmp_path, COCO_POLYGON),
        cvat(tmp_path, CVAT_POLYGON),
        studio(tmp_path, studio_polygon()),
        labelme(tmp_path, LABELME_POLYGON),
    ]
    for number, source in enumerate(sources):
        (tmp_path / str(number)).mkdir()
        assert np.array_equal(imported(source, data, tmp_path / str(number)), rectangle(CAT)), source


HIDDEN = b"\0\5\x16\7Mac OS X        \xb0"
"""The beginning of the file that macOS writes next to each file of a drive that is not its own."""


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("annotations.json", lambda folder: coco(folder, COCO_POLYGON)),
        ("image.xml", lambda folder: cvat(folder, CVAT_POLYGON)),
        ("a.json", lambda folder: labelme(folder, LABELME_POLYGON)),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_hidden_files_of_a_mac_are_no_annotations(
    name: str, write: Callable[[Path], Path], named: bool, data: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "from").mkdir()
    write(tmp_path / "from").rename(tmp_path / "from" / name)
    for hidden in (f"._{name}", "._export.zip", "._a.geojson"):
        (tmp_path / "from" / hidden).write_bytes(HIDDEN)
    format = {"image.xml": "cvat-images", "a.json": "labelme"}.get(name, "coco")
    if not named and name == "image.xml":
        (tmp_path / "from" / name).rename(tmp_path / "from" / "annotations.xml")
    options = ImportOptions(format=format if named else None)
    assert import_masks(tmp_path / "from", data, tmp_path / "c", options).format == format


@pytest.mark.parametrize(
    ("rules", "inside", "outside"),
    [({}, UNLABELLED, 0), ({"boxes": "fill"}, CAT, 0), ({"boxes": "fill", "outside": "unlabelled"}, CAT, UNLABELLED)],
)
def test_boxes(rules: dict[str, Any], inside: int, outside: int, data: Dataset, tmp_path: Path) -> None:
    share = {"x": 200 / WIDTH, "y": 100 / HEIGHT, "width": 400 / WIDTH, "height": 300 / HEIGHT}
    sources = [
        coco(tmp_path, COCO_BOX),
        cvat(tmp_path, '<box label="cat" xtl="2" ytl="1" xbr="6" ybr="4" />'),
        studio(tmp_path, {"type": "rectanglelabels", "value": {**share, "rectanglelabels": ["cat"]}}),
        labelme(tmp_path, {"label": "cat", "shape_type": "rectangle", "points": [RECTANGLE[0], RECTANGLE[2]]}),
    ]
    for number, source in enumerate(sources):
        (tmp_path / str(number)).mkdir()
        mask = imported(source, data, tmp_path / str(number), **rules)
        assert np.array_equal(mask, rectangle(inside, outside)), source


def test_what_is_drawn_inside_a_box_is_known(data: Dataset, tmp_path: Path) -> None:
    shapes = ['<polygon label="dog" points="3,2;5,2;5,3;3,3" />', '<box label="dog" xtl="2" ytl="1" xbr="6" ybr="4" />']
    expected = rectangle(UNLABELLED)
    expected[2, 3:5] = DOG
    assert np.array_equal(imported(cvat(tmp_path, *shapes), data, tmp_path), expected)


def test_lines_and_points_leave_other_pixels_unlabelled(data: Dataset, tmp_path: Path) -> None:
    shapes = [
        '<polyline label="cat" points="2.5,3.5;8.5,3.5" />',
        '<points label="dog" points="12.5,9.5" />',
        '<polyline label="background" points="0.5,11.5;4.5,11.5" />',
    ]
    mask = imported(cvat(tmp_path, *shapes), data, tmp_path, brush=1)
    expected = np.full(SIZE, UNLABELLED, np.uint8)
    expected[3, 2:9], expected[9, 12], expected[11, 0:5] = CAT, DOG, 0
    assert np.array_equal(mask, expected)


def test_wider_brushes_mark_all_pixels_within_half_their_width() -> None:
    region = outline_drawing.line(SIZE, [(3.0, 4.0), (10.0, 7.0)], 5)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            point, first, step = np.array([column + 0.5, row + 0.5]), np.array([3.0, 4.0]), np.array([7.0, 3.0])
            share = np.clip((point - first) @ step / (step @ step), 0, 1)
            assert region[row, column] == (np.linalg.norm(point - first - share * step) <= 2.5)


def test_polygons_equal_an_independent_point_test() -> None:
    from skimage.measure import points_in_poly

    generator = np.random.default_rng(3)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], 1)
    for _ in range(20):
        corners = generator.uniform(-3, 18, (5, 2))
        expected = points_in_poly(centres, corners).reshape(SIZE)
        assert np.array_equal(outline_drawing.polygon(SIZE, [corners.tolist()]), expected)


def test_ignored_pixels_are_unlabelled(data: Dataset, tmp_path: Path) -> None:
    mask = imported(cvat(tmp_path, CVAT_POLYGON.replace("cat", "ignore")), data, tmp_path)
    assert np.array_equal(mask, rectangle(UNLABELLED))


def test_higher_shapes_are_above(data: Dataset, tmp_path: Path) -> None:
    shapes = [CVAT_POLYGON.replace("/>", 'z_order="1" />'), CVAT_POLYGON.replace("cat", "dog")]
    assert np.array_equal(imported(cvat(tmp_path, *shapes), data, tmp_path), rectangle(CAT))


def annotation(label: str, **more: Any) -> dict[str, Any]:
    return {"result": [studio_polygon(label)], **more}


def test_the_last_submitted_annotation_counts(data: Dataset, tmp_path: Path) -> None:
    answers = [annotation("dog"), annotation("cat"), annotation("dog", was_cancelled=True)]
    assert np.array_equal(imported(studio(tmp_path, annotations=answers), data, tmp_path), rectangle(CAT))


def test_the_newest_annotation_counts(data: Dataset, tmp_path: Path) -> None:
    """Exports do not list annotations in the order of their submission."""
    for number, (cat, dog) in enumerate(
        [
            ({"updated_at": "2026-03-02T10:00:00.5Z"}, {"updated_at": "2026-03-02T10:00:00Z"}),
            ({"updated_at": "2026-03-02T12:00:00+01:00"}, {"updated_at": "2026-03-02T10:30:00Z"}),
            ({"created_at": "2026-03-03T00:00:00Z"}, {"created_at": "2026-03-02T00:00:00Z"}),
            ({"created_at": "2026-03-01", "updated_at": "2026-03-04"}, {"created_at": "2026-03-02"}),
        ]
    ):
        (tmp_path / str(number)).mkdir()
        answers = [annotation("cat", **cat), annotation("dog", **dog)]
        mask = imported(studio(tmp_path, annotations=answers), data, tmp_path / str(number))
        assert np.array_equal(mask, rectangle(CAT)), (cat, dog)


def test_the_annotation_marked_as_ground_truth_counts(data: Dataset, tmp_path: Path) -> None:
    """A reviewer marks it, among those of several people; the others are not dropped without a word."""
    answers = [
        annotation(label, updated_at=f"2026-03-0{day}T10:00:00Z", ground_truth=marked)
        for label, day, marked in (("dog", 1, False), ("cat", 2, True), ("dog", 3, False))
    ]
    found = import_masks(studio(tmp_path, annotations=answers), data, tmp_path / "c")
    mask = found.corrections.read("a", SIZE)
    assert mask is not None and np.array_equal(mask, rectangle(CAT)) and found.several == ("a",)
    assert import_masks(studio(tmp_path, annotations=answers[:1]), data, tmp_path / "one").several == ()


def test_images_without_regions_are_skipped(data: Dataset, tmp_path: Path) -> None:
    """COCO and CVAT list all images of a task, also those that nobody annotated."""
    listed = coco(tmp_path, COCO_POLYGON)
    content = json.loads(listed.read_text())
    content["images"].append({"id": 2, "file_name": "b.png", "height": HEIGHT, "width": WIDTH})
    listed.write_text(json.dumps(content))
    other = cvat(tmp_path, CVAT_POLYGON)
    image = f'<image name="b.png" width="{WIDTH}" height="{HEIGHT}"><tag label="done" /></image>'
    other.write_text(other.read_text().replace("</annotations>", f"{image}</annotations>"))
    for number, source in enumerate((listed, other)):
        out = tmp_path / str(number)
        result = import_masks(source, data, out)
        assert (result.ids, result.skipped) == (("a",), ("b.png",)), source
        options = ImportOptions(rules=DrawingRules(empty="background"), force=True)
        result = import_masks(source, data, out, options)
        mask = result.corrections.read("b", SIZE)
        assert result.skipped == () and mask is not None and not mask.any()


@pytest.mark.parametrize(("label", "value"), [("background", 0), ("ignore", UNLABELLED)])
def test_boxes_of_no_class_do_not_bound(label: str, value: int, data: Dataset, tmp_path: Path) -> None:
    line = '<polyline label="cat" points="8.5,9.5;12.5,9.5" />'
    box = f'<box label="{label}" xtl="2" ytl="1" xbr="6" ybr="4" />'
    expected = rectangle(value, outside=UNLABELLED)
    expected[9, 8:13] = CAT
    assert np.array_equal(imported(cvat(tmp_path, line, box), data, tmp_path, brush=1), expected)
    above = [CVAT_POLYGON, box.replace('xbr="6"', 'xbr="4"')]
    expected = rectangle(CAT)
    expected[1:4, 2:4] = value
    (tmp_path / "2").mkdir()
    assert np.array_equal(imported(cvat(tmp_path, *above), data, tmp_path / "2"), expected)


def test_regions_that_cover_no_pixel_are_listed(data: Dataset, tmp_path: Path) -> None:
    tiny = '<polygon label="dog" points="9.1,9.1;9.2,9.1;9.2,9.2" />'
    result = import_masks(cvat(tmp_path, CVAT_POLYGON, tiny), data, tmp_path / "c")
    assert len(result.invisible) == 1 and "polygon" in result.invisible[0]


def test_labelme_files_beside_the_images_of_an_archive(data: Dataset, tmp_path: Path) -> None:
    document = labelme(tmp_path, LABELME_POLYGON)
    archive = tmp_path / "x.zip"
    for more in ((), ("readme.txt",)):
        with zipfile.ZipFile(archive, "w") as file:
            file.write(document, "images/a.json")
            file.writestr("images/a.png", b"not read")
            for name in more:
                file.writestr(name, "text")
        out = tmp_path / str(len(more))
        assert import_masks(archive, data, out).format == "labelme"


def test_masks_of_classes_that_the_labels_exclude(
    folder: Path, open_at: Callable[..., Dataset], tmp_path: Path
) -> None:
    data = open_at(folder, val_fraction=0)
    for sample in data.all_samples():
        if sample.id in ("i0", "i2"):  # both classes, one class
            mask = np.zeros(image_size(*sample.source), np.uint8)
            mask[:1], mask[1:2] = 1, 2
            write_mask(tmp_path / "m" / f"{sample.id}.png", mask)
    assert import_masks(tmp_path / "m", data, tmp_path / "c").excluded == ("i2",)
