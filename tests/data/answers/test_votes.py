"""Current answers, compared with a plain replay of random rows; majorities and summaries."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from wsss.data.answers.annotation_session import check_known
from wsss.data.answers.answer_rows import HEADER, Answer, Item
from wsss.data.answers.image_labels import write_labels
from wsss.data.answers.votes import Ballot, Votes, summarise_votes
from wsss.data.importers.importer_registry import read_labels
from wsss.data.readers.registry import open_dataset
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png


def row(image: str, answer: str, annotator: str = "annotator-1", name: str = "cat", time: int = 0, *,
        undone: bool = False, size: int = 0) -> Answer:  # fmt: skip
    return Answer(Item(image, size=size), name, answer, annotator, f"2026-11-29T10:00:{time:02d}Z", undone)


@pytest.mark.parametrize("seed", range(20))
def test_replaying_random_answers_and_undos(seed: int) -> None:
    """The oracle keeps a stack of answers per person and item."""
    rng, ballot = random.Random(seed), Ballot()
    stacks: dict[tuple[str, str], list[str]] = defaultdict(list)
    order: dict[str, list[str]] = defaultdict(list)
    for time in range(60):
        person = rng.choice(["annotator-1", "annotator-2"])
        if rng.random() < 0.3 and order[person]:
            image = order[person].pop()
            ballot.apply(row(image, stacks[person, image].pop(), person, time=time, undone=True))
        else:
            image, answer = rng.choice("abc"), rng.choice(["yes", "no", "skip"])
            stacks[person, image].append(answer)
            order[person].append(image)
            ballot.apply(row(image, answer, person, time=time))
        assert [one.item.image for one in ballot.history(person)][-1:] == order[person][-1:]
    for person in ("annotator-1", "annotator-2"):
        expected = {Item(image): {"cat": stacks[person, image][-1]} for image in "abc" if stacks[person, image]}
        assert ballot.of(person) == expected


def test_undoing_what_was_not_answered() -> None:
    for rows in ([row("a", "yes", undone=True)], [row("a", "yes"), row("a", "no", undone=True)]):
        with pytest.raises(InvalidInput):
            Ballot(rows)


def test_majorities() -> None:
    people = ("annotator-1", "annotator-2", "annotator-3")
    assert Votes(people[:2], people[2:]).majority() is True and Votes((), people[:1], people[1:]).majority() is False
    assert Votes(people[:1], people[1:2]).majority() is None and Votes((), (), people).majority() is None
    assert Votes(people[:2], people[2:]).disagree and not Votes(people[:2]).disagree


def test_summary_keeps_every_disagreement() -> None:
    rows = [
        row("a", "yes"),
        row("a", "no", "annotator-2"),
        row("a", "no", "annotator-3"),
        row("b", "yes"),
        row("b", "no", "annotator-2"),
    ]
    summary = summarise_votes(Ballot([*rows, row("c", "skip"), row("d", "no")]))
    assert summary["classes"] == {"cat": {"yes": 0, "no": 2, "ties": 1, "skipped": 1, "disagreements": 2}}
    assert summary["disagreements"] == [
        {"item": "a", "class": "cat", "yes": ["annotator-1"], "no": ["annotator-2", "annotator-3"]},
        {"item": "b", "class": "cat", "yes": ["annotator-1"], "no": ["annotator-2"]},
    ]
    assert summary["annotators"] == {"annotator-1": 4, "annotator-2": 2, "annotator-3": 1} and summary["items"] == 4


def test_labels_of_whole_images(tmp_path: Path) -> None:
    rows = [row("a", "yes"), row("a", "yes", name="dog"), row("b", "no"), row("b", "no", name="dog"), row("c", "yes")]
    rows += [row("c", "no", name="dog"), row("c", "yes", "annotator-2", name="dog"), row("d", "skip")]
    counts = write_labels(tmp_path / "labels.csv", Ballot(rows), ["b", "a", "c", "d", "e"])
    text = (tmp_path / "labels.csv").read_text()
    assert text.splitlines() == ["image_id,labels", "b,", "a,cat;dog", "c,cat;?dog", "d,?cat;?dog"]
    assert counts == {"images": 4, "without_answers": 1, "labels_without_majority": 3}
    for wrong in ([], [row("a", "yes", name="cat;dog")]):
        with pytest.raises(InvalidInput):
            write_labels(tmp_path / "labels.csv", Ballot(wrong), ["a"])
    assert (tmp_path / "labels.csv").read_text() == text


@pytest.mark.parametrize("present", [("brick wall",), ("brick",), ("brick", "wall"), ("brick wall", "wall"), ()])
def test_labels_of_several_words_are_read_back(tmp_path: Path, present: tuple[str, ...]) -> None:
    """Without a list of classes: their names are those in the table."""
    names = ("brick", "brick wall", "wall")
    rows = [row("a", "yes" if name in present else "no", name=name) for name in names]
    rows += [row("b", "yes", name=name) for name in names] + [row("c", "skip", name=name) for name in names]
    write_labels(tmp_path / "labels.csv", Ballot(rows), ["a", "b", "c"])
    (tmp_path / "images").mkdir()
    for image in "abc":
        write_png(tmp_path / "images" / f"{image}.png", np.zeros((4, 4, 3), np.uint8))
    data = open_dataset({"root": tmp_path, "val_fraction": 0}, work=tmp_path / "work")
    read = {sample.id: sample for sample in data.split("train")}
    assert data.classes.foreground == names and [sample.id for sample in data.split("unlabelled")] == ["c"]
    assert read["a"].labels == tuple(names.index(name) + 1 for name in present) and read["b"].labels == (1, 2, 3)


@pytest.mark.parametrize("names", [("scratch, deep",), ("a,b", "c"), ("a,b",)])
def test_labels_with_a_comma_are_read_back(tmp_path: Path, names: tuple[str, ...]) -> None:
    rows = [row(image, "yes" if image == "a" else "no", name=name) for image in "ab" for name in names]
    write_labels(tmp_path / "labels.csv", Ballot(rows), ["a", "b"])
    (tmp_path / "images").mkdir()
    for image in "ab":
        write_png(tmp_path / "images" / f"{image}.png", np.zeros((4, 4, 3), np.uint8))
    data = open_dataset({"root": tmp_path, "val_fraction": 0}, work=tmp_path / "work")
    assert data.classes.foreground == names
    imported = read_labels(tmp_path / "images", ["a.png", "b.png"], tmp_path / "labels.csv")
    assert {entry.image: entry.labels for entry in imported.entries} == {"a": names, "b": ()}


@pytest.mark.parametrize("content", [HEADER, "image_id,labels,split\na,cat,train\n", "# notes\n", "\0\xff"])
def test_other_files_are_not_overwritten_by_labels(tmp_path: Path, content: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(InvalidInput) as error:
        write_labels(path, Ballot([row("a", "yes")]), ["a"])
    assert error.value.subject == str(path) and path.read_text() == content


def test_answers_about_something_else_are_one_error() -> None:
    known = {"images": {"a", "b"}, "classes": ("cat", "dog")}
    check_known(Ballot([row("a", "yes", size=9), row("b", "no", size=9)]), "t", **known, size=None)
    for rows, size, found in (
        ([row("x", "yes"), row("a", "no"), row("y", "no")], None, None),
        ([row("a", "yes", name="moss")], None, "moss"),
        ([row("a", "yes", size=9), row("b", "no", size=18)], None, "tiles of 9 pixels, tiles of 18 pixels"),
        ([row("a", "yes", size=9)], 18, "tiles of 9 pixels"),
        ([row("a", "yes")], 18, "whole images"),
    ):
        with pytest.raises(InvalidInput) as error:
            check_known(Ballot(rows), "t", **known, size=size)
        assert (error.value.subject, error.value.found) == ("t", found)


def test_answers_that_are_undone_are_not_checked() -> None:
    withdrawn = [row("x", "yes", name="moss", size=size, undone=undone) for size in (9, 18) for undone in (False, True)]
    ballot = Ballot([*withdrawn, row("a", "no", size=7)])
    assert ballot.questions() == [(Item("a", size=7), "cat")]
    check_known(ballot, "t", images={"a"}, classes=("cat",), size=7)
