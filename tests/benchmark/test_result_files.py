"""Result files: what is read, what is refused, and what is said of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from resultfolders import HEAD, draw_table, write_results, write_table

from wsss.benchmark.result_files import (
    Resources,
    find_groups,
    find_results,
    image_key,
    read_groups,
    read_resources,
    read_scores,
    write_groups,
    write_resources,
    write_scores,
)
from wsss.errors import InvalidInput

WANTED = HEAD[1:]


def test_images_are_told_apart_by_number_or_name() -> None:
    assert image_key("071") == image_key(" 71 ") == image_key("71.0") == "71"
    assert image_key("9007199254740993") == "9007199254740993"
    assert image_key("wall_071") == "wall_071" and image_key("7.5") == "7.5"


def test_every_file_is_found_in_order_and_odd_ones_are_told(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"b": 1.0, "a": 1.0}, seeds=(10, 2))
    case = results / "supervised/accurate/large"
    for name in ("mean.csv", "1.txt", ".hidden.csv"):
        (case / "a" / name).write_text("x")
    (case / "a" / ".old").mkdir()
    (case / "a" / ".old" / "3.csv").write_text("x")
    (results / "summary.csv").write_text("x")
    places, notes = find_results(results)
    assert [(place.loss, place.seed) for place in places] == [("a", 2), ("a", 10), ("b", 2), ("b", 10)]
    assert len(notes) == 2 and "summary.csv" in notes[0] and "mean.csv" in notes[1]


def test_links_to_results_elsewhere_are_followed(tmp_path: Path) -> None:
    theirs = write_results(tmp_path / "theirs", {"a": 1.0}, seeds=(1,))
    ours = write_results(tmp_path / "ours", {"b": 1.0}, seeds=(1,))
    (theirs / "supervised/accurate/large/b").symlink_to(ours / "supervised/accurate/large/b")
    (theirs / "mine").symlink_to(ours / "supervised")
    places, notes = find_results(theirs)
    assert [(place.framework, place.loss) for place in places] == [
        ("mine", "b"),
        ("supervised", "a"),
        ("supervised", "b"),
    ]
    assert notes == []


def test_an_empty_or_wrong_folder_is_refused(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"a": 1.0}, seeds=(1,))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no result here"):
        find_results(tmp_path / "empty")
    with pytest.raises(InvalidInput, match=r"no result here.*found accurate/large/a/1\.csv"):
        find_results(results / "supervised")
    with pytest.raises(InvalidInput, match="no such folder"):
        find_results(tmp_path / "none")


def test_a_seed_twice_is_refused(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"a": 1.0}, seeds=(1,))
    (results / "supervised/accurate/large/a/01.csv").write_text("ID\n")
    with pytest.raises(InvalidInput, match="duplicate seed 1"):
        find_results(results)


def test_written_scores_are_read_again(tmp_path: Path) -> None:
    values = {"Betti0Error_mortar": np.array([3, 0]), "Dice_mortar": np.array([1 / 3, 0.1 + 0.2])}
    write_scores(tmp_path / "1.csv", ["007", "wall"], values)
    assert (tmp_path / "1.csv").read_text().splitlines()[1] == "007,3,0.3333333333333333"
    found = read_scores(tmp_path / "1.csv", WANTED)
    assert found.images == ("7", "wall") and found.unread == ()
    assert {name: column.tolist() for name, column in found.columns.items()} == {
        name: column.tolist() for name, column in values.items()
    }


def test_marks_at_the_start_and_blank_lines_and_gaps(tmp_path: Path) -> None:
    path = tmp_path / "1.csv"
    path.write_bytes("\ufeffID, Dice_mortar ,Note\r\n1,0.5,x\r\n\r\n2,,y\r\n".encode())
    found = read_scores(path, WANTED)
    assert found.images == ("1", "2") and found.unread == ("Note",)
    assert found.columns["Dice_mortar"][0] == 0.5 and math.isnan(found.columns["Dice_mortar"][1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the first line must name the columns"),
        (b"image,Dice_mortar\n1,0.5\n", "must name the columns, 'ID' among them; found image"),
        (b"ID,Dice\n1,0.5\n", "none of the columns"),
        (b"ID,Dice_mortar,Dice_mortar\n1,0.5,0.5\n", "two columns are called 'Dice_mortar'"),
        (b"ID,Dice_mortar\n1,0.5\n01,0.6\n", "line 3: duplicate image 1"),
        (b"ID,Dice_mortar\n1,0.5\n2\n", "line 3: found 1 cell, expected 2"),
        (b"ID,Dice_mortar\n1,good\n", "line 2: Dice_mortar: expected a number, found 'good'"),
        (b"ID,Dice_mortar\n1,inf\n", "expected a finite number"),
        (b"ID,Dice_mortar\n,0.5\n", "line 2: no ID"),
        (b"ID,Dice_mortar\n1,-3\n", "line 2: Dice_mortar: found -3; this score is from 0 to 1"),
        (b"ID,Dice_mortar\n1,91.5\n", "line 2: Dice_mortar: found 91.5; this score is from 0 to 1"),
        (b"ID,HD95_mortar\n1,-0.5\n", "line 2: HD95_mortar: found -0.5; this score is 0 or more"),
        (b"\xff\xfe\x00ID", "not a readable CSV"),
    ],
)
def test_broken_files_are_named_with_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "1.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message) as caught:
        read_scores(path, WANTED)
    assert str(path) in caught.value.message


def test_an_infinite_distance_is_that_of_an_empty_prediction(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("ID,HD95_mortar\n1,inf\n2,1.5\n")
    assert read_scores(tmp_path / "1.csv", ("HD95_mortar",)).columns["HD95_mortar"].tolist() == [9999999, 1.5]


def test_seeds_may_be_called_so(tmp_path: Path) -> None:
    loss = tmp_path / "supervised" / "accurate" / "large" / "CEDiceLoss"
    loss.mkdir(parents=True)
    for name in ("seed1.csv", "seed_02.csv", "3.csv", "summary.csv"):
        (loss / name).write_text("ID,Dice_mortar\n1,0.5\n")
    places, notes = find_results(tmp_path)
    assert [place.seed for place in places] == [1, 2, 3]
    assert len(notes) == 1 and "summary.csv" in notes[0]


def test_groups_beside_a_link_and_beside_what_it_leads_to(tmp_path: Path) -> None:
    write_groups(tmp_path / "here" / "dataset_types.txt", {"001": "indistr"})
    (tmp_path / "there" / "results").mkdir(parents=True)
    (tmp_path / "here" / "results").symlink_to(tmp_path / "there" / "results")
    assert find_groups(tmp_path / "here" / "results") == tmp_path / "here" / "dataset_types.txt"
    write_groups(tmp_path / "there" / "dataset_types.txt", {"001": "indistr"})
    (tmp_path / "here" / "dataset_types.txt").unlink()
    assert find_groups(tmp_path / "here" / "results") == tmp_path / "there" / "dataset_types.txt"
    with pytest.raises(InvalidInput, match="no such folder"):
        find_groups(tmp_path / "nowhere")


def test_groups_are_read_and_found(tmp_path: Path) -> None:
    write_groups(tmp_path / "dataset" / "dataset_types.txt", {"001": "indistr", "002": "colors"})
    results = tmp_path / "results"
    results.mkdir()
    assert find_groups(results) == tmp_path / "dataset" / "dataset_types.txt"
    assert read_groups(find_groups(results)) == {"1": "indistr", "2": "colors"}
    write_groups(results / "dataset_types.txt", {"1": "indistr"})
    assert find_groups(results) == results / "dataset_types.txt", "the nearest one counts"


def test_groups_that_are_missing_or_wrong(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="which image is in which group") as caught:
        find_groups(tmp_path)
    assert "--groups FILE" in str(caught.value.hint)
    path = tmp_path / "groups.csv"
    for content, message in (
        ("ID\n1\n", "the first line must be ID,group"),
        ("ID,group\n1\n", "line 2: expected an image and its group"),
        ("ID,group\n1,a\n01,b\n", "line 3: image 1 is in two groups, a and b"),
    ):
        path.write_text(content)
        with pytest.raises(InvalidInput, match=message):
            read_groups(path)


def test_resources_stand_beside_the_scores(tmp_path: Path) -> None:
    path = tmp_path / "3.csv"
    write_table(path, draw_table([1], 1.0, 1))
    assert read_resources(path) is None
    for one in (Resources(12.5, 2**30, "cuda"), Resources(0.0, None, "cpu")):
        write_resources(path, one)
        assert read_resources(path) == one
    for broken in ("[]", "{}", '{"seconds": -1, "memory_bytes": null, "device": "cpu"}', "no"):
        (tmp_path / "3.json").write_text(broken)
        with pytest.raises(InvalidInput, match=r"3\.json"):
            read_resources(path)
