"""Labels of yes and no, numbers and decimal commas: the same in every format, noted, and optional."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import labelfiles
import numpy as np
import pytest

from wsss.data.importers.importer_registry import NUMBERS, read_labels
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.read_context import DECIMAL_COMMAS, ReadOptions
from wsss.data.readers.label_rules import Rules, number_in, parse_soft
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png

Write = Callable[[Path, dict[str, object]], Path]
NO_NEGATIVES = ReadOptions(rules=Rules(negative=()))


def read(path: Path, how: ReadOptions | None = None) -> dict[str, tuple[str, ...] | None]:
    return {entry.image: entry.labels for entry in read_labels(path.parent, [], path, how).entries}


def notes(path: Path, how: ReadOptions | None = None) -> str:
    return "\n".join(f"{kind}: {text}" for kind, text in read_labels(path.parent, [], path, how).notes)


def table(folder: Path, labels: dict[str, object]) -> Path:
    return put(folder / "l.csv", "image,label\n" + "".join(f"{image},{label}\n" for image, label in labels.items()))


def records(folder: Path, labels: dict[str, object]) -> Path:
    return put(folder / "l.json", json.dumps([{"image": image, "label": label} for image, label in labels.items()]))


def lines(folder: Path, labels: dict[str, object]) -> Path:
    rows = (json.dumps({"image": image, "label": label}) for image, label in labels.items())
    return put(folder / "l.jsonl", "\n".join(rows))


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


KEYED = (table, records, lines)


@pytest.mark.parametrize("write", KEYED)
@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("no", "yes"), ("False", "True"), ("n", "y"), ("N", "Y")])
def test_a_column_of_yes_and_no_is_one_class(tmp_path: Path, write: Write, no: str, yes: str) -> None:
    path = write(tmp_path, {"a.jpg": yes, "b.jpg": no, "c.jpg": yes})
    assert read(path) == {"a.jpg": ("label",), "b.jpg": (), "c.jpg": ("label",)}
    assert "read as one class (--label-key label:" in notes(path)
    for how in (ReadOptions(label_key="label"), NO_NEGATIVES):
        assert read(path, how) == {"a.jpg": (yes,), "b.jpg": (no,), "c.jpg": (yes,)}


@pytest.mark.parametrize("write", [records, lines])
def test_numbers_and_flags_of_json(tmp_path: Path, write: Write) -> None:
    for no, yes in ((0, 1), (False, True), (0.0, 1.0)):
        path = write(tmp_path, {"a.jpg": yes, "b.jpg": no})
        assert read(path) == {"a.jpg": ("label",), "b.jpg": ()}
    path = write(tmp_path, {"a.jpg": 0, "b.jpg": 1, "c.jpg": 2})
    assert read(path) == {"a.jpg": ("0",), "b.jpg": ("1",), "c.jpg": ("2",)} and NUMBERS in notes(path)
    path = write(tmp_path, {"a.jpg": [0, 2], "b.jpg": []})
    assert read(path) == {"a.jpg": ("0", "2"), "b.jpg": ()}
    assert read(path, ReadOptions(rules=Rules(negative=("0",))))["a.jpg"] == ("2",)


@pytest.mark.parametrize("key", ["defect", "cat"])
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_named_column_of_yes_and_no_is_its_class(tmp_path: Path, key: str, suffix: str) -> None:
    rows = {"a.jpg": "true", "b.jpg": "false"}
    text = (
        f"image,{key},made\n" + "".join(f"{image},{flag},x\n" for image, flag in rows.items())
        if suffix == "csv"
        else json.dumps([{"image": image, key: flag, "made": "x"} for image, flag in rows.items()])
    )
    path = put(tmp_path / f"l.{suffix}", text)
    assert read(path, ReadOptions(label_key=key)) == {"a.jpg": (key,), "b.jpg": ()}
    assert read(path, ReadOptions(label_key=key, rules=Rules(negative=()))) == {"a.jpg": ("true",), "b.jpg": ("false",)}


@pytest.mark.parametrize(
    "kind", ["label_studio", "label_studio_min", "label_studio_csv", "cvat", "coco", "json_object"]
)
@pytest.mark.parametrize(("no", "yes"), [("no", "yes"), ("false", "true"), ("n", "y")])
def test_choices_of_yes_and_no(tmp_path: Path, kind: str, no: str, yes: str) -> None:
    path = labelfiles.WRITERS[kind](tmp_path / "l", {"a.jpg": (yes,), "b.jpg": (no,)})
    assert set(read(path).values()) == {(yes,), ()} and "--no-negatives" in notes(path)
    assert set(read(path, NO_NEGATIVES).values()) == {(yes,), (no,)}


def test_0_and_1_beside_boxes_are_class_ids(tmp_path: Path) -> None:
    path = put(tmp_path / "l.csv", "image,label,xmin\na.jpg,0,3\nb.jpg,1,4\n")
    assert read(path) == {"a.jpg": ("0",), "b.jpg": ("1",)}
    path = put(tmp_path / "l.json", json.dumps([{"image": i, "label": n, "xmin": 3} for n, i in enumerate("ab")]))
    assert read(path) == {"a": ("0",), "b": ("1",)}


def test_an_object_of_flags(tmp_path: Path) -> None:
    for no, yes in (("0", "1"), (0, 1), (False, True)):
        path = put(tmp_path / "l.json", json.dumps({"a.jpg": yes, "b.jpg": no}))
        name = str(yes).lower()
        assert read(path) == {"a.jpg": (name,), "b.jpg": ()} and "--no-negatives" in notes(path)


def test_numbers_with_a_decimal_comma() -> None:
    assert [number_in(text) for text in ("0,8", "0.8", "1,0", " 0,25 ", "-1,0")] == [0.8, 0.8, 1.0, 0.25, -1.0]
    assert [number_in(text) for text in ("cat", "0,8,1", "a,8", "", "0, 8")] == [None] * 5


def test_decimal_commas_are_soft_labels(tmp_path: Path) -> None:
    rows = {"a.jpg": ("0,9", "0,0"), "b.jpg": ("0,2", "1,0")}
    wide = put(tmp_path / "w.csv", "image;cat;dog\n" + "".join(f"{i};{c};{d}\n" for i, (c, d) in rows.items()))
    one = put(tmp_path / "o.csv", "image;label\na.jpg;0,9\nb.jpg;0,2\n")
    rated = put(tmp_path / "r.csv", "image;label;confidence\na.jpg;cat;0,9\nb.jpg;cat;0,2\n")
    flags = put(tmp_path / "f.json", json.dumps({i: {"cat": c, "dog": d} for i, (c, d) in rows.items()}))
    quoted = put(tmp_path / "q.csv", 'image,cat,dog\na.jpg,"0,9",0\nb.jpg,"0,2",1\n')
    for path in (wide, one, rated, flags, quoted):
        with pytest.raises(InvalidInput) as error:
            read(path)
        assert "--soft-threshold" in str(error.value.hint), path
        soft = ReadOptions(rules=Rules(soft=parse_soft("0.5")))
        assert read(path, soft)["a.jpg"] == (("label",) if path == one else ("cat",))
        assert DECIMAL_COMMAS in notes(path, soft)
    lists = put(tmp_path / "l.csv", 'image,labels\na.jpg,"0,3"\nb.jpg,"1,2"\n')
    assert read(lists) == {"a.jpg": ("0", "3"), "b.jpg": ("1", "2")}


def test_confidences_out_of_range_are_noted(tmp_path: Path) -> None:
    path = put(tmp_path / "l.csv", "image,label,confidence\na.jpg,cat,80\nb.jpg,dog,0\n")
    assert "confidence, for example '80'" in notes(path)


def test_a_column_that_sounds_like_labels_in_json(tmp_path: Path) -> None:
    path = put(tmp_path / "l.json", json.dumps([{"image": "a.jpg", "Finding Labels": "mass"}]))
    assert read(path) == {"a.jpg": ("mass",)} and "--label-key NAME" in notes(path)


@pytest.mark.parametrize(("delimiter", "inner"), [(",", "|"), (";", "|"), ("|", ";"), ("\t", "|")])
def test_the_hint_for_several_labels_fits_the_delimiter(tmp_path: Path, delimiter: str, inner: str) -> None:
    rows = (("image", "labels"), ("a.jpg", "cat"), ("b.jpg", "cat", "dog"))
    path = put(tmp_path / "l.csv", "\n".join(map(delimiter.join, rows)) + "\n")
    with pytest.raises(InvalidInput) as error:
        read(path)
    assert f"(cat{inner}dog)" in str(error.value.hint) and repr(delimiter) in str(error.value.hint)
    fixed = put(path, path.read_text().replace(f"cat{delimiter}dog", f"cat{inner}dog"))
    assert read(fixed)["b.jpg"] == ("cat", "dog")


def test_the_error_names_the_column_of_the_images(tmp_path: Path) -> None:
    for header, row in (("Bild,Befund", "a.jpg,Riss"), ("Befund,Bild", "Riss,a.jpg")):
        path = put(tmp_path / "l.csv", f"{header}\n{row}\n")
        with pytest.raises(InvalidInput) as error:
            read(path)
        assert "Bild" in error.value.problem and error.value.found == header.split(",")
        assert str(error.value.hint).endswith("--label-key Befund")


def coco(folder: Path, **changes: object) -> Path:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "categories": [
            {"id": 0, "name": "Background", "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": "animal"},
            {"id": 255, "name": "ignore", "supercategory": "animal"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1},
            {"id": 2, "image_id": 2, "category_id": 255, "iscrowd": 1},
            {"id": 3, "image_id": 2, "category_id": 0},
        ],
    }
    return put(folder / "c.json", json.dumps({**content, **changes}))


def labels_of(path: Path, how: ReadOptions | None = None) -> Labels:
    return read_labels(path.parent, [], path, how)


@pytest.mark.parametrize("key", [None, "name", "supercategory"])
def test_background_and_ignored_categories_under_any_key(tmp_path: Path, key: str | None) -> None:
    labels = labels_of(coco(tmp_path), ReadOptions(label_key=key))
    assert labels.classes == (("animal",) if key == "supercategory" else ("cat",))
    assert [entry.labels for entry in labels.entries][1] == ()
    kinds = "\n".join(kind for kind, _ in labels.notes)
    assert "background" in kinds and "categories of ignored pixels, left out" in kinds


@pytest.mark.parametrize(("key", "plural"), [("image_id", "images"), ("category_id", "categories")])
def test_dangling_annotations_are_counted(tmp_path: Path, key: str, plural: str) -> None:
    good = {"id": 1, "image_id": 1, "category_id": 1}
    with pytest.raises(InvalidInput) as error:
        labels_of(coco(tmp_path, annotations=[good, {**good, key: 77}, {**good, key: 78}, good]))
    assert error.value.subject == f"{tmp_path / 'c.json'}: annotations[1].{key}"
    assert "77" in error.value.problem and "2 of 4 annotations" in error.value.problem
    assert plural in str(error.value.hint)


def test_classes_of_yes_and_no_in_a_dataset_are_noted(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in "ab":
        write_png(tmp_path / "images" / f"{name}.png", np.zeros((4, 4, 3), np.uint8))
    put(tmp_path / "labels.csv", "image_id,labels\na,no\nb,yes\n")
    lines: list[str] = []
    config = {"layout": "folder", "root": str(tmp_path)}
    assert open_dataset(config, work=tmp_path, log=lines.append).classes.foreground == ("no", "yes")
    assert any("data.negative: ['no'] to read 'no' as no class" in line for line in lines)
    lines.clear()
    assert open_dataset({**config, "negative": ["no"]}, work=tmp_path, log=lines.append).classes.foreground == ("yes",)
    assert not any("the classes are" in line for line in lines)


def test_words_ignore_case(tmp_path: Path) -> None:
    path = put(tmp_path / "l.json", json.dumps({"a.jpg": "No", "b.jpg": "no", "c.jpg": "Yes"}))
    assert read(path) == {"a.jpg": (), "b.jpg": (), "c.jpg": ("Yes",)}


STATEMENTS = [
    *((name, "1", "0") for name in ("present", "presence", "exists", "value", "Is Present")),
    *(
        ("is_present", "True", "False"),
        ("answer", "y", "n"),
        ("state", "present", "absent"),
        ("polarity", "pos", "neg"),
    ),
    *(("value", "yes", "no"), ("negated", "0", "1"), ("absent", "false", "true"), ("present", "x", "")),
]


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "objects"])
@pytest.mark.parametrize(("name", "yes", "no"), STATEMENTS)
def test_a_column_of_presence_beside_the_labels(tmp_path: Path, form: str, name: str, yes: str, no: str) -> None:
    rows = [("a.jpg", "cat", yes), ("a.jpg", "dog", no), ("b.jpg", "cat", no), ("c.jpg", "dog", yes)]
    records = [{"image": image, "label": label, name: flag} for image, label, flag in rows]
    if form == "csv":
        text = f"image,label,{name}\n" + "".join(f"{','.join(row)}\n" for row in rows)
        path = put(tmp_path / "l.csv", text)
    elif form == "objects":
        images = dict.fromkeys(row[0] for row in rows)
        listed = [
            {"image": image, "labels": [{"label": w, name: f} for i, w, f in rows if i == image]} for image in images
        ]
        path = put(tmp_path / "l.json", json.dumps(listed))
    else:
        text = json.dumps(records) if form == "json" else "\n".join(map(json.dumps, records))
        path = put(tmp_path / f"l.{form}", text)
    assert read(path) == {"a.jpg": ("cat",), "b.jpg": (), "c.jpg": ("dog",)}
    assert f"the label's class is {'absent' if name in ('negated', 'absent') else 'present'}" in notes(path)


def test_flags_of_json_beside_a_label(tmp_path: Path) -> None:
    flags = [{"image": f"{at}.jpg", "label": "cat", "present": bool(at)} for at in range(2)]
    assert read(put(tmp_path / "l.json", json.dumps(flags))) == {"0.jpg": (), "1.jpg": ("cat",)}


def test_records_without_presence_are_noted(tmp_path: Path) -> None:
    flags = ({"image": f"{at}.jpg", "label": "cat", "present": at} for at in (0, 1))
    path = put(tmp_path / "l.json", json.dumps([{"image": "a.jpg", "label": "cat"}, *flags]))
    assert read(path) == {"a.jpg": ("cat",), "0.jpg": (), "1.jpg": ("cat",)}
    assert "records without 'present'" in notes(path)


def test_an_unclear_column_of_0_and_1_beside_the_labels_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "l.csv", "image,label,Annotation\na.jpg,cat,0\nb.jpg,cat,1\n")
    with pytest.raises(InvalidInput) as error:
        read(path)
    assert "--label-key label" in str(error.value.hint)
    assert read(path, ReadOptions(label_key="label")) == {"a.jpg": ("cat",), "b.jpg": ("cat",)}
    bare = put(tmp_path / "bare.csv", "a.jpg,cat,0\nb.jpg,cat,1\n")
    with pytest.raises(InvalidInput) as error:
        read(bare)
    assert "image,label,present" in str(error.value.hint)


def test_columns_of_attributes_and_of_classes_beside_the_labels_are_left_out(tmp_path: Path) -> None:
    path = put(tmp_path / "l.csv", "image,label,difficult,cat,dog\na.jpg,cat,0,1,0\nb.jpg,dog,1,0,1\n")
    assert read(path) == {"a.jpg": ("cat",), "b.jpg": ("dog",)}
    assert "difficult" in notes(path)


def test_two_columns_of_presence_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "l.csv", "image,label,present,negated\na.jpg,cat,0,1\nb.jpg,cat,1,0\n")
    with pytest.raises(InvalidInput) as error:
        read(path)
    assert error.value.found == ["present", "negated"]
