"""Labels in JSON: plain, of COCO, of Label Studio."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsss.data.importers.formats import coco_labels, labelstudio_labels
from wsss.data.importers.importer_registry import How, read_labels
from wsss.data.importers.json import json_records
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.read_context import EMPTY_IMAGES
from wsss.data.sample import Classes
from wsss.errors import InvalidInput
from wsss.export.export_formats import export_masks
from wsss.export.export_items import Item, Masks, Options
from wsss.io.rasters.label_masks import write_mask


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.json"


def found(labels: Labels) -> dict[str, tuple[str, ...]]:
    return {entry.image: entry.labels for entry in labels.entries}


def put(file: Path, value: Any) -> Path:
    file.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return file


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
    assert found(json_records.read(put(file, value))) == expected


def test_texts_that_are_split_are_noted_and_need_not_be(file: Path) -> None:
    put(file, {"a": "cat, dog"})
    assert [kind for kind, _ in read_labels(file.parent, [], file).notes] == ["texts with ',', read as several labels"]
    whole = read_labels(file.parent, [], file, How(separator=";"))
    assert found(whole) == {"a": ("cat, dog",)} and whole.notes == ()


def test_splits_of_records(file: Path) -> None:
    labels = json_records.read(
        put(file, [{"image": "a", "label": "x", "split": "train"}, {"image": "b", "label": "y"}])
    )
    assert [entry.split for entry in labels.entries] == ["train", None]
    assert [entry.where for entry in labels.entries] == [f"{file}: [0]", f"{file}: [1]"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"labels.json:1: not valid JSON"),
        ('{"a": ["x"],\n "b": ' + "7" * 5000 + "}", r"labels.json:2: a number of 5,000 digits"),
        ('{"a": ["x"],\n "a": []}', "duplicate key 'a'"),
        ("[" * 100_000, "labels.json"),
        ("17", "found a number; expected an object"),
        ("[]", "labels.json: The file holds no image"),
        ('{"a": 0.3}', r"labels.json: a: found 0.3; expected a class name, or the number of a class"),
        ('{"a": ["x", 3]}', r"labels.json: a\[1\]: found 3; a class name is a text"),
        ('{"a": {"cat": 2}}', r"labels.json: a.cat: found 2; a label is 0 or 1"),
        ('[{"image": "a"}]', r"labels.json: \[0\]: no key names the labels"),
        ('[{"label": "a"}]', r"labels.json: \[0\]: no key names the image"),
        ('[{"image": ["a"], "label": "x"}]', r"labels.json: \[0\].image: found a list"),
        ("[3]", r"labels.json: \[0\]: found a number"),
        ('{"a": ["x\\ny"]}', "has the character"),
    ],
)
def test_mistakes_in_plain_json(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_labels(file.parent, [], file, How("json"))


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
    labels = coco_labels.read(put(file, instances()))
    assert found(labels) == {"train/a.jpg": ("dog", "dining table"), "b.jpg": ("cat",), "c.jpg": ()}
    assert labels.classes == ("cat", "dog", "dining table"), "in the order of their ids"


def test_cocos_own_library_finds_the_same(file: Path) -> None:
    tools = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    put(file, instances())
    api = tools.COCO(str(file))
    own = {
        image["file_name"]: {api.cats[a["category_id"]]["name"] for a in api.loadAnns(api.getAnnIds(image["id"]))}
        for image in api.loadImgs(api.getImgIds())
    }
    assert {image: set(names) for image, names in found(coco_labels.read(file)).items()} == own


def test_ignored_pixels_of_our_own_export_are_no_class(tmp_path: Path) -> None:
    for name, ignored in (("cat", "ignore"), ("ignore", "ignored")):
        mask = np.zeros((6, 8), np.uint8)
        mask[:3], mask[3, :4] = 1, 255
        write_mask(tmp_path / "m" / "a.png", mask)
        write_mask(tmp_path / "m" / "b.png", np.where(mask == 1, 0, mask).astype(np.uint8))
        items = tuple(Item(id, tmp_path / "m" / f"{id}.png", None) for id in ("a", "b"))
        masks = Masks("mine", Classes(("background", name), ((0,), (1,))), items)
        export_masks(masks, "coco", Options(), tmp_path / name)
        labels = coco_labels.read(tmp_path / name / "annotations.json")
        assert found(labels) == {"a": (name,), "b": ()} and labels.classes == (name,)
        assert ("categories of ignored pixels, left out", f"{ignored} (id 255, crowds alone)") in labels.notes
        assert [kind for kind, _ in labels.notes if kind == EMPTY_IMAGES] == [EMPTY_IMAGES]


def test_other_categories_of_number_255_are_classes(file: Path) -> None:
    for name, crowd in (("ignore", 0), ("dog", 1)):
        content = instances()
        content["categories"][0] = {"id": 255, "name": name}
        content["annotations"][0] |= {"category_id": 255, "iscrowd": crowd}
        content["annotations"][1] |= {"category_id": 17}
        assert name in coco_labels.read(put(file, content)).classes


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("annotations", 3, "image_id"), 77, r"annotations\[3\].image_id: there is no image with id 77"),
        (("annotations", 0, "category_id"), 1, r"annotations\[0\].category_id: there is no category with id 1"),
        (("annotations", 0, "category_id"), "18", r"annotations\[0\].category_id: found '18'; expected a whole number"),
        (("annotations",), {}, "annotations: found an object; expected a list"),
        (("annotations", 1), 7, r"annotations\[1\]: found a number; expected an object"),
        (("images", 1, "id"), 9, r"images\[1\].id: duplicate image 9; the first is 'train/a.jpg'"),
        (("images", 0), {"id": 3}, r"images\[0\].file_name: this key is required and missing"),
        (("images", 0, "file_name"), None, r"images\[0\].file_name: found null; expected a file name"),
        (("categories", 1, "id"), 18, r"categories\[1\].id: duplicate category 18"),
        (("categories", 1, "name"), "", r"categories\[1\].name: found ''; a class name is"),
    ],
)
def test_mistakes_in_coco(file: Path, path: tuple[Any, ...], value: Any, message: str) -> None:
    content = instances()
    inner: Any = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(InvalidInput, match=f"labels.json: {message}"):
        coco_labels.read(put(file, content))


def task(image: str, *answers: list[str] | None, **more: Any) -> dict[str, Any]:
    """A task of Label Studio; ``None`` is an annotation that was skipped."""
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
    labels = labelstudio_labels.read(put(file, tasks))
    assert found(labels) == dict(
        zip((one["data"]["image"] for one in tasks), (("Cat",), ("Cat", "Dog"), ("Dog",), ()), strict=False)
    )
    notes = {kind: [text for k, text in labels.notes if k == kind] for kind, _ in labels.notes}
    assert notes["tasks that nobody has answered"] == ["skipped.jpg", "unseen.jpg"]
    assert notes["images that annotators disagree on; all their labels are taken"] == [
        "/data/local-files/?d=photos/a%20b.jpg"
    ]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([{"data": {"text": "hello"}, "annotations": [{"result": []}]}], r"\[0\].data: no image is named here"),
        ([{"data": {"image": "a.jpg"}, "annotations": []}], "none of the 1 tasks has an annotation"),
        ([{"data": {"image": "a.jpg"}}], "no Label Studio export"),
        (
            [{"data": {"image": "a.jpg"}, "annotations": [{"result": 3}]}],
            r"\[0\].annotations\[0\].result: found a number",
        ),
        (
            [{"data": {"image": "a.jpg"}, "annotations": [{"result": [{"value": {"choices": "x"}}]}]}],
            r"\[0\].annotations\[0\].result\[0\].value.choices: found a text; expected a list",
        ),
    ],
)
def test_mistakes_in_label_studio(file: Path, tasks: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        labelstudio_labels.read(put(file, tasks))


def test_label_studio_with_tasks_that_are_not_annotated(file: Path) -> None:
    tasks = [{"id": 2, "data": {"image": "new.jpg"}}, task("a.jpg", ["Cat"])]
    labels = read_labels(file.parent, [], put(file, tasks))
    assert found(labels) == {"a.jpg": ("Cat",)}
    assert ("tasks that nobody has answered", "new.jpg") in labels.notes


LOCAL = "/data/local-files/?d=imgs/"


def record(image: str, **more: Any) -> dict[str, Any]:
    """A record of JSON-MIN, as Label Studio writes it (label_studio_sdk 1.0: converter.py, ``convert_to_json_min``)."""
    dated = {"created_at": "2024-05-01T09:00:00.1Z", "updated_at": "2024-05-01T09:00:00.1Z", "lead_time": 3.4}
    return {"image": image, "id": 1, **more, "annotator": 1, "annotation_id": 7, **dated}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (
            [{"id": 1, "image": f"{LOCAL}cat_01.jpg", "choice": "cat"}, {"id": 2, "image": f"{LOCAL}none.jpg"}],
            {f"{LOCAL}cat_01.jpg": ("cat",), f"{LOCAL}none.jpg": ()},
        ),
        ([record(f"{LOCAL}a%20b.jpg", animals="cat"), record("b.jpg")], {f"{LOCAL}a%20b.jpg": ("cat",), "b.jpg": ()}),
        (
            [record("/data/upload/1/0123abcd-a%20b.jpg", choice={"choices": ["x", "y"]}), record("b.jpg", choice="x")],
            {"/data/upload/1/0123abcd-a%20b.jpg": ("x", "y"), "b.jpg": ("x",)},
        ),
        ([record("a.jpg", animals="cat"), record("a.jpg", animals="dog")], {"a.jpg": ("cat", "dog")}),
        ([record("a.jpg", source="phone", kind={"choices": ["cat", "dog"]})], {"a.jpg": ("cat", "dog")}),
        ([record("a.jpg", source="phone", label="lamp, floor")], {"a.jpg": ("lamp, floor",)}),
        ([record("a.jpg", category="outside", choice="cat")], {"a.jpg": ("cat",)}),
        (
            [record("a.jpg", parts=["leaf", {"choices": ["stem", "leaf"], "x": 1}])],
            {"a.jpg": ("leaf", "stem")},
        ),
        ([record("a.jpg", animals="cat", split="train")], {"a.jpg": ("cat",)}),
        ([{"photo": f"{LOCAL}a.jpg", "id": 1, "animals": "cat"}], {f"{LOCAL}a.jpg": ("cat",)}),
        ([record("a.jpg", tags=[{"rectanglelabels": ["x"], "x": 1}, {"x": 3}])], {"a.jpg": ("x",)}),
    ],
)
def test_json_min(file: Path, records: list[Any], expected: dict[str, tuple[str, ...]]) -> None:
    for how in (How(), How("label-studio")):
        labels = read_labels(file.parent, [], put(file, records), how)
        assert found(labels) == expected
        assert labels.format == "an export of Label Studio"


def test_the_control_is_named_or_asked_for(file: Path) -> None:
    guessed = read_labels(file.parent, [], put(file, [record("a.jpg", animals="cat")]))
    assert guessed.notes == (("labels read from the key (--label-key says otherwise)", "animals"),)
    put(file, [record("a.jpg", animals="cat", weather="rain"), record("b.jpg", weather="sun")])
    with pytest.raises(InvalidInput, match=r"labels.json: several keys may hold the labels: animals, weather") as error:
        read_labels(file.parent, [], file)
    assert "--label-key" in (error.value.hint or "")
    told = read_labels(file.parent, [], file, How(label_key="weather"))
    assert found(told) == {"a.jpg": ("rain",), "b.jpg": ("sun",)} and told.notes == ()
    wrong = "--label-key wether: there is no such key; found image, animals, weather; did you mean 'weather'?"
    with pytest.raises(InvalidInput, match=re.escape(wrong)):
        read_labels(file.parent, [], file, How(label_key="wether"))


def test_records_that_label_studio_may_have_written(file: Path) -> None:
    """A record without labels may show nothing, or nobody has looked: only Label Studio's are known to show nothing."""
    put(file, [{"image": "a.jpg", "choice": "cat"}, {"image": "b.jpg"}])
    with pytest.raises(InvalidInput, match=r"\[1\]: no key names the labels") as error:
        read_labels(file.parent, [], file)
    assert "--format label-studio" in (error.value.hint or "")
    assert found(read_labels(file.parent, [], file, How("label-studio"))) == {"a.jpg": ("cat",), "b.jpg": ()}


def test_a_key_of_plain_records_can_be_named(file: Path) -> None:
    put(file, [{"image": "a.jpg", "animal": ["cat"], "label": "x"}, {"image": "b.jpg", "animal": []}])
    assert found(read_labels(file.parent, [], file, How(label_key="animal"))) == {"a.jpg": ("cat",), "b.jpg": ()}
    put(file, [{"image": "a.jpg", "animal": ["cat"]}])
    with pytest.raises(InvalidInput, match=r"\[0\]: no key names the labels") as error:
        read_labels(file.parent, [], file)
    assert "--label-key" in (error.value.hint or "")


def test_the_key_of_the_image_in_plain_records(file: Path) -> None:
    put(
        file,
        [
            {"previous": "p.jpg", "image": "i.jpg", "label": "cat"},
            {"previous": "i.jpg", "image": "j.jpg", "label": "x"},
        ],
    )
    assert found(read_labels(file.parent, [], file)) == {"i.jpg": ("cat",), "j.jpg": ("x",)}
    assert found(read_labels(file.parent, [], file, How(image_key="previous"))) == {"p.jpg": ("cat",), "i.jpg": ("x",)}
    put(file, [{"before": "b.jpg", "after": "a.jpg", "label": "cat"}])
    with pytest.raises(InvalidInput, match="several keys may name the image: before, after"):
        read_labels(file.parent, [], file)
    assert found(read_labels(file.parent, [], file, How(image_key="after"))) == {"a.jpg": ("cat",)}
    put(file, [{"shot": "a", "label": "cat"}])
    with pytest.raises(InvalidInput, match=r"\[0\]: no key names the image") as error:
        read_labels(file.parent, [], file)
    assert "--image-key" in (error.value.hint or "")
    assert found(read_labels(file.parent, [], file, How(image_key="shot"))) == {"a": ("cat",)}


def test_keys_of_flags_can_be_named(file: Path) -> None:
    put(file, [{"image": "a", "cat": 1, "dog": 0, "sharp": 1}, {"image": "b", "cat": 0, "dog": 1, "sharp": 1}])
    assert found(read_labels(file.parent, [], file, How(label_key="cat,dog"))) == {"a": ("cat",), "b": ("dog",)}
    assert found(read_labels(file.parent, [], file, How(label_key="cat"))) == {"a": ("cat",), "b": ()}
    put(file, {"a": {"animal": ["cat"], "weather": "rain"}, "b": {"animal": [], "weather": "sun"}})
    assert found(read_labels(file.parent, [], file, How(label_key="animal"))) == {"a": ("cat",), "b": ()}
    with pytest.raises(InvalidInput, match="--label-key animl is for records; this is an object"):
        read_labels(file.parent, [], file, How(label_key="animl"))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record("a.jpg")], "no key holds the labels; found "),
        (
            [record("a.jpg", label=[{"rectanglelabels": [3], "x": 1}])],
            r"\[0\].label\[0\].rectanglelabels\[0\]: found 3",
        ),
        ([{"annotation_id": 3, "lead_time": 1, "choice": "x"}], r"\[0\]: no image is named here"),
        ([record("a.jpg", choice="x"), 3], r"\[1\]: found a number; expected a record"),
    ],
)
def test_mistakes_in_json_min(file: Path, records: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_labels(file.parent, [], put(file, records))


def test_a_format_is_recognised_by_what_is_in_the_file(file: Path) -> None:
    assert read_labels(file.parent, [], put(file, instances())).format == "COCO annotations"
    assert read_labels(file.parent, [], put(file, [task("a.jpg", ["x"])])).format == "an export of Label Studio"
    assert read_labels(file.parent, [], put(file, {"a": ["x"]})).format == "an object of labels (JSON)"
    assert read_labels(file.parent, [], put(file, [{"image": "a", "label": "x"}])).format == "a list of records (JSON)"
    with pytest.raises(InvalidInput, match="no COCO annotations"):
        read_labels(file.parent, [], file, How("coco"))
    with pytest.raises(InvalidInput, match="its suffix doesn't say what it is"):
        read_labels(file.parent, [], file.rename(file.with_suffix(".labels")))
    with pytest.raises(InvalidInput, match="--format csv: the file is missing"):
        read_labels(file.parent, [], None, How("csv"))
    with pytest.raises(InvalidInput, match=r"absent\.json: no such file"):
        read_labels(file.parent, [], file.with_name("absent.json"))
    with pytest.raises(InvalidInput, match=r"--labels: .* is a folder; .* a file of labels \(") as error:
        read_labels(file.parent, [], file.parent)
    assert "--labels FILE" in (error.value.hint or "")
    with pytest.raises(InvalidInput, match="--format folders: no label file is read for it"):
        read_labels(file.parent, [], file.with_suffix(".labels"), How("folders"))


@pytest.mark.parametrize("key", ["data", "items", "Images"])
def test_records_in_a_key_of_an_object(file: Path, key: str) -> None:
    records = [{"image": "a.jpg", "labels": ["cat"]}, {"image": "b.jpg", "labels": []}]
    labels = read_labels(file.parent, [], put(file, {"version": 1, key: records}))
    assert found(labels) == {"a": ("cat",), "b": ()} or found(labels) == {"a.jpg": ("cat",), "b.jpg": ()}
    assert ("records read from a key of the file", f"{key} (not used: version)") in labels.notes
    with pytest.raises(InvalidInput, match="several keys hold lists of records: train, val"):
        read_labels(file.parent, [], put(file, {"train": records, "val": records}))


def test_files_per_class_are_refused_with_a_hint(file: Path) -> None:
    with pytest.raises(InvalidInput, match="name no images, and their values do") as caught:
        read_labels(file.parent, [], put(file, {"cat": ["a.jpg"], "dog": ["x/b.png"], "bird": []}))
    assert "Turn it round" in str(caught.value.hint)
