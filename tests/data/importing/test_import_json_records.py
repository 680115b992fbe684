"""Labels in lists of JSON records: JSON-MIN of Label Studio, and records with columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from labelfiles import by_image, put, read

from wsss.errors import InvalidInput

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
        ([record("a.jpg", parts=["leaf", {"choices": ["stem", "leaf"], "x": 1}])], {"a.jpg": ("leaf", "stem")}),
        ([record("a.jpg", animals="cat", split="train")], {"a.jpg": ("cat",)}),
        ([{"photo": f"{LOCAL}a.jpg", "id": 1, "animals": "cat"}], {f"{LOCAL}a.jpg": ("cat",)}),
        ([record("a.jpg", tags=[{"rectanglelabels": ["x"], "x": 1}, {"x": 3}])], {"a.jpg": ("x",)}),
    ],
)
def test_json_min(file: Path, records: list[Any], expected: dict[str, tuple[str, ...]]) -> None:
    for format in ("auto", "label-studio"):
        labels = read(put(file, records), format=format)
        assert by_image(labels) == expected
        assert labels.format == "an export of Label Studio"


def test_the_control_must_be_unambiguous(file: Path) -> None:
    guessed = read(put(file, [record("a.jpg", animals="cat")]))
    assert [message for kind, message in guessed.notes if "--label-key" in kind] == ["animals"]
    put(file, [record("a.jpg", animals="cat", weather="rain"), record("b.jpg", weather="sun")])
    with pytest.raises(InvalidInput) as error:
        read(file)
    assert error.value.found == ["animals", "weather"] and "--label-key" in (error.value.hint or "")
    chosen = read(file, label_key="weather")
    assert by_image(chosen) == {"a.jpg": ("rain",), "b.jpg": ("sun",)} and chosen.notes == ()
    with pytest.raises(InvalidInput) as error:
        read(file, label_key="wether")
    assert (error.value.found, error.value.allowed) == ("wether", ("image", "animals", "weather"))


def test_records_without_labels_show_no_class_only_in_label_studio(file: Path) -> None:
    put(file, [{"image": "a.jpg", "choice": "cat"}, {"image": "b.jpg"}])
    with pytest.raises(InvalidInput) as error:
        read(file)
    assert error.value.subject == f"{file}: [1]" and "--format label-studio" in (error.value.hint or "")
    assert by_image(read(file, format="label-studio")) == {"a.jpg": ("cat",), "b.jpg": ()}


def test_the_key_of_the_labels_in_plain_records(file: Path) -> None:
    put(file, [{"image": "a.jpg", "animal": ["cat"], "label": "x"}, {"image": "b.jpg", "animal": []}])
    assert by_image(read(file, label_key="animal")) == {"a.jpg": ("cat",), "b.jpg": ()}
    put(file, [{"image": "a.jpg", "animal": ["cat"]}])
    with pytest.raises(InvalidInput) as error:
        read(file)
    assert error.value.found == ["image", "animal"] and "--label-key" in (error.value.hint or "")


def test_the_key_of_the_image_in_plain_records(file: Path) -> None:
    put(
        file,
        [
            {"previous": "p.jpg", "image": "i.jpg", "label": "cat"},
            {"previous": "i.jpg", "image": "j.jpg", "label": "x"},
        ],
    )
    assert by_image(read(file)) == {"i.jpg": ("cat",), "j.jpg": ("x",)}
    assert by_image(read(file, image_key="previous")) == {"p.jpg": ("cat",), "i.jpg": ("x",)}
    put(file, [{"before": "b.jpg", "after": "a.jpg", "label": "cat"}])
    with pytest.raises(InvalidInput) as error:
        read(file)
    assert error.value.found == ["before", "after"]
    assert by_image(read(file, image_key="after")) == {"a.jpg": ("cat",)}
    put(file, [{"shot": "a", "label": "cat"}])
    with pytest.raises(InvalidInput) as error:
        read(file)
    assert error.value.subject == f"{file}: [0]" and "--image-key" in (error.value.hint or "")
    assert by_image(read(file, image_key="shot")) == {"a": ("cat",)}


def test_keys_of_flags_can_be_named(file: Path) -> None:
    put(file, [{"image": "a", "cat": 1, "dog": 0, "sharp": 1}, {"image": "b", "cat": 0, "dog": 1, "sharp": 1}])
    assert by_image(read(file, label_key="cat,dog")) == {"a": ("cat",), "b": ("dog",)}
    assert by_image(read(file, label_key="cat")) == {"a": ("cat",), "b": ()}
    put(file, {"a": {"animal": ["cat"], "weather": "rain"}, "b": {"animal": [], "weather": "sun"}})
    assert by_image(read(file, label_key="animal")) == {"a": ("cat",), "b": ()}
    with pytest.raises(InvalidInput) as error:
        read(file, label_key="animl")
    assert error.value.found == "animl"


@pytest.mark.parametrize(
    ("records", "where", "wrong"),
    [
        ([record("a.jpg")], "", None),
        ([record("a.jpg", label=[{"rectanglelabels": [3], "x": 1}])], ": [0].label[0].rectanglelabels[0]", 3),
        ([{"annotation_id": 3, "lead_time": 1, "choice": "x"}], ": [0]", ["choice"]),
        ([record("a.jpg", choice="x"), 3], ": [1]", ["a number"]),
    ],
)
def test_mistakes_in_json_min(file: Path, records: list[Any], where: str, wrong: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        read(put(file, records))
    assert (error.value.subject, error.value.found) == (f"{file}{where}", wrong)
