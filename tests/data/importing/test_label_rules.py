"""Words and columns that are not classes: the same in every format, noted, and optional."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import labelfiles
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.data.importers.importer_registry import read_labels
from wsss.data.importers.rules.imported_labels import Labels
from wsss.data.importers.rules.joined_entries import CONTRADICTION
from wsss.data.importers.rules.read_context import EMPTY_CELLS, EMPTY_IMAGES, MISSING_WORDS, ReadOptions
from wsss.data.readers.label_rules import Rules, Word, parse_soft
from wsss.errors import InvalidInput

Known = dict[str, tuple[tuple[str, ...] | None, tuple[str, ...]]]


def known(labels: Labels) -> Known:
    """Return image → its classes (``None``: unlabelled), and those whose presence is unknown."""
    return {Path(entry.image).stem.rpartition("-")[2]: (entry.labels, entry.unknown) for entry in labels.entries}


def kinds(labels: Labels) -> str:
    return "\n".join(kind for kind, _ in labels.notes)


KINDS = ("rows", "json_object", "json_records", "json_lines", "coco", "cvat", "label_studio", "label_studio_min")


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, kind: str, images: dict[str, list[str]], rules: Rules | None = None) -> Labels:
    labels = {f"{image}.jpg": tuple(names) for image, names in images.items()}
    return labelfiles.read(labelfiles.WRITERS[kind](folder / "l", labels), rules=rules)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["ok", "OK", "good", "Normal", "none", "Negative", "healthy", "No Finding"])
def test_negatives_are_not_classes(tmp_path: Path, kind: str, word: str) -> None:
    labels = read(tmp_path, kind, {"a": ["crack"], "b": [word], "c": ["dent", "crack"]})
    assert labels.classes == ("crack", "dent")
    assert known(labels)["b"] == ((), ())
    assert "read as no class (--no-negatives" in kinds(labels)
    kept = read(tmp_path, kind, {"a": ["crack", "rust"], "b": [word]}, Rules(negative=()))
    assert kept.classes == tuple(sorted(["crack", "rust", word])) and known(kept)["b"] == ((word,), ())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["Background", "_background_", "BACKGROUND_Google", "background", "__background__"])
def test_the_background_is_not_a_class(tmp_path: Path, kind: str, word: str) -> None:
    labels = read(tmp_path, kind, {"a": ["cat", word], "b": [word], "c": ["cat"]})
    assert labels.classes == ("cat",) and known(labels)["a"] == (("cat",), ()) and known(labels)["b"] == ((), ())
    assert "background labels, left out" in kinds(labels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["nan", "NaN", "N/A", "null", "<NA>", "#N/A"])
def test_words_for_missing_values_are_empty_cells(tmp_path: Path, kind: str, word: str) -> None:
    images = {"a": ["cat"], "b": [word]}
    labels = read(tmp_path, kind, images)
    assert labels.classes == ("cat",) and known(labels)["b"] == ((), ()) and EMPTY_IMAGES in kinds(labels)
    assert known(read(tmp_path, kind, images, Rules(unknown=("empty",))))["b"] == (None, ())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["?", "-1", "unlabelled", "todo"])
def test_unknown_is_not_absent(tmp_path: Path, kind: str, word: str) -> None:
    rules = Rules(unknown=("todo",)) if word == "todo" else None
    labels = read(tmp_path, kind, {"a": ["cat"], "b": [word], "c": ["dog", "?cat"], "d": ["cat", word]}, rules)
    assert labels.classes == ("cat", "dog")
    assert known(labels)["b"] == (None, ()) and known(labels)["d"] == (("cat",), ("dog",))
    assert known(labels)["c"] == (("dog",), ("cat",))
    assert "labels read as unknown" in kinds(labels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_negative_word_beside_classes_is_a_class(tmp_path: Path, kind: str) -> None:
    images = {"a": ["cat", "good"], "b": ["dog", "good"], "c": ["cat"]}
    labels = read(tmp_path, kind, images)
    assert labels.classes == ("cat", "dog", "good") and "kept as classes" in kinds(labels)
    labels = read(tmp_path, kind, images, Rules(negative=("good",)))
    assert labels.classes == ("cat", "dog") and CONTRADICTION in kinds(labels)


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_options_must_occur(tmp_path: Path, kind: str) -> None:
    for rules, option, word in (
        (Rules(negative=("okay",)), "--negative", "okay"),
        (Rules(unknown=("x",)), "--unknown", "x"),
    ):
        with pytest.raises(InvalidInput) as error:
            read(tmp_path, kind, {"a": ["cat"], "b": ["fine"]}, rules)
        assert str(error.value.subject).endswith(option) and error.value.found == word
    with pytest.raises(InvalidInput) as error:
        read(tmp_path, kind, {"a": ["ok"], "b": ["good"]})
    assert "'ok'" in str(error.value.found) and "--no-negatives" in str(error.value.hint)


def wide_csv(folder: Path, rows: dict[str, tuple[str, ...]]) -> Path:
    text = "\n".join(["image,cat,dog", *(f"{image},{','.join(cells)}" for image, cells in rows.items())])
    return put(folder / "w.csv", text + "\n")


def flags_json(folder: Path, rows: dict[str, tuple[str, ...]]) -> Path:
    def value(cell: str) -> object:
        return None if cell == "" else float(cell) if cell.lstrip("-").replace(".", "").isdigit() else cell

    flags = {image: {"cat": value(cells[0]), "dog": value(cells[1])} for image, cells in rows.items()}
    return put(folder / "w.json", json.dumps(flags))


def records_json(folder: Path, rows: dict[str, tuple[str, ...]]) -> Path:
    flags = json.loads(flags_json(folder, rows).read_text())
    return put(folder / "r.json", json.dumps([{"file_name": f"{flag}.jpg", **flags[flag]} for flag in flags]))


WIDE = (wide_csv, flags_json, records_json)


@pytest.mark.parametrize("write_rows", WIDE)
def test_minus_one_depends_on_the_file(tmp_path: Path, write_rows: Callable[..., Path]) -> None:
    path = write_rows(tmp_path, {"a": ("1", "-1"), "b": ("-1", "1")})
    labels = read_labels(tmp_path, [], path)
    assert known(labels) == {"a": (("cat",), ()), "b": (("dog",), ())} and "in place of 0" in kinds(labels)
    assert known(read_labels(tmp_path, [], path, ReadOptions(rules=Rules(unknown=("-1",)))))["a"] == (
        ("cat",),
        ("dog",),
    )
    path = write_rows(tmp_path, {"a": ("1", "-1"), "b": ("0", "1")})
    labels = read_labels(tmp_path, [], path)
    assert known(labels) == {"a": (("cat",), ("dog",)), "b": (("dog",), ())} and "together with 0" in kinds(labels)
    assert known(read_labels(tmp_path, [], path, ReadOptions(rules=Rules(negative=("-1",)))))["a"] == (("cat",), ())


@pytest.mark.parametrize("write_rows", WIDE)
def test_empty_cells_and_question_marks(tmp_path: Path, write_rows: Callable[..., Path]) -> None:
    path = write_rows(tmp_path, {"a": ("1", ""), "b": ("?", "1"), "c": ("0", "0"), "d": ("?", "?")})
    labels = read_labels(tmp_path, [], path)
    assert known(labels) == {"a": (("cat",), ()), "b": (("dog",), ("cat",)), "c": ((), ()), "d": (None, ())}
    assert EMPTY_CELLS in kinds(labels)
    labels = read_labels(tmp_path, [], path, ReadOptions(rules=Rules(unknown=("empty",))))
    assert known(labels)["a"] == (("cat",), ("dog",))


@pytest.mark.parametrize("write_rows", WIDE)
def test_soft_labels_need_a_threshold(tmp_path: Path, write_rows: Callable[..., Path]) -> None:
    path = write_rows(tmp_path, {"a": ("0.9", "0.2"), "b": ("0.4", "0.7"), "c": ("0", "1")})
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, [], path)
    assert path.name in str(error.value.subject) and "--soft-threshold" in str(error.value.hint)
    labels = read_labels(tmp_path, [], path, ReadOptions(rules=Rules(soft=parse_soft("0.5"))))
    assert known(labels) == {"a": (("cat",), ()), "b": (("dog",), ()), "c": (("dog",), ())}
    labels = read_labels(tmp_path, [], path, ReadOptions(rules=Rules(soft=parse_soft("0.3,0.7"))))
    assert known(labels)["b"] == (("dog",), ("cat",))


def test_vectors_follow_the_same_rules(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("cat\ndog\n")
    vectors = {"a": np.array([1, 0.0]), "b": np.array([-1, 1.0]), "c": np.array([np.nan, 0])}
    np.save(tmp_path / "l.npy", vectors, allow_pickle=True)  # type: ignore[arg-type]
    labels = read_labels(tmp_path, [], tmp_path / "l.npy", ReadOptions(classes=tmp_path / "c.txt"))
    assert known(labels) == {"a": (("cat",), ()), "b": (("dog",), ("cat",)), "c": ((), ("cat",))}


def test_columns_that_describe_boxes_are_not_classes(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("filename,class,xmin,ymin,xmax,ymax,difficult,is_crowd\na,cat,0,1,9,9,1,0\nb,dog,1,1,5,5,0,0\n")
    labels = read_labels(tmp_path, [], path)
    assert known(labels) == {"a": (("cat",), ()), "b": (("dog",), ())}
    path.write_text("filename,xmin,ymin,difficult\na,0,1,1\nb,1,1,0\n")
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, [], path)
    assert error.value.found == ["xmin", "ymin", "difficult"] and "--label-key" in str(error.value.hint)
    path.write_text("image,cat,Confidence,IsOccluded,checked\na,1,1,0,1\nb,0,1,1,1\n")
    labels = read_labels(tmp_path, [], path)
    assert labels.classes == ("cat",)
    assert {text for kind, text in labels.notes if "--label-key" in kind} == {"Confidence", "IsOccluded", "checked"}
    chosen = read_labels(tmp_path, [], path, ReadOptions(label_key="cat,IsOccluded"))
    assert chosen.classes == ("cat", "IsOccluded")


def test_a_confidence_of_0_means_absent(tmp_path: Path) -> None:
    path = tmp_path / "oi.csv"
    header = "ImageID,Source,LabelName,Confidence"
    path.write_text(f"{header}\ns,v,/m/1,0\nc,v,/m/1,1\ns,v,/m/2,1\nd,v,/m/1,0\n")
    labels = read_labels(tmp_path, [], path)
    assert known(labels) == {"s": (("/m/2",), ()), "c": (("/m/1",), ()), "d": ((), ())}
    assert read_labels(tmp_path, [], path, ReadOptions(label_key="LabelName")).entries == labels.entries
    path.write_text(f"{header}\ns,v,/m/1,0\ns,w,/m/1,1\nc,v,/m/2,1\n")
    labels = read_labels(tmp_path, [], path)
    assert known(labels)["s"] == (("/m/1",), ()) and CONTRADICTION in kinds(labels)
    path.write_text(f"{header}\ns,machine,/m/1,0.8\nc,machine,/m/1,0.1\n")
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, [], path)
    assert error.value.found == 0.8 and "--soft-threshold" in str(error.value.hint)
    labels = read_labels(tmp_path, [], path, ReadOptions(rules=Rules(soft=parse_soft("0.5"))))
    assert known(labels) == {"s": (("/m/1",), ()), "c": ((), ())}


@pytest.mark.parametrize(
    ("text", "contradiction"),
    [
        ("image,label\na,defect\nb,ok\na,ok\n", True),
        ("image,label\na,defect\nb,ok\na,\n", True),
        ("image,label\na,cat\nb,dog\na,dog\n", False),
        ("image,label\na,cat\nb,dog\na,cat\n", None),
        ("image,label\na,?\nb,dog\na,cat\n", None),
    ],
)
def test_contradictory_rows_are_noted(tmp_path: Path, text: str, contradiction: bool | None) -> None:
    (tmp_path / "l.csv").write_text(text)
    labels = read_labels(tmp_path, [], tmp_path / "l.csv")
    assert (CONTRADICTION in kinds(labels)) is bool(contradiction)
    assert ("several rows with different labels" in kinds(labels)) is (contradiction is False)


@pytest.mark.parametrize("header", ["Finding Labels", "label_name", "ClassId", "class-id", "image_label", "LabelName"])
def test_columns_that_sound_like_labels(tmp_path: Path, header: str) -> None:
    (tmp_path / "l.csv").write_text(f"Image Index,{header},is_labelled\na,cat,1\nb,dog,0\n")
    labels = read_labels(tmp_path, [], tmp_path / "l.csv")
    assert labels.classes == ("cat", "dog") and "left out (--label-key A,B" in kinds(labels)
    (tmp_path / "l.csv").write_text("image,true label,noisy label\na,cat,dog\n")
    with pytest.raises(InvalidInput) as error:
        read_labels(tmp_path, [], tmp_path / "l.csv")
    assert error.value.found == ["true label", "noisy label"]


def test_validation_flags_are_splits(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("image,cat,dog,is_valid\na,1,0,False\nb,0,1,True\n")
    labels = read_labels(tmp_path, [], tmp_path / "l.csv")
    assert labels.classes == ("cat", "dog") and [entry.split for entry in labels.entries] == ["train", "val"]


@given(st.text(max_size=12), st.lists(st.text(max_size=6), max_size=3), st.lists(st.text(max_size=6), max_size=3))
def test_a_word_has_one_meaning(label: str, negative: list[str], unknown: list[str]) -> None:
    rules = Rules(tuple(negative), tuple(unknown))
    word = rules.word(label)
    assert word is rules.word(f" {label} "), "surrounding spaces are ignored"
    named = label.strip().casefold()
    if named in (one.casefold() for one in unknown if one != "empty"):
        assert word is Word.UNKNOWN
    elif named in (one.casefold() for one in negative):
        assert word is Word.NEGATIVE


@pytest.mark.parametrize("text", ["", "x", "0", "1.5", "0.7,0.3", "0.1,0.2,0.3", "nan", "-0.5"])
def test_thresholds_out_of_range(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_soft(text)


UNCLEAR = ("unknown", "Unclear", "unsure", "todo", "tbd", "void", "ignore", "unlabeled", "not labelled")


@pytest.mark.parametrize("word", UNCLEAR)
def test_words_that_mean_unknown(tmp_path: Path, word: str) -> None:
    path = tmp_path / "l.csv"
    path.write_text(f"image,label\na,cat\nb,dog\nc,{word}\n")
    labels = read_labels(tmp_path, [], path)
    assert labels.classes == ("cat", "dog") and labels.entries[2].labels is None
    assert any(kind.startswith("labels read as unknown") and repr(word) in text for kind, text in labels.notes)
    path.write_text(f"image,cat\na,1\nb,0\nc,{word}\n")
    assert read_labels(tmp_path, [], path).entries[2].labels is None


@pytest.mark.parametrize("word", ["unknown", "void", "ignore"])
def test_the_name_of_a_column_is_a_class(tmp_path: Path, word: str) -> None:
    path = tmp_path / "l.csv"
    path.write_text(f"image,cat,{word}\na,1,0\nb,0,1\n")
    labels = read_labels(tmp_path, [], path)
    assert labels.classes == ("cat", word) and labels.entries[1].labels == (word,)
    assert any(f"--unknown {word}" in text for _, text in labels.notes)
    unknown = read_labels(tmp_path, [], path, ReadOptions(rules=Rules(unknown=(word,))))
    assert unknown.classes == ("cat",) and unknown.entries[1].labels is None


def test_words_for_empty_cells_are_counted_in_tables_of_0_and_1(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("image,cat,dog\na,1,NA\nb,nan,NA\nc,0,1\nd,,1\n")
    missing = [text for kind, text in read_labels(tmp_path, [], path).notes if kind == MISSING_WORDS]
    assert missing == ["'NA' (2 times)", "'nan' (once)"]


@pytest.mark.parametrize("text", ["image,label,confidence\na,cat,0.9\nb,dog,0.1\n", "image,cat\na,0.9\nb,0.1\n"])
def test_decisions_of_the_threshold_are_counted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "l.csv"
    path.write_text(text)
    labels = read_labels(tmp_path, [], path, ReadOptions(rules=Rules(soft=parse_soft("0.5"))))
    assert [text for kind, text in labels.notes if "--soft-threshold" in kind] == ["1 present, 1 absent, 0 unknown"]
