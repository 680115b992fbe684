"""Importing masks: the pixels that shapes label, and input that is refused without writing anything."""

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
    error_of,
    imported,
    labelme,
    percent,
    rectangle,
    studio,
)

from wsss.data.corrections import outline_drawing
from wsss.data.corrections.drawing_rules import DrawingRules
from wsss.data.corrections.import_masks import ImportOptions, import_masks
from wsss.data.dataset import Dataset
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import image_size


def test_a_polygon_of_every_format_is_a_full_mask(data: Dataset, tmp_path: Path) -> None:
    value = {"points": percent(RECTANGLE), "polygonlabels": ["cat"]}
    sources = [
        coco(tmp_path, {"segmentation": [[2, 1, 6, 1, 6, 4, 2, 4]]}),
        cvat(tmp_path, CVAT_POLYGON),
        studio(tmp_path, {"type": "polygonlabels", "value": value}),
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
        ("annotations.json", lambda folder: coco(folder, {"segmentation": [[2, 1, 6, 1, 6, 4, 2, 4]]})),
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
    [
        ({}, UNLABELLED, 0),
        ({"boxes": "fill"}, CAT, 0),
        ({"boxes": "fill", "outside": "unlabelled"}, CAT, UNLABELLED),
    ],
)
def test_boxes(rules: dict[str, Any], inside: int, outside: int, data: Dataset, tmp_path: Path) -> None:
    share = {"x": 200 / WIDTH, "y": 100 / HEIGHT, "width": 400 / WIDTH, "height": 300 / HEIGHT}
    sources = [
        coco(tmp_path, {"bbox": [2, 1, 4, 3]}),
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


def test_the_last_submitted_annotation_counts(data: Dataset, tmp_path: Path) -> None:
    def answer(label: str, **more: Any) -> dict[str, Any]:
        value = {"points": percent(RECTANGLE), "polygonlabels": [label]}
        return {"result": [{"type": "polygonlabels", "value": value}], **more}

    answers = [answer("dog"), answer("cat"), answer("dog", was_cancelled=True)]
    assert np.array_equal(imported(studio(tmp_path, annotations=answers), data, tmp_path), rectangle(CAT))


def test_the_newest_annotation_counts(data: Dataset, tmp_path: Path) -> None:
    """Exports do not list annotations in the order of their submission."""

    def answer(label: str, **more: Any) -> dict[str, Any]:
        value = {"points": percent(RECTANGLE), "polygonlabels": [label]}
        return {"result": [{"type": "polygonlabels", "value": value}], **more}

    for number, (cat, dog) in enumerate(
        [
            ({"updated_at": "2026-03-02T10:00:00.5Z"}, {"updated_at": "2026-03-02T10:00:00Z"}),
            ({"updated_at": "2026-03-02T12:00:00+01:00"}, {"updated_at": "2026-03-02T10:30:00Z"}),
            ({"created_at": "2026-03-03T00:00:00Z"}, {"created_at": "2026-03-02T00:00:00Z"}),
            ({"created_at": "2026-03-01", "updated_at": "2026-03-04"}, {"created_at": "2026-03-02"}),
        ]
    ):
        (tmp_path / str(number)).mkdir()
        answers = [answer("cat", **cat), answer("dog", **dog)]
        mask = imported(studio(tmp_path, annotations=answers), data, tmp_path / str(number))
        assert np.array_equal(mask, rectangle(CAT)), (cat, dog)


def test_the_annotation_marked_as_ground_truth_counts(data: Dataset, tmp_path: Path) -> None:
    """A reviewer marks it, among those of several people; the others are not dropped without a word."""
    value = {"points": percent(RECTANGLE)}
    answers = [
        {
            "result": [{"type": "polygonlabels", "value": {**value, "polygonlabels": [label]}}],
            "updated_at": f"2026-03-0{day}T10:00:00Z",
            "ground_truth": marked,
        }
        for label, day, marked in (("dog", 1, False), ("cat", 2, True), ("dog", 3, False))
    ]
    found = import_masks(studio(tmp_path, annotations=answers), data, tmp_path / "c")
    mask = found.corrections.read("a", SIZE)
    assert mask is not None and np.array_equal(mask, rectangle(CAT)) and found.several == ("a",)
    assert import_masks(studio(tmp_path, annotations=answers[:1]), data, tmp_path / "one").several == ()


def test_damaged_sources_name_the_file(data: Dataset, tmp_path: Path) -> None:
    half = tmp_path / "half.json"
    half.write_text(coco(tmp_path, {"bbox": [2, 1, 4, 3]}).read_text()[:-40])
    assert str(half) in str(error_of(half, data, tmp_path).subject)
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("annotations.xml", "<annotations><image")
    assert str(archive) in str(error_of(archive, data, tmp_path).subject)
    archive.write_bytes(archive.read_bytes()[:60])
    assert error_of(archive, data, tmp_path).subject == str(archive)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../evil.png", "x")
    assert "evil.png" in error_of(archive, data, tmp_path).problem
    with zipfile.ZipFile(archive, "w") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("masks/a.png", "x")
        file.writestr("masks/a.png", "y")
    error = error_of(archive, data, tmp_path)
    assert "masks/a.png" in error.problem and error.subject == str(archive)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.json", "{}")
        file.writestr("a.json/b.json", "{}")
    assert error_of(archive, data, tmp_path).subject == str(archive)
    assert error_of(tmp_path / "none", data, tmp_path).subject == str(tmp_path / "none")


def test_other_sizes_are_refused(data: Dataset, tmp_path: Path) -> None:
    found, allowed = "30×20", f"{WIDTH}×{HEIGHT}"
    write_mask(tmp_path / "m" / "a.png", np.full((20, 30), 8, np.uint8))
    result = {"type": "polygonlabels", "value": {"points": percent(RECTANGLE), "polygonlabels": ["cat"]}}
    larger = {"original_width": 30, "original_height": 20}
    for source in (
        tmp_path / "m",
        coco(tmp_path, {"bbox": [2, 1, 4, 3]}, height=20, width=30),
        cvat(tmp_path, CVAT_POLYGON).rename(tmp_path / "b.xml"),
        studio(tmp_path, {**result, **larger}),
        labelme(tmp_path, LABELME_POLYGON, imageHeight=20, imageWidth=30),
    ):
        if source.suffix == ".xml":
            source.write_text(
                source.read_text().replace(f'width="{WIDTH}" height="{HEIGHT}"', 'width="30" height="20"')
            )
        error = error_of(source, data, tmp_path)
        assert (error.found, error.allowed) == (found, allowed) and source.name in str(error.subject), source
        assert "upright" not in str(error.hint)
    write_mask(tmp_path / "m" / "a.png", np.full((WIDTH, HEIGHT), 8, np.uint8))  # of the photograph as it is stored
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "upright" in str(error.hint) and error.found == f"{HEIGHT}×{WIDTH}"


def test_unknown_classes_suggest_the_closest(data: Dataset, tmp_path: Path) -> None:
    value = {"points": percent(RECTANGLE), "polygonlabels": ["cta"]}
    for source in (
        cvat(tmp_path, CVAT_POLYGON.replace("cat", "cta")),
        studio(tmp_path, {"type": "polygonlabels", "value": value}),
        labelme(tmp_path, {**LABELME_POLYGON, "label": "cta"}),
    ):
        error = error_of(source, data, tmp_path)
        assert error.found == "cta" and "cat" in (error.allowed or ()) and source.name in str(error.subject)
    assert error_of(coco(tmp_path, {"bbox": [2, 1, 4, 3], "category_id": 2}), data, tmp_path).found == "cow"
    write_mask(tmp_path / "m" / "a.png", np.full(SIZE, 99, np.uint8))
    assert error_of(tmp_path / "m", data, tmp_path).found == [99]


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


def test_a_file_of_json_min_is_named(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "min.json").write_text('[{"image": "a.png", "id": 1, "tag": [{"brushlabels": ["cat"]}]}]')
    assert "not as JSON-MIN" in str(error_of(tmp_path / "min.json", data, tmp_path).hint)


def test_unknown_images_are_refused(data: Dataset, tmp_path: Path) -> None:
    assert "'zebra.png'" in error_of(cvat(tmp_path, CVAT_POLYGON, name="zebra.png"), data, tmp_path).problem
    assert (
        "'zebra.png'" in error_of(coco(tmp_path, {"bbox": [2, 1, 4, 3]}, file_name="zebra.png"), data, tmp_path).problem
    )
    write_mask(tmp_path / "m" / "a.png", np.full(SIZE, 8, np.uint8))
    write_mask(tmp_path / "m" / "a.tif.png", np.full(SIZE, 8, np.uint8))
    assert "two masks" in error_of(tmp_path / "m", data, tmp_path).problem


def test_errors_about_selected_images_are_not_dropped(data: Dataset, tmp_path: Path) -> None:
    """With ``--ids``, the first of two masks of an image was imported without a word."""
    write_mask(tmp_path / "m" / "a.png", np.full(SIZE, 8, np.uint8))
    write_mask(tmp_path / "m" / "a.tif.png", np.full(SIZE, 12, np.uint8))
    write_mask(tmp_path / "m" / "b.png", np.full(SIZE, 8, np.uint8))
    write_mask(tmp_path / "m" / "zebra.png", np.full(SIZE, 8, np.uint8))
    error = error_of(tmp_path / "m", data, tmp_path, ids=["a", "b"])
    assert "two masks" in error.problem and "zebra" not in error.message
    assert import_masks(tmp_path / "m", data, tmp_path / "c", ImportOptions(ids=["b"])).ids == ("b",)


def test_one_invalid_mask_of_several_writes_none(data: Dataset, tmp_path: Path) -> None:
    write_mask(tmp_path / "m" / "a.png", np.full(SIZE, 8, np.uint8))
    write_mask(tmp_path / "m" / "b.png", np.full(SIZE, 255, np.uint8))
    error = error_of(tmp_path / "m", data, tmp_path)
    assert "no labelled pixel" in error.problem and "b.png" in str(error.subject)


@pytest.mark.parametrize(
    "broken",
    [
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "zzzzzzz"}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [3, 4]}},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [3, -4]}},
        {"segmentation": {"size": [WIDTH, HEIGHT], "counts": [HEIGHT * WIDTH]}},
        {"segmentation": [[1, 2, 3]]},
        {"segmentation": [[1, 2, 3, 4]]},
        {"segmentation": [[1, 2, 3, 4, 1e300, 5]]},
        {"bbox": [1, 2]},
        {"image_id": 7, "bbox": [1, 2, 3, 4]},
        {"image_id": [], "bbox": [1, 2, 3, 4]},
        {},
    ],
)
def test_broken_regions_are_errors(broken: dict[str, Any], data: Dataset, tmp_path: Path) -> None:
    assert "annotations[0]" in str(error_of(coco(tmp_path, broken), data, tmp_path).subject)


@pytest.mark.parametrize("stream", [[], [0] * 8, [255] * 40, [0, 0, 3, 0, 57, 0, 0, 255]])
def test_broken_brushes_are_errors(stream: list[int], data: Dataset, tmp_path: Path) -> None:
    value = {"format": "rle", "rle": stream, "brushlabels": ["cat"]}
    assert "result[0]" in str(
        error_of(studio(tmp_path, {"type": "brushlabels", "value": value}), data, tmp_path).subject
    )


def test_regions_of_unknown_types_are_not_lost(data: Dataset, tmp_path: Path) -> None:
    cuboid = cvat(tmp_path, CVAT_POLYGON, '<tag label="x" />', '<cuboid label="cat" xtl1="1" />')
    assert error_of(cuboid, data, tmp_path).found == "cuboid"
    vector = studio(tmp_path, {"type": "vectorlabels", "value": {"vertices": [], "vectorlabels": ["cat"]}})
    assert error_of(vector, data, tmp_path).found == "vectorlabels"
    value = {"points": percent(RECTANGLE), "polygonlabels": ["cat"]}
    choice = {"type": "choices", "value": {"choices": ["done"]}}
    mask = imported(studio(tmp_path, choice, {"type": "polygonlabels", "value": value}), data, tmp_path)
    assert np.array_equal(mask, rectangle(CAT))


def test_images_without_regions_are_skipped(data: Dataset, tmp_path: Path) -> None:
    """COCO and CVAT list all images of a task, also those that nobody annotated."""
    listed = coco(tmp_path, {"segmentation": [[2, 1, 6, 1, 6, 4, 2, 4]]})
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


def test_a_source_without_any_region_is_refused(data: Dataset, tmp_path: Path) -> None:
    for source in (coco(tmp_path), cvat(tmp_path), studio(tmp_path), labelme(tmp_path)):
        error = error_of(source, data, tmp_path)
        assert "--empty background" in str(error.hint) and source.name in str(error.subject)


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


def test_bitmasks_are_not_lost(data: Dataset, tmp_path: Path) -> None:
    bitmask = {"imageDataURL": "data:image/png;base64,", "bitmasklabels": ["cat"]}
    for kind, value in (("bitmasklabels", bitmask), ("bitmask", bitmask), ("videolabels", {"videolabels": ["cat"]})):
        assert error_of(studio(tmp_path, {"type": kind, "value": value}), data, tmp_path).found == kind


@pytest.mark.parametrize(
    "shape",
    [
        '<polygon label="dog" points="20,1;26,1;26,4;20,4" />',
        '<polyline label="dog" points="-9,-9;-4,-4" />',
        '<points label="dog" points="12,30" />',
        '<ellipse label="dog" cx="40" cy="5" rx="3" ry="3" />',
        '<box label="dog" xtl="2" ytl="-9" xbr="6" ybr="-4" />',
    ],
)
def test_regions_outside_the_image_are_errors(shape: str, data: Dataset, tmp_path: Path) -> None:
    error = error_of(cvat(tmp_path, CVAT_POLYGON, shape), data, tmp_path)
    assert "outside" in error.problem and "a.png" in str(error.subject)


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
