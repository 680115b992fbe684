"""JSON Lines, CVAT's XML, variants of COCO, and unsupported files of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from labelfiles import by_image, by_kind, noted, read

from wsss.data.importers.importer_registry import read_labels
from wsss.data.importers.rules.read_context import EMPTY_IMAGES
from wsss.data.readers.label_rules import Rules
from wsss.errors import InvalidInput


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


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"file_name": "a", "label": "cat"}\n\n{"file_name": "b"}\n', 3),
        ('{"file_name": "a", "label": "cat"}\n{"file_name": \n', 2),
        ('{"file_name": "a", "label": "cat"}\n{"file_name": "b", "file_name": "c"}\n', 2),
        ("[1]\n", 1),
    ],
)
def test_mistakes_in_json_lines_are_reported_with_the_line(text: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises(InvalidInput) as error:
        read(tmp_path / "m.jsonl")
    assert error.value.subject == f"{tmp_path / 'm.jsonl'}:{line}"


def test_hints_for_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"file_name": "a", "text": "a cat"}\n')
    with pytest.raises(InvalidInput) as error:
        read(path)
    assert "--label-key" in (error.value.hint or "") and by_image(read(path, label_key="text")) == {"a": ("a cat",)}
    path = path.rename(tmp_path / "m.json")
    path.write_text('{"image": "a", "label": "cat"}\n{"image": "b", "label": "dog"}\n')
    with pytest.raises(InvalidInput) as error:
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
    assert by_image(labels) == {"sub/a.jpg": ("wet", "cat"), "b b.jpg": ("dog",), "c.jpg": ("cat",), "d.jpg": ()}
    assert labels.classes == ("dog", "cat", "bird", "wet"), "in the task's order"
    assert [entry.split for entry in labels.entries] == ["train", "train", "val", "val"]
    assert labels.entries[2].unknown == ("dog",)
    assert ["box", "polygon", "mask", "points"] in by_kind(labels.notes).values()
    assert len(by_kind(labels.notes)[EMPTY_IMAGES]) == 1
    assert by_image(read(tmp_path / "annotations.xml", rules=Rules(unknown=("empty",))))["d.jpg"] is None


def test_undeclared_labels(tmp_path: Path) -> None:
    images = '<image name="a"><tag label="dog"/></image><image name="b"><tag label="cat"/></image>'
    assert read(cvat(tmp_path / "a.xml", images, "cat")).classes == ("cat", "dog")
    assert set(read(cvat(tmp_path / "a.xml", images, meta="")).classes) == {"cat", "dog"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotations><image><tag label='x'/></image></annotations>", "image[0]"),
        ("<annotations><image name='a'><tag label=''/></image></annotations>", "image[0]"),
        ("<annotations><track label='x'/></annotations>", "video"),
        ("<annotation><object><name>cat</name></object></annotation>", "PASCAL VOC"),
        ("<html></html>", "html"),
        ("<annotations>", "XML"),
        ("<annotations></annotations>", "CVAT"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "entity"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>', "entity"),
    ],
)
def test_invalid_xml(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InvalidInput) as error:
        read(tmp_path / "a.xml")
    assert error.value.message.startswith(str(tmp_path / "a.xml")) and words in error.value.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_an_entity_cannot_hide_in_another_encoding(encoding: str, tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>'
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    with pytest.raises(InvalidInput) as error:
        read(tmp_path / "a.xml")
    assert "UTF-8" in error.value.message


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
    assert by_image(labels) == dict(zip(NAMES, [("dog",), ("cat", "dog"), ()], strict=True))
    assert labels.classes == ("person", "cat", "dog", "toothbrush")
    assert [text.split(" ")[0] for text in by_kind(labels.notes)[EMPTY_IMAGES]] == [NAMES[2]]


def test_another_key_of_a_category_as_class(tmp_path: Path) -> None:
    labels = read(coco(tmp_path / "i.json"), label_key="supercategory")
    assert by_image(labels) == dict(zip(NAMES, [("animal",), ("animal",), ()], strict=True))
    assert noted(labels, "categories with the same name")
    with pytest.raises(InvalidInput) as error:
        read(tmp_path / "i.json", label_key="supercategori")
    assert error.value.found == "supercategori" and "supercategory" in (error.value.allowed or ())


def test_scores_of_annotations_are_soft_labels(tmp_path: Path) -> None:
    scores = ((9, 18, 0.9), (9, 17, 0.1), (4, 17, 0.2), (4, 17, 0.8), (5, 18, 0.5))
    scored = [{"id": n, "image_id": i, "category_id": c, "score": s} for n, (i, c, s) in enumerate(scores)]
    coco(tmp_path / "i.json", annotations=scored)
    with pytest.raises(InvalidInput) as error:
        read(tmp_path / "i.json")
    assert error.value.found == 0.9 and error.value.hint
    labels = read(tmp_path / "i.json", rules=Rules(soft=(0.3, 0.7)))
    assert by_image(labels) == dict(zip(NAMES, [("dog",), ("cat",), ()], strict=True))
    assert [entry.unknown for entry in labels.entries] == [(), (), ("dog",)]
    scored[0]["score"] = "high"  # type: ignore[assignment]
    with pytest.raises(InvalidInput) as error:
        read(coco(tmp_path / "i.json", annotations=scored))
    assert error.value.subject == f"{tmp_path / 'i.json'}: annotations[0].score"


def test_panoptic_annotations(tmp_path: Path) -> None:
    segments = [{"id": 1, "category_id": 18, "iscrowd": 0}, {"id": 2, "category_id": 1, "iscrowd": 1}]
    annotations = [
        {"image_id": 9, "file_name": "9.png", "segments_info": segments},
        {"image_id": 4, "segments_info": []},
    ]
    assert by_image(read(coco(tmp_path / "p.json", annotations=annotations))) == dict(
        zip(NAMES, [("person", "dog"), (), ()], strict=True)
    )
    segments[1]["category_id"] = 3
    with pytest.raises(InvalidInput) as error:
        read(coco(tmp_path / "p.json", annotations=annotations))
    assert error.value.subject == f"{tmp_path / 'p.json'}: annotations[0].segments_info[1].category_id"


@pytest.mark.parametrize("missing", ["categories", "annotations"])
def test_other_files_of_coco_are_refused(missing: str, tmp_path: Path) -> None:
    content = json.loads(coco(tmp_path / "captions.json", info={}, licenses=[]).read_text())
    del content[missing]
    (tmp_path / "captions.json").write_text(json.dumps(content))
    with pytest.raises(InvalidInput) as error:
        read(tmp_path / "captions.json")
    assert "captions" in (error.value.hint or "")


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
        ("labels.dat", "x", "suffix"),
    ],
)
def test_unsupported_files(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput) as error:
        read(tmp_path / name)
    assert error.value.subject == f"--labels: {tmp_path / name}"
    assert error.value.hint and words in error.value.problem


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"1.xml": "<annotation/>", "2.xml": "<annotation/>"}, "PASCAL VOC"),
        ({"1.txt": "0 0.5 0.5 0.2 0.1\n", "classes.txt": "cat\n"}, "YOLO"),
        ({"1.json": "{}", "2.json": "{}"}, "LabelMe"),
        ({"labels.csv": "image,label\n"}, "the folder"),
    ],
)
def test_folders_of_label_files(files: dict[str, str], words: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, [], tmp_path)
    assert error.value.hint and words in (error.value.problem or str(error.value.found))


def test_a_table_in_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a.jpg,cat\nb.jpg,dog\n")
    assert by_image(read(tmp_path / "l.txt")) == {"a.jpg": ("cat",), "b.jpg": ("dog",)}
