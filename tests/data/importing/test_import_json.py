"""Labels in JSON: plain, of COCO, of Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelfiles import by_image, by_kind, put, read

from wsss.data.classes import Classes
from wsss.data.importers.formats.labelstudio_labels import DISAGREEMENT, OVERRULED, UNANSWERED
from wsss.data.importers.importer_registry import read_labels
from wsss.data.importers.rules.read_context import EMPTY_IMAGES, ReadOptions
from wsss.errors import InvalidInput
from wsss.export.export_formats import export_masks
from wsss.export.export_items import Item, Masks, Options
from wsss.io.rasters.label_masks import write_mask


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": ["cat", "dog"], "b": [], "c": None}, {"a": ("cat", "dog"), "b": (), "c": ()}),
        ({"both": "cat, dog", "one": "big cat"}, {"both": ("cat", "dog"), "one": ("big cat",)}),
        ({"a": "lamp, floor;cat", "b": ["lamp, floor"]}, {"a": ("lamp, floor", "cat"), "b": ("lamp, floor",)}),
        ({"a": {"labels": "cat"}, "b": "['cat', 'dog']"}, {"a": ("cat",), "b": ("cat", "dog")}),
        ([{"image": "a", "labels": "cat|dog"}, {"image": "b", "labels": "[]"}], {"a": ("cat", "dog"), "b": ()}),
        ({"a": "big cat", "b": ""}, {"a": ("big cat",), "b": ()}),
        ({"a": {"cat": 1, "dog": 0}, "b": {"cat": False, "dog": True}}, {"a": ("cat",), "b": ("dog",)}),
        ({"a": {"labels": ["cat"], "width": 3}}, {"a": ("cat",)}),
        ([{"image": "a.jpg", "labels": ["cat"]}, {"image": "b.jpg", "labels": []}], {"a.jpg": ("cat",), "b.jpg": ()}),
        ([{"id": 7, "class": "żółw"}], {"7": ("żółw",)}),
        ([{"id": "a", "annotation_id": 3, "label": "cat, dog"}], {"a": ("cat", "dog")}),
        ([{"file": "a", "tag": "cat"}, {"file": "a", "tag": "dog"}], {"a": ("cat", "dog")}),
    ],
)  # fmt: skip
def test_plain_json(file: Path, value: Any, expected: dict[str, tuple[str, ...]]) -> None:
    assert by_image(read(put(file, value))) == expected


NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"image": "a.jpg", "label": "cat"}, {"image": "b.jpg", "label": NAN}], {"a.jpg": ("cat",), "b.jpg": ()}),
        ({"a": "cat", "b": NAN, "c": ["cat"]}, {"a": ("cat",), "b": (), "c": ("cat",)}),
        ({"a": {"cat": 1, "dog": NAN}, "b": {"cat": 0.0, "dog": 1.0}}, {"a": ("cat",), "b": ("dog",)}),
        (
            [{"image": "a", "cat": 1.0, "dog": NAN}, {"image": "b", "cat": NAN, "dog": 1}],
            {"a": ("cat",), "b": ("dog",)},
        ),
        ([{"image": "a", "label": 3.0}, {"image": "b", "label": NAN}], {"a": ("3",), "b": ()}),
        (
            [
                {"image": "a.jpg", "annotation_id": 3, "annotator": 1, "animals": "cat"},
                {"image": "b.jpg", "annotation_id": 4, "annotator": 1, "animals": NAN},
            ],
            {"a.jpg": ("cat",), "b.jpg": ()},
        ),
    ],
)
def test_nan_is_an_empty_cell(file: Path, value: Any, expected: dict[str, tuple[str, ...]]) -> None:
    assert by_image(read(put(file, value))) == expected


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize(
    "text",
    [
        '[{"image": "a.jpg", "label": "cat"}, {"image": "b.jpg", "label": NUMBER}]',
        '{"a.jpg": ["cat"], "b.jpg": [NUMBER]}',
        '{"a.jpg": {"cat": 1}, "b.jpg": {"cat": NUMBER}}',
        '[{"image": "a", "annotation_id": 3, "annotator": 1, "choice": "x"}, {"image": "b", "choice": NUMBER}]',
        '{"images": [{"id": NUMBER, "file_name": "a.jpg"}], "categories": [], "annotations": []}',
    ],
)
def test_infinite_numbers_are_refused(file: Path, text: str, number: str) -> None:
    file.write_text(text.replace("NUMBER", number))
    with pytest.raises(InvalidInput) as error:
        read(file)
    assert str(error.value.subject).startswith(str(file))


def test_strings_are_split_with_a_note(file: Path) -> None:
    put(file, {"a": "cat, dog"})
    assert [kind for kind, _ in read(file).notes] == ["strings with ',', read as several labels"]
    whole = read(file, separator=";")
    assert by_image(whole) == {"a": ("cat, dog",)} and whole.notes == ()


def test_splits_of_records(file: Path) -> None:
    labels = read(put(file, [{"image": "a", "label": "x", "split": "train"}, {"image": "b", "label": "y"}]))
    assert [entry.split for entry in labels.entries] == ["train", None]
    assert [entry.where for entry in labels.entries] == [f"{file}: [0]", f"{file}: [1]"]


@pytest.mark.parametrize(
    ("text", "where", "value"),
    [
        ("{", ":1", None),
        ('{"a": ["x"],\n "b": ' + "7" * 5000 + "}", ":2", "5,000 digits"),
        ('{"a": ["x"],\n "a": []}', "", None),
        ("[" * 100_000, "", None),
        ("17", "", ["a number"]),
        ("[]", "", None),
        ('{"a": 0.3}', ": a", 0.3),
        ('{"a": ["x", 3]}', ": a[1]", 3),
        ('{"a": {"cat": 2}}', ": a.cat", 2),
        ('{"a": {"cat": [1]}}', ": a.cat", ["a list"]),
        ('[{"image": "a"}]', ": [0]", ["image"]),
        ('[{"label": "a"}]', ": [0]", ["label"]),
        ('[{"image": ["a"], "label": "x"}]', ": [0].image", ["a list"]),
        ("[3]", ": [0]", ["a number"]),
        ('{"a": ["x\\ny"]}', ": a[0]", "x\ny"),
    ],
)
def test_mistakes_in_plain_json(file: Path, text: str, where: str, value: Any) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput) as error:
        read(file, format="json")
    assert (error.value.subject, error.value.found) == (f"{file}{where}", value)


def instances() -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "images": [{"id": n, "file_name": name} for n, name in ((9, "train/a.jpg"), (4, "b.jpg"), (5, "c.jpg"))],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}, {"id": 67, "name": "dining table"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 18, "segmentation": [[1, 2, 3, 4, 5, 6]], "iscrowd": 0},
            {"id": 2, "image_id": 9, "category_id": 18, "iscrowd": 0},
            {"id": 3, "image_id": 9, "category_id": 67, "segmentation": {"counts": "x", "size": [1, 1]}, "iscrowd": 1},
            {"id": 4, "image_id": 4, "category_id": 17},
        ],
    }  # fmt: skip


def test_coco(file: Path) -> None:
    labels = read(put(file, instances()), format="coco")
    assert by_image(labels) == {"train/a.jpg": ("dog", "dining table"), "b.jpg": ("cat",), "c.jpg": ()}
    assert labels.classes == ("cat", "dog", "dining table"), "in the order of their ids"


def test_pycocotools_finds_the_same(file: Path) -> None:
    tools = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    put(file, instances())
    api = tools.COCO(str(file))
    own = {
        image["file_name"]: {api.cats[a["category_id"]]["name"] for a in api.loadAnns(api.getAnnIds(image["id"]))}
        for image in api.loadImgs(api.getImgIds())
    }
    assert {image: set(names) for image, names in by_image(read(file, format="coco")).items()} == own


def test_ignored_pixels_of_an_export_are_not_a_class(tmp_path: Path) -> None:
    for name, ignored in (("cat", "ignore"), ("ignore", "ignored")):
        mask = np.zeros((6, 8), np.uint8)
        mask[:3], mask[3, :4] = 1, 255
        write_mask(tmp_path / "m" / "a.png", mask)
        write_mask(tmp_path / "m" / "b.png", np.where(mask == 1, 0, mask).astype(np.uint8))
        items = tuple(Item(id, tmp_path / "m" / f"{id}.png", None) for id in ("a", "b"))
        masks = Masks("mine", Classes(("background", name), ((0,), (1,))), items)
        export_masks(masks, "coco", Options(), tmp_path / name)
        labels = read(tmp_path / name / "annotations.json", format="coco")
        assert by_image(labels) == {"a": (name,), "b": ()} and labels.classes == (name,)
        assert ("categories of ignored pixels, left out", f"{ignored} (id 255, crowds only)") in labels.notes
        assert [kind for kind, _ in labels.notes if kind == EMPTY_IMAGES] == [EMPTY_IMAGES]


def test_other_categories_with_id_255_are_classes(file: Path) -> None:
    for name, crowd in (("ignore", 0), ("dog", 1)):
        content = instances()
        content["categories"][0] = {"id": 255, "name": name}
        content["annotations"][0] |= {"category_id": 255, "iscrowd": crowd}
        content["annotations"][1] |= {"category_id": 17}
        assert name in read(put(file, content), format="coco").classes


@pytest.mark.parametrize(
    ("path", "value", "where", "wrong"),
    [
        (("annotations", 3, "image_id"), 77, "annotations[3].image_id", None),
        (("annotations", 0, "category_id"), 1, "annotations[0].category_id", None),
        (("annotations", 0, "category_id"), "18", "annotations[0].category_id", "18"),
        (("annotations",), {}, "annotations", ["an object"]),
        (("annotations", 1), 7, "annotations[1]", ["a number"]),
        (("images", 1, "id"), 9, "images[1].id", None),
        (("images", 0), {"id": 3}, "images[0].file_name", None),
        (("images", 0, "file_name"), None, "images[0].file_name", ["null"]),
        (("categories", 1, "id"), 18, "categories[1].id", None),
        (("categories", 1, "name"), "", "categories[1].name", ""),
    ],
)
def test_mistakes_in_coco(file: Path, path: tuple[Any, ...], value: Any, where: str, wrong: Any) -> None:
    content = instances()
    inner: Any = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(InvalidInput) as error:
        read(put(file, content), format="coco")
    assert (error.value.subject, error.value.found) == (f"{file}: {where}", wrong)


def task(image: str, *answers: list[str] | None, **more: Any) -> dict[str, Any]:
    """A task of Label Studio; ``None`` is a skipped annotation."""
    annotations = [
        {
            "was_cancelled": answer is None,
            "result": [
                {"type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["box"]}},
                {"type": "choices", "from_name": "kind", "to_name": "img", "value": {"choices": answer}},
            ]
            if answer
            else [],
        }
        for answer in answers
    ]
    return {"id": 1, "data": {"image": image}, "annotations": annotations, "predictions": [], **more}


def test_label_studio(file: Path) -> None:
    tasks = [
        task("/data/upload/2/89abcdef-cat.jpg", ["Cat"]),
        task("/data/local-files/?d=photos/a%20b.jpg", ["Cat", "Dog"], ["Dog"]),
        task("https://host.example/x/y.png?token=1#z", None, ["Dog"]),
        task("s3://bucket/none.jpg", []),
        task("skipped.jpg", None),
        task("unseen.jpg"),
    ]
    labels = read(put(file, tasks), format="label-studio")
    assert by_image(labels) == dict(
        zip((task["data"]["image"] for task in tasks), (("Cat",), ("Cat", "Dog"), ("Dog",), ()), strict=False)
    )
    notes = by_kind(labels.notes)
    assert notes.pop(UNANSWERED) == ["skipped.jpg", "unseen.jpg"]
    assert notes[DISAGREEMENT] == ["/data/local-files/?d=photos/a%20b.jpg"] and OVERRULED not in notes


def test_annotations_marked_as_ground_truth_decide(file: Path) -> None:
    """As in ``wsss import-masks``: a reviewer marks the right one; others only disagree."""
    reviewed = task("1.jpg", ["Cat"], None, ["Dog"], ["Cat", "Dog"])
    marked = task("2.jpg", ["Cat"], ["Dog"])
    skipped = task("3.jpg", ["Cat"], None)
    single = task("4.jpg", ["Dog"])
    for one, at in ((reviewed, 2), (skipped, 1), (single, 0)):
        one["annotations"][at]["ground_truth"] = True
    for answer in marked["annotations"]:
        answer["ground_truth"] = True
    labels = read(put(file, [reviewed, marked, skipped, single]), format="label-studio")
    assert by_image(labels) == {"1.jpg": ("Dog",), "2.jpg": ("Cat", "Dog"), "3.jpg": ("Cat",), "4.jpg": ("Dog",)}
    notes = by_kind(labels.notes)
    assert notes[OVERRULED] == ["1.jpg"] and notes[DISAGREEMENT] == ["2.jpg"]
    reviewed["annotations"][2]["result"][1]["value"]["choices"] = "Dog"
    with pytest.raises(InvalidInput, match=r"\[0\]\.annotations\[2\]\.result\[1\]"):
        read(put(file, [reviewed]), format="label-studio")


@pytest.mark.parametrize(
    ("data", "more", "where", "wrong"),
    [
        ({"text": "hello"}, {"annotations": [{"result": []}]}, ": [0].data", ["text"]),
        ({"image": "a.jpg"}, {"annotations": []}, "", None),
        ({"image": "a.jpg"}, {}, "", None),
        ({"image": "a.jpg"}, {"annotations": [{"result": 3}]}, ": [0].annotations[0].result", ["a number"]),
        (
            {"image": "a.jpg"},
            {"annotations": [{"result": [{"value": {"choices": "x"}}]}]},
            *(": [0].annotations[0].result[0].value.choices", ["a string"]),
        ),
    ],
)
def test_mistakes_in_label_studio(file: Path, data: Any, more: Any, where: str, wrong: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        read(put(file, [{"data": data, **more}]), format="label-studio")
    assert (error.value.subject, error.value.found) == (f"{file}{where}", wrong)


def test_label_studio_with_tasks_without_annotation(file: Path) -> None:
    tasks = [{"id": 2, "data": {"image": "new.jpg"}}, task("a.jpg", ["Cat"])]
    labels = read(put(file, tasks))
    assert by_image(labels) == {"a.jpg": ("Cat",)}
    assert (UNANSWERED, "new.jpg") in labels.notes


def test_the_format_of_json_is_recognised_by_content(file: Path) -> None:
    for content, format in (
        (instances(), "COCO annotations"),
        ([task("a.jpg", ["x"])], "an export of Label Studio"),
        ({"a": ["x"]}, "an object of labels (JSON)"),
        ([{"image": "a", "label": "x"}], "a list of records (JSON)"),
    ):
        assert read(put(file, content)).format == format


@pytest.mark.parametrize(
    ("name", "format", "subject"),
    [
        ("l.json", "coco", "{0}/l.json"),
        ("l.labels", "auto", "--labels: {0}/l.labels"),
        (None, "csv", "--labels"),
        ("absent.json", "auto", "--labels: {0}/absent.json"),
        ("", "auto", "--labels"),
        ("l.json", "folders", "--labels"),
    ],
)
def test_wrong_label_files_and_formats(name: str | None, format: str, subject: str, tmp_path: Path) -> None:
    for suffix in ("json", "labels"):
        put(tmp_path / f"l.{suffix}", [{"image": "a", "label": "x"}])
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, [], None if name is None else tmp_path / name, ReadOptions(format))
    assert error.value.subject == subject.format(tmp_path)


@pytest.mark.parametrize("key", ["data", "items", "Images"])
def test_records_in_a_key_of_an_object(file: Path, key: str) -> None:
    records = [{"image": "a.jpg", "labels": ["cat"]}, {"image": "b.jpg", "labels": []}]
    labels = read(put(file, {"version": 1, key: records}))
    assert by_image(labels) == {"a.jpg": ("cat",), "b.jpg": ()}
    assert any(message == f"{key} (not used: version)" for _, message in labels.notes)
    with pytest.raises(InvalidInput) as error:
        read(put(file, {"train": records, "val": records}))
    assert error.value.found == ["train", "val"]


def test_files_per_class_are_refused(file: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        read(put(file, {"cat": ["a.jpg"], "dog": ["x/b.png"], "bird": []}))
    assert error.value.found == ["cat", "dog", "bird"] and error.value.hint
