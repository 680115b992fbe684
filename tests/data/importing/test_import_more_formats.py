"""JSON Lines, CVAT's XML, COCO's variants, and files of other programs that are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wsss.data.importers.importer_registry import How, read_labels
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.reading import EMPTY_IMAGES
from wsss.data.readers.label_rules import Rules
from wsss.errors import InvalidInput


def read(path: Path, **how: Any) -> Labels:
    return read_labels(path.parent, [], path, How(**how))


def found(labels: Labels) -> dict[str, tuple[str, ...] | None]:
    return {entry.image: entry.labels for entry in labels.entries}


def notes(labels: Labels) -> dict[str, list[str]]:
    return {kind: [message for k, message in labels.notes if k == kind] for kind, _ in labels.notes}


def lines(path: Path, *records: object) -> Path:
    path.write_text("".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["metadata.jsonl", "m.ndjson", "m.JSONL"])
@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([{"file_name": "a.jpg", "label": "cat"}, {"file_name": "b.jpg", "label": None}], [("cat",), ()]),
        ([{"file_name": "a", "labels": ["cat", "dog"]}, {"file_name": "b", "labels": []}], [("cat", "dog"), ()]),
        ([{"file_name": "a", "objects": {"bbox": [[1, 2, 3, 4]], "categories": ["cat"]}}], [("cat",)]),
        ([{"file_name": "a", "objects": {"category": []}}, {"file_name": "b", "objects": {"category": ["x"]}}],
         [(), ("x",)]),
        ([{"file_name": "a", "objects": [{"bbox": [1], "label": "cat"}, {"label": "dog"}]}], [("cat", "dog")]),
        ([{"image": "a", "cat": 1, "dog": 0}, {"image": "b", "cat": 0, "dog": 1}], [("cat",), ("dog",)]),
        ([{"file_name": "a\u2028", "label": "big"}, {"file_name": "b", "label": "cat"}], [("big",), ("cat",)]),
    ],
)  # fmt: skip
def test_a_record_per_line(name: str, records: list[Any], expected: list[tuple[str, ...]], tmp_path: Path) -> None:
    labels = read(lines(tmp_path / name, *records))
    assert [entry.labels for entry in labels.entries] == expected
    assert labels.format == "a record per line (JSON Lines)" or "cat" in records[0]


def test_records_per_line_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"file_name": "a", "label": "cat"}\n\n{"file_name": "b"}\n')
    with pytest.raises(InvalidInput, match=r"m\.jsonl:3: no key names the labels"):
        read(path)
    path.write_text('{"file_name": "a", "label": "cat"}\n{"file_name": \n')
    with pytest.raises(InvalidInput, match=r"m\.jsonl:2: not valid JSON"):
        read(path)
    path.write_text('{"file_name": "a", "label": "cat"}\n{"file_name": "b", "file_name": "c"}\n')
    with pytest.raises(InvalidInput, match=r"m\.jsonl:2: duplicate key 'file_name'"):
        read(path)
    path.write_text("[1]\n")
    with pytest.raises(InvalidInput, match=r"m\.jsonl:1: found a list; expected a record"):
        read(path)
    path.write_text('{"file_name": "a", "text": "a cat"}\n')
    with pytest.raises(InvalidInput, match=r"m\.jsonl:1: no key names the labels") as error:
        read(path)
    assert "--label-key" in (error.value.hint or "") and found(read(path, label_key="text")) == {"a": ("a cat",)}
    path = path.rename(tmp_path / "m.json")
    path.write_text('{"image": "a", "label": "cat"}\n{"image": "b", "label": "dog"}\n')
    with pytest.raises(InvalidInput, match="not valid JSON") as error:
        read(path)
    assert ".jsonl" in (error.value.hint or "")


META = "<version>1.1</version><meta><task><labels>{}</labels></task></meta>"


def cvat(path: Path, images: str, *labels: str, meta: str = META) -> Path:
    declared = "".join(f"<label><name>{label}</name></label>" for label in labels)
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{meta.format(declared)}{images}</annotations>'
    )
    return path


def test_cvat(tmp_path: Path) -> None:
    images = """
      <image id="0" name="sub/a.jpg" width="9" height="9" subset="Train"><tag label="wet"/>
        <box label="cat" xtl="1" ytl="1" xbr="2" ybr="2"><attribute name="label">x</attribute></box></image>
      <image id="1" name="b b.jpg" subset="Train"><polygon label="dog"/><polygon label="dog"/></image>
      <image id="2" name="c.jpg" subset="Validation"><mask label="cat"/><points label="?dog"/></image>
      <image id="3" name="d.jpg" subset="Validation"></image>"""
    labels = read(cvat(tmp_path / "annotations.xml", images, "dog", "cat", "bird", "wet"))
    assert found(labels) == {"sub/a.jpg": ("wet", "cat"), "b b.jpg": ("dog",), "c.jpg": ("cat",), "d.jpg": ()}
    assert labels.classes == ("dog", "cat", "bird", "wet"), "in the task's order"
    assert [entry.split for entry in labels.entries] == ["train", "train", "val", "val"]
    assert labels.entries[2].unknown == ("dog",)
    assert notes(labels)["shapes of other kinds than tags, read as: the class is in the image"] == [
        *("box", "polygon", "mask", "points")
    ]
    assert len(notes(labels)[EMPTY_IMAGES]) == 1
    assert found(read(tmp_path / "annotations.xml", rules=Rules(unknown=("empty",))))["d.jpg"] is None


def test_labels_that_the_task_does_not_declare(tmp_path: Path) -> None:
    images = '<image name="a"><tag label="dog"/></image><image name="b"><tag label="cat"/></image>'
    assert read(cvat(tmp_path / "a.xml", images, "cat")).classes == ("cat", "dog")
    assert set(read(cvat(tmp_path / "a.xml", images, meta="")).classes) == {"cat", "dog"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations><image><tag label='x'/></image></annotations>", r"image\[0\]: the attribute name is missing"),
        ("<annotations><image name='a'><tag label=''/></image></annotations>", r"image\[0\]: found ''; a class name"),
        ("<annotations><track label='x'/></annotations>", "CVAT for video"),
        ("<annotation><object><name>cat</name></object></annotation>", "PASCAL VOC"),
        ("<html></html>", "the root element is 'html'; expected annotations"),
        ("<annotations>", "not well-formed XML"),
        ("<annotations></annotations>", "The file holds no image"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "document type and entity declarations"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>', "document type and entity declarations"),
    ],
)
def test_xml_that_is_not_read(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InvalidInput, match=message) as error:
        read(tmp_path / "a.xml")
    assert str(tmp_path / "a.xml") in str(error.value)


def test_a_document_type_cannot_hide_in_another_encoding(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>'
    for encoding in ("utf-16", "utf-16-le"):
        (tmp_path / "a.xml").write_bytes(text.encode(encoding))
        with pytest.raises(InvalidInput, match=r"a\.xml: not UTF-8"):
            read(tmp_path / "a.xml")


def coco(path: Path, **more: Any) -> Path:
    content = {
        "images": [{"id": n, "file_name": f"train2014/COCO_{n:012d}.jpg"} for n in (9, 4, 5)],
        "categories": [
            {"id": 1, "name": "person", "supercategory": "person"},
            {"id": 17, "name": "cat", "supercategory": "animal"},
            {"id": 18, "name": "dog", "supercategory": "animal"},
            {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 18},
            {"id": 2, "image_id": 4, "category_id": 17},
            {"id": 3, "image_id": 4, "category_id": 18, "iscrowd": 1},
        ],
    } | more  # fmt: skip
    path.write_text(json.dumps(content))
    return path


NAMES = [f"train2014/COCO_{n:012d}.jpg" for n in (9, 4, 5)]


def test_coco_with_gaps_and_unused_categories(tmp_path: Path) -> None:
    labels = read(coco(tmp_path / "i.json"))
    assert found(labels) == dict(zip(NAMES, [("dog",), ("cat", "dog"), ()], strict=True))
    assert labels.classes == ("person", "cat", "dog", "toothbrush")
    assert [text.split(" ")[0] for text in notes(labels)[EMPTY_IMAGES]] == [NAMES[2]]


def test_another_key_of_a_category_can_be_the_class(tmp_path: Path) -> None:
    labels = read(coco(tmp_path / "i.json"), label_key="supercategory")
    assert found(labels) == dict(zip(NAMES, [("animal",), ("animal",), ()], strict=True))
    assert "categories of one name, joined" in notes(labels)
    with pytest.raises(
        InvalidInput, match=r"--label-key supercategori: there is no such key of a category; .*did you mean"
    ):
        read(tmp_path / "i.json", label_key="supercategori")


def test_scores_of_annotations_are_soft_labels(tmp_path: Path) -> None:
    scores = ((9, 18, 0.9), (9, 17, 0.1), (4, 17, 0.2), (4, 17, 0.8), (5, 18, 0.5))
    scored = [{"id": n, "image_id": i, "category_id": c, "score": s} for n, (i, c, s) in enumerate(scores)]
    coco(tmp_path / "i.json", annotations=scored)
    with pytest.raises(InvalidInput, match=r"annotations\[0\].score: found 0.9, a soft label"):
        read(tmp_path / "i.json")
    labels = read(tmp_path / "i.json", rules=Rules(soft=(0.3, 0.7)))
    assert found(labels) == dict(zip(NAMES, [("dog",), ("cat",), ()], strict=True))
    assert [entry.unknown for entry in labels.entries] == [(), (), ("dog",)]
    scored[0]["score"] = "high"  # type: ignore[assignment]
    with pytest.raises(InvalidInput, match=r"annotations\[0\].score: found a text; expected a number"):
        read(coco(tmp_path / "i.json", annotations=scored))


def test_panoptic_annotations(tmp_path: Path) -> None:
    segments = [{"id": 1, "category_id": 18, "iscrowd": 0}, {"id": 2, "category_id": 1, "iscrowd": 1}]
    annotations = [
        {"image_id": 9, "file_name": "9.png", "segments_info": segments},
        {"image_id": 4, "segments_info": []},
    ]
    assert found(read(coco(tmp_path / "p.json", annotations=annotations))) == dict(
        zip(NAMES, [("person", "dog"), (), ()], strict=True)
    )
    segments[1]["category_id"] = 3
    with pytest.raises(InvalidInput, match=r"annotations\[0\].segments_info\[1\].category_id: there is no category"):
        read(coco(tmp_path / "p.json", annotations=annotations))


@pytest.mark.parametrize(("left_out", "more"), [("categories", {}), ("annotations", {})])
def test_cocos_other_files_are_refused_by_name(left_out: str, more: dict[str, Any], tmp_path: Path) -> None:
    content = json.loads(coco(tmp_path / "captions.json", info={}, licenses=[], **more).read_text())
    del content[left_out]
    (tmp_path / "captions.json").write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match="no COCO annotations") as error:
        read(tmp_path / "captions.json")
    assert "captions" in (error.value.hint or "")


@pytest.mark.parametrize("name", ["Background", "_background_", "BACKGROUND_Google", "background"])
def test_the_background_is_no_category(name: str, tmp_path: Path) -> None:
    categories = [{"id": 0, "name": name}, {"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
    annotations = [{"image_id": 9, "category_id": 0}, {"image_id": 4, "category_id": 17}]
    labels = read(coco(tmp_path / "i.json", categories=categories, annotations=annotations))
    assert labels.classes == ("cat", "dog") and found(labels)[NAMES[0]] == ()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("data.yaml", "names: [cat]", "YAML"),
        ("labels.xlsx", "PK", "Excel"),
        ("train.parquet", "PAR1", "Parquet"),
        ("export.zip", "PK", "archive"),
        ("labels.pkl", "x", "pickle"),
        ("0001.txt", "0 0.5 0.5 0.2 0.1\n17 0.1 0.1 0.3 0.3\n", "YOLO"),
        ("0002.txt", "3 0.1 0.1 0.5 0.1 0.5 0.5\n", "YOLO"),
        ("labels.dat", "x", "its suffix doesn't say"),
    ],
)
def test_files_of_other_programs_are_refused_by_name(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=words) as error:
        read(tmp_path / name)
    assert error.value.hint and name in str(error.value)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"1.xml": "<annotation/>", "2.xml": "<annotation/>"}, "PASCAL VOC"),
        ({"1.txt": "0 0.5 0.5 0.2 0.1\n", "classes.txt": "cat\n"}, "YOLO"),
        ({"1.json": "{}", "2.json": "{}"}, "LabelMe"),
        ({"labels.csv": "image,label\n"}, "is a folder; expected is a file of labels"),
    ],
)
def test_folders_of_label_files_are_refused_by_name(files: dict[str, str], words: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=words) as error:
        read_labels(tmp_path, [], tmp_path)
    assert error.value.hint


def test_a_table_in_a_text_file_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a.jpg,cat\nb.jpg,dog\n")
    assert found(read(tmp_path / "l.txt")) == {"a.jpg": ("cat",), "b.jpg": ("dog",)}
