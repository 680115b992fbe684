"""Label Studio's exports: the control of the labels, the key of the image, annotations and predictions."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labelfiles import by_image, by_kind, noted, read

from wsss.data.importers.formats.labelstudio_labels import ONLY_PREDICTED, PREDICTED, SEVERAL
from wsss.data.importers.formats.labelstudio_min import REGIONS
from wsss.data.readers.label_rules import Rules
from wsss.errors import InvalidInput

Answers = dict[str, list[str]]
"""Control → chosen names."""


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


WRITERS = (full, short, table)
TWO = ({"animal": ["car"], "quality": ["sharp"]}, {"animal": ["cat"], "quality": ["blurry"]})


@pytest.mark.parametrize("write", WRITERS)
def test_the_chosen_control_is_read(write: Callable[..., Path], file: Path) -> None:
    path = write(file, *TWO)
    assert read(path, label_key="animal").classes == ("car", "cat")
    assert by_image(read(path, label_key="quality")) == {"i0.jpg": ("sharp",), "i1.jpg": ("blurry",)}
    both = read(path, label_key="animal, quality")
    assert by_image(both) == {"i0.jpg": ("car", "sharp"), "i1.jpg": ("cat", "blurry")}


@pytest.mark.parametrize("write", WRITERS)
def test_controls_are_never_mixed_silently(write: Callable[..., Path], file: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        read(write(file, *TWO))
    assert error.value.found == ["animal", "quality"] and "--label-key" in (error.value.hint or "")
    with pytest.raises(InvalidInput) as error:
        read(write(file, *TWO), label_key="animl")
    assert error.value.found == "animl" and "animal" in (error.value.allowed or ())


@pytest.mark.parametrize("write", WRITERS)
def test_a_control_with_a_usual_name_is_read_and_noted(write: Callable[..., Path], file: Path) -> None:
    labels = read(write(file, {"quality": ["sharp"], "choice": ["car"]}, {"quality": ["sharp"], "choice": ["cat"]}))
    assert labels.classes == ("car", "cat")
    assert [message for kind, message in labels.notes if "--label-key" in kind] == ["choice, not quality"]


def test_labels_of_boxes_are_read_without_choices(file: Path) -> None:
    for kind in ("rectanglelabels", "polygonlabels", "brushlabels", "keypointlabels", "ellipselabels"):
        file.write_text(json.dumps(tasks({"tag": ["dent", "crack"]}, {"tag": ["dent"]}, {}, kind=kind)))
        labels = read(file)
        assert by_image(labels) == {"i0.jpg": ("dent", "crack"), "i1.jpg": ("dent",), "i2.jpg": ()}
        assert by_kind(labels.notes)[REGIONS] == ["tag"]


def test_choices_take_precedence_over_boxes(file: Path) -> None:
    content = tasks({"kind": ["car"]}, {"kind": ["cat"]})
    content[0]["annotations"][0]["result"].append(result("box", ["wheel"], kind="rectanglelabels"))
    file.write_text(json.dumps(content))
    assert read(file).classes == ("car", "cat")
    assert by_kind(read(file).notes)[SEVERAL] == ["kind, not box"]
    assert by_image(read(file, label_key="box")) == {"i0.jpg": ("wheel",), "i1.jpg": ()}


def test_boxes_in_the_short_exports(file: Path) -> None:
    regions = [{"x": 1, "y": 1, "rectanglelabels": ["dent"]}, {"x": 5, "y": 1}]
    shown = {"annotator": 1, "annotation_id": 3}
    file.write_text(json.dumps([{"image": "a.jpg", "tag": regions, **shown}, {"image": "b.jpg", **shown}]))
    assert by_image(read(file)) == {"a.jpg": ("dent",), "b.jpg": ()}
    path = file.with_suffix(".csv")
    cell = json.dumps(regions).replace('"', '""')
    path.write_text(f'annotation_id,annotator,image,tag\n3,1,a.jpg,"{cell}"\n4,1,b.jpg,\n')
    assert by_image(read(path)) == {"a.jpg": ("dent",), "b.jpg": ()}


@pytest.mark.parametrize(
    ("data", "key", "guessed"),
    [
        ({"previous": "p{}.jpg", "image": "/data/upload/1/0123abcd-i{}.jpg"}, "image", True),
        ({"previous": "p{}.jpg", "photo": "i{}.jpg", "text": "hello"}, "photo", True),
        ({"url": "s3://bucket/i{}.jpg", "text": "hello"}, "url", True),
        ({"note": "a", "image": "/data/local-files/?d=i{}.jpg"}, "image", False),
        ({"image": "https://host.example/by-id/{}"}, "image", False),
    ],
)
def test_the_key_of_the_image(data: dict[str, str], key: str, guessed: bool, file: Path) -> None:
    file.write_text(json.dumps(tasks({"choice": ["car"]}, {"choice": ["cat"]}, data=data)))
    labels = read(file)
    assert by_image(labels) == {data[key].format(0): ("car",), data[key].format(1): ("cat",)}
    assert noted(labels, "--image-key") == guessed
    for other in data:
        assert set(by_image(read(file, image_key=other))) == {data[other].format(number) for number in range(2)}


def test_the_key_of_the_image_must_be_unambiguous(file: Path) -> None:
    data = {"before": "b{}.jpg", "after": "a{}.jpg"}
    content = tasks({"choice": ["car"]}, {"choice": ["cat"]}, data=data)
    file.write_text(json.dumps(content))
    with pytest.raises(InvalidInput) as error:
        read(file)
    assert error.value.found == ["before", "after"] and "--image-key" in (error.value.hint or "")
    with pytest.raises(InvalidInput) as error:
        read(file, image_key="aftr")
    assert (error.value.found, error.value.allowed) == ("aftr", ("before", "after"))
    assert list(by_image(read(file, image_key="before"))) == ["b0.jpg", "b1.jpg"]
    for task in content:
        task["annotations"][0]["result"][0]["to_name"] = "after"
    file.write_text(json.dumps(content))
    assert list(by_image(read(file))) == ["a0.jpg", "a1.jpg"], "the results refer to it"


@pytest.mark.parametrize("write", [short, table])
def test_the_key_of_the_image_in_the_short_exports(write: Callable[..., Path], file: Path) -> None:
    path = write(file, {"choice": ["car"]}, {"choice": ["cat"]})
    if path.suffix == ".json":
        path.write_text(path.read_text().replace('"image": "i', '"before": "o.jpg", "image": "i'))
    else:
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([f"before,{header}", *(f"o.jpg,{row}" for row in rows)]))
    labels = read(path)
    assert by_image(labels) == {"i0.jpg": ("car",), "i1.jpg": ("cat",)}
    assert [message for kind, message in labels.notes if "--image-key" in kind] == ["image, not before"]
    assert by_image(read(path, image_key="before")) == {"o.jpg": ("car", "cat")}


def predicted(*names: str, score: float | None = None, done: Answers | None = None) -> dict[str, Any]:
    more = {} if score is None else {"score": score}
    [task] = tasks(done) if done is not None else [{"data": {"image": "i0.jpg"}, "annotations": []}]
    return {**task, "predictions": [{"result": [result("choice", [name], **more) for name in names]}]}


def numbered(*content: dict[str, Any]) -> str:
    return json.dumps([{**task, "data": {"image": f"i{number}.jpg"}} for number, task in enumerate(content)])


def test_predictions_alone_are_refused(file: Path) -> None:
    file.write_text(numbered(predicted("cat"), predicted("dog")))
    with pytest.raises(InvalidInput) as error:
        read(file)
    assert "--use-predictions" in (error.value.hint or "")
    assert by_image(read(file, use_predictions=True)) == {"i0.jpg": ("cat",), "i1.jpg": ("dog",)}
    file.write_text(file.read_text().replace('"annotations": [], ', ""))
    with pytest.raises(InvalidInput) as error:
        read(file)
    assert "--use-predictions" in (error.value.hint or "")


def test_predictions_beside_annotations_are_optional(file: Path) -> None:
    file.write_text(numbered(predicted("cat", done={"choice": ["car"]}), predicted("dog")))
    labels = read(file)
    assert by_image(labels) == {"i0.jpg": ("car",)}
    assert by_kind(labels.notes)[ONLY_PREDICTED] == ["i1.jpg"]
    assert by_image(read(file, use_predictions=True)) == {"i0.jpg": ("car",), "i1.jpg": ("dog",)}
    file.write_text(numbered(predicted("cat", done={"choice": ["car"]})))
    with pytest.raises(InvalidInput) as error:
        read(file, use_predictions=True)
    assert error.value.subject == f"{file}: --use-predictions"


def test_scores_of_predictions_are_soft_labels(file: Path) -> None:
    file.write_text(numbered(predicted("cat", score=0.9), predicted("cat", score=0.5), predicted("cat", score=0.1)))
    with pytest.raises(InvalidInput) as error:
        read(file, use_predictions=True)
    assert error.value.subject == f"{file}: [0].predictions[0].result[0].value.choices" and error.value.found == 0.9
    labels = read(file, use_predictions=True, rules=Rules(soft=(0.3, 0.7)))
    assert noted(labels, PREDICTED) and noted(labels, "--soft-threshold")
    assert by_image(labels) == {"i0.jpg": ("cat",), "i1.jpg": None, "i2.jpg": ()}


def test_the_short_exports_have_no_predictions(file: Path) -> None:
    for write in (short, table):
        path = write(file, {"choice": ["car"]})
        for format in ("auto", "label-studio"):
            with pytest.raises(InvalidInput) as error:
                read(path, use_predictions=True, format=format)
            assert str(error.value.subject).endswith("--use-predictions")
