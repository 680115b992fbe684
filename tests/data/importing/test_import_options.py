"""Every option of `wsss init` has an effect on a format, or is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from labelfiles import WRITERS

from wsss.data.importers.importer_registry import APPLIES, FOLDERS, FORMATS, read_labels
from wsss.data.importers.rules.read_context import ReadOptions
from wsss.data.readers.label_rules import Rules
from wsss.errors import InvalidInput

LABELS = {"a.png": ("cat",), "b.png": ("dog", "cat"), "c.png": ()}


FILES: dict[str, tuple[str, Callable[[Path, Mapping[str, tuple[str, ...]]], Path]]] = {
    "a table": ("csv", WRITERS["rows"]),
    "a table of columns": ("csv", WRITERS["wide"]),
    "an object": ("json", WRITERS["json_object"]),
    "records": ("json", WRITERS["json_records"]),
    "lines": ("jsonl", WRITERS["json_lines"]),
    "vectors": ("npy", WRITERS["npy"]),
    "COCO": ("coco", WRITERS["coco"]),
    "tasks": ("label-studio", WRITERS["label_studio"]),
    "boxes": ("label-studio", WRITERS["label_studio_boxes"]),
    "JSON-MIN": ("label-studio", WRITERS["label_studio_min"]),
    "Label Studio's table": ("csv", WRITERS["label_studio_csv"]),
    "CVAT": ("cvat", WRITERS["cvat"]),
}
USED: dict[str, dict[str, object]] = {
    "a table": {"separator": "|", "label_key": "labels", "image_key": "image"},
    "a table of columns": {"label_key": "cat,dog", "image_key": "Image"},
    "an object": {},
    "records": {"label_key": "tags", "image_key": "file_name"},
    "lines": {"label_key": "labels", "image_key": "file_name"},
    "vectors": {"classes": True},
    "COCO": {"label_key": "name"},
    "tasks": {"label_key": "c", "image_key": "image"},
    "boxes": {"label_key": "c", "image_key": "image"},
    "JSON-MIN": {"label_key": "choice", "image_key": "image"},
    "Label Studio's table": {"label_key": "what is it", "image_key": "image"},
    "CVAT": {},
}
"""Options that apply to each file, with the values that it has by default."""

OPTIONS = {option.removeprefix("--").replace("-", "_"): option for option in APPLIES}
OTHERS: dict[str, object] = {"separator": ";", "label_key": "x", "image_key": "x", "use_predictions": True}


def options(option: str, value: object, path: Path, extra: dict[str, object]) -> ReadOptions:
    if option == "classes":
        value = path.parent / "names.txt"
        value.write_text("cat\ndog\n")
    return ReadOptions(**{**extra, option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", FILES)
def test_an_option_works_or_is_refused(kind: str, option: str, tmp_path: Path) -> None:
    format, write = FILES[kind]
    path = write(tmp_path / "l", LABELS)
    needed: dict[str, object] = {"classes": tmp_path / "names.txt"} if format == "npy" else {}
    plain = read_labels(tmp_path, [], path, ReadOptions(**needed))  # type: ignore[arg-type]
    if option in USED[kind]:
        chosen = read_labels(tmp_path, [], path, options(option, USED[kind][option], path, needed))
        first, second = ({e.image: set(e.labels or ()) for e in one.entries} for one in (plain, chosen))
        assert first == second and format in APPLIES[OPTIONS[option]]
        return
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, [], path, options(option, OTHERS.get(option), path, needed))
    assert OPTIONS[option] in str(error.value.subject) and error.value.hint


@pytest.mark.parametrize("option", OPTIONS)
def test_no_option_of_a_label_file_applies_to_folders(option: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, ["cat/1.png"], None, options(option, OTHERS.get(option), tmp_path / "l", {}))
    assert (error.value.subject, error.value.found) == (OPTIONS[option], "folders")


def test_the_table_names_known_formats() -> None:
    assert {format for formats in APPLIES.values() for format in formats} <= set(FORMATS) - {FOLDERS}


@pytest.mark.parametrize("labels", [{"a": {"cat": True}, "b": {"cat": False}}, {"a": ["cat"], "b": ["dog"]}])
def test_a_separator_is_refused_without_strings(tmp_path: Path, labels: object) -> None:
    path = tmp_path / "l.json"
    path.write_text(json.dumps(labels))
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, [], path, ReadOptions(separator=";"))
    assert error.value.subject == f"{path}: --separator"


@pytest.mark.parametrize("kind", ["a table of columns", "vectors"])
def test_no_negatives_is_refused_without_names(kind: str, tmp_path: Path) -> None:
    format, write = FILES[kind]
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    path = write(tmp_path / "l", LABELS)
    how = ReadOptions(classes=tmp_path / "names.txt" if format == "npy" else None, rules=Rules(negative=()))
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, [], path, how)
    assert str(error.value.subject).endswith("--no-negatives")


def test_no_negatives_keeps_a_column_named_ok(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("image,ok,scratch\na,1,0\nb,0,1\n")
    assert read_labels(tmp_path, [], path, ReadOptions(rules=Rules(negative=()))).classes == ("ok", "scratch")


def test_a_separator_splits_strings(tmp_path: Path) -> None:
    path = tmp_path / "l.json"
    path.write_text('{"a": "cat/dog", "b": "dog"}')
    assert read_labels(tmp_path, [], path, ReadOptions(separator="/")).entries[0].labels == ("cat", "dog")
