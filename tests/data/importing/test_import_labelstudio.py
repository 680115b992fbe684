"""Label Studio's exports: which control holds the labels, which key the image, and whose answers count."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsss.data.importers.formats.labelstudio_labels import OF_A_MODEL, SEVERAL
from wsss.data.importers.importer_registry import How, read_labels
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.readers.label_rules import Rules
from wsss.errors import InvalidInput

Answers = dict[str, list[str]]
"""Control → what was chosen in it."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "export.json"


def result(control: str, names: list[str], *, kind: str = "choices", to: str = "image", **more: Any) -> dict[str, Any]:
    box = {} if kind == "choices" else {"x": 1, "y": 2, "width": 3, "height": 4}
    return {"from_name": control, "to_name": to, "type": kind, "value": {**box, kind: names}, **more}


def tasks(*answers: Answers, data: dict[str, str] | None = None, kind: str = "choices") -> list[dict[str, Any]]:
    return [
        {
            "data": {key: value.format(number) for key, value in (data or {"image": "i{}.jpg"}).items()},
            "annotations": [{"result": [result(control, names, kind=kind) for control, names in answer.items()]}],
        }
        for number, answer in enumerate(answers)
    ]


def full(file: Path, *answers: Answers) -> Path:
    file.write_text(json.dumps(tasks(*answers)))
    return file


def flat(answers: tuple[Answers, ...]) -> list[dict[str, Any]]:
    shown = {"annotator": 1, "annotation_id": 3, "lead_time": 1.5}
    return [
        {"image": f"i{number}.jpg", **shown, **{c: {"choices": names} for c, names in answer.items()}}
        for number, answer in enumerate(answers)
    ]


def short(file: Path, *answers: Answers) -> Path:
    file.write_text(json.dumps(flat(answers)))
    return file


def table(file: Path, *answers: Answers) -> Path:
    file = file.with_suffix(".csv")
    rows = [{k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in flat(answers)]
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, sorted({key for row in rows for key in row}))
        writer.writeheader()
        writer.writerows(rows)
    return file


def read(path: Path, **how: Any) -> Labels:
    return read_labels(path.parent, [], path, How(**how))


def found(labels: Labels) -> dict[str, tuple[str, ...] | None]:
    return {entry.image: entry.labels for entry in labels.entries}


def notes(labels: Labels) -> dict[str, list[str]]:
    return {kind: [message for k, message in labels.notes if k == kind] for kind, _ in labels.notes}


WRITERS = (full, short, table)
TWO = ({"animal": ["car"], "quality": ["sharp"]}, {"animal": ["cat"], "quality": ["blurry"]})


@pytest.mark.parametrize("write", WRITERS)
def test_the_control_that_is_named_is_read(write: Callable[..., Path], file: Path) -> None:
    path = write(file, *TWO)
    assert read(path, label_key="animal").classes == ("car", "cat")
    assert found(read(path, label_key="quality")) == {"i0.jpg": ("sharp",), "i1.jpg": ("blurry",)}
    both = read(path, label_key="animal, quality")
    assert found(both) == {"i0.jpg": ("car", "sharp"), "i1.jpg": ("cat", "blurry")}


@pytest.mark.parametrize("write", WRITERS)
def test_controls_are_never_mixed_silently(write: Callable[..., Path], file: Path) -> None:
    with pytest.raises(InvalidInput, match=r"several (controls|keys) may hold the labels: animal, quality") as error:
        read(write(file, *TWO))
    assert "--label-key" in (error.value.hint or "")
    with pytest.raises(InvalidInput, match=r"--label-key animl: .*animal.*did you mean 'animal'"):
        read(write(file, *TWO), label_key="animl")


@pytest.mark.parametrize("write", WRITERS)
def test_a_control_of_the_usual_name_is_taken_and_noted(write: Callable[..., Path], file: Path) -> None:
    labels = read(write(file, {"quality": ["sharp"], "choice": ["car"]}, {"quality": ["sharp"], "choice": ["cat"]}))
    assert labels.classes == ("car", "cat")
    said = [message for kind, found in notes(labels).items() if "--label-key" in kind for message in found]
    assert said == ["choice, not quality"]


def test_labels_of_boxes_are_read_where_there_are_no_choices(file: Path) -> None:
    for kind in ("rectanglelabels", "polygonlabels", "brushlabels", "keypointlabels", "ellipselabels"):
        file.write_text(json.dumps(tasks({"tag": ["dent", "crack"]}, {"tag": ["dent"]}, {}, kind=kind)))
        labels = read(file)
        assert found(labels) == {"i0.jpg": ("dent", "crack"), "i1.jpg": ("dent",), "i2.jpg": ()}
        assert notes(labels)["labels of boxes and regions, read as: the class is in the image"] == ["tag"]


def test_choices_count_more_than_boxes(file: Path) -> None:
    content = tasks({"kind": ["car"]}, {"kind": ["cat"]})
    content[0]["annotations"][0]["result"].append(result("box", ["wheel"], kind="rectanglelabels"))
    file.write_text(json.dumps(content))
    assert read(file).classes == ("car", "cat")
    assert notes(read(file))[SEVERAL] == ["kind, not box"]
    assert found(read(file, label_key="box")) == {"i0.jpg": ("wheel",), "i1.jpg": ()}


def test_boxes_in_the_short_exports(file: Path) -> None:
    regions = [{"x": 1, "y": 1, "rectanglelabels": ["dent"]}, {"x": 5, "y": 1}]
    shown = {"annotator": 1, "annotation_id": 3}
    file.write_text(json.dumps([{"image": "a.jpg", "tag": regions, **shown}, {"image": "b.jpg", **shown}]))
    assert found(read(file)) == {"a.jpg": ("dent",), "b.jpg": ()}
    path = file.with_suffix(".csv")
    cell = json.dumps(regions).replace('"', '""')
    path.write_text(f'annotation_id,annotator,image,tag\n3,1,a.jpg,"{cell}"\n4,1,b.jpg,\n')
    assert found(read(path)) == {"a.jpg": ("dent",), "b.jpg": ()}


@pytest.mark.parametrize(
    ("data", "key", "noted"),
    [
        ({"previous": "p{}.jpg", "image": "/data/upload/1/0123abcd-i{}.jpg"}, "image", True),
        ({"previous": "p{}.jpg", "photo": "i{}.jpg", "text": "hello"}, "photo", True),
        ({"url": "s3://bucket/i{}.jpg", "text": "hello"}, "url", True),
        ({"note": "a", "image": "/data/local-files/?d=i{}.jpg"}, "image", False),
        ({"image": "https://host.example/by-id/{}"}, "image", False),
    ],
)
def test_the_key_of_the_image(data: dict[str, str], key: str, noted: bool, file: Path) -> None:
    file.write_text(json.dumps(tasks({"choice": ["car"]}, {"choice": ["cat"]}, data=data)))
    labels = read(file)
    assert found(labels) == {data[key].format(0): ("car",), data[key].format(1): ("cat",)}
    assert [kind for kind in notes(labels) if "--image-key" in kind] != [] if noted else True
    for other in data:
        assert set(found(read(file, image_key=other))) == {data[other].format(number) for number in range(2)}


def test_several_keys_of_images_are_refused_unless_one_is_meant(file: Path) -> None:
    data = {"before": "b{}.jpg", "after": "a{}.jpg"}
    content = tasks({"choice": ["car"]}, {"choice": ["cat"]}, data=data)
    file.write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match="several keys may name the image: before, after") as error:
        read(file)
    assert "--image-key" in (error.value.hint or "")
    with pytest.raises(InvalidInput, match="--image-key aftr: there is no such key; found before, after; did you mean"):
        read(file, image_key="aftr")
    assert list(found(read(file, image_key="before"))) == ["b0.jpg", "b1.jpg"]
    for task in content:
        task["annotations"][0]["result"][0]["to_name"] = "after"
    file.write_text(json.dumps(content))
    assert list(found(read(file))) == ["a0.jpg", "a1.jpg"], "the results refer to it"


@pytest.mark.parametrize("write", [short, table])
def test_the_key_of_the_image_in_the_short_exports(write: Callable[..., Path], file: Path) -> None:
    path = write(file, {"choice": ["car"]}, {"choice": ["cat"]})
    if path.suffix == ".json":
        path.write_text(path.read_text().replace('"image": "i', '"before": "o.jpg", "image": "i'))
    else:
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([f"before,{header}", *(f"o.jpg,{row}" for row in rows)]))
    labels = read(path)
    assert found(labels) == {"i0.jpg": ("car",), "i1.jpg": ("cat",)}
    kind = "image read from one of several keys (--image-key NAME reads another)"
    assert notes(labels)[kind] == ["image, not before"]
    assert found(read(path, image_key="before")) == {"o.jpg": ("car", "cat")}


def predicted(*names: str, score: float | None = None, done: Answers | None = None) -> dict[str, Any]:
    more = {} if score is None else {"score": score}
    [task] = tasks(done) if done is not None else [{"data": {"image": "i0.jpg"}, "annotations": []}]
    return {**task, "predictions": [{"result": [result("choice", [name], **more) for name in names]}]}


def numbered(*content: dict[str, Any]) -> str:
    return json.dumps([{**task, "data": {"image": f"i{number}.jpg"}} for number, task in enumerate(content)])


def test_predictions_alone_are_named(file: Path) -> None:
    file.write_text(numbered(predicted("cat"), predicted("dog")))
    with pytest.raises(InvalidInput, match="2 tasks have predictions and no annotation") as error:
        read(file)
    assert "--use-predictions" in (error.value.hint or "")
    assert found(read(file, use_predictions=True)) == {"i0.jpg": ("cat",), "i1.jpg": ("dog",)}


def test_an_import_file_without_annotations_is_one_of_predictions(file: Path) -> None:
    content = json.loads(numbered(predicted("cat"), predicted("dog")))
    for task in content:
        del task["annotations"]
    file.write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match="2 tasks have predictions and no annotation"):
        read(file)


def test_predictions_beside_annotations_are_left_out_unless_asked_for(file: Path) -> None:
    file.write_text(numbered(predicted("cat", done={"choice": ["car"]}), predicted("dog")))
    labels = read(file)
    assert found(labels) == {"i0.jpg": ("car",)}
    kind = "tasks with predictions and no annotation, left unlabelled (--use-predictions reads them)"
    assert notes(labels)[kind] == ["i1.jpg"]
    assert found(read(file, use_predictions=True)) == {"i0.jpg": ("car",), "i1.jpg": ("dog",)}
    file.write_text(numbered(predicted("cat", done={"choice": ["car"]})))
    with pytest.raises(InvalidInput, match="--use-predictions: no task without annotation has predictions"):
        read(file, use_predictions=True)


def test_scores_of_predictions_are_soft_labels(file: Path) -> None:
    file.write_text(numbered(predicted("cat", score=0.9), predicted("cat", score=0.5), predicted("cat", score=0.1)))
    with pytest.raises(
        InvalidInput, match=r"\[0\].predictions\[0\].result\[0\].value.choices: found 0.9, a soft label"
    ):
        read(file, use_predictions=True)
    labels = read(file, use_predictions=True, rules=Rules(soft=(0.3, 0.7)))
    kinds = [kind for kind, _ in labels.notes]
    assert OF_A_MODEL in kinds and "labels between 0 and 1, decided by --soft-threshold" in kinds
    assert found(labels) == {"i0.jpg": ("cat",), "i1.jpg": None, "i2.jpg": ()}


def test_there_are_no_predictions_in_the_short_exports(file: Path) -> None:
    for write in (short, table):
        path = write(file, {"choice": ["car"]})
        with pytest.raises(InvalidInput, match="--use-predictions"):
            read(path, use_predictions=True)
        with pytest.raises(InvalidInput, match="--use-predictions: exports as JSON-MIN and CSV have no predictions"):
            read(path, use_predictions=True, format="label-studio")
