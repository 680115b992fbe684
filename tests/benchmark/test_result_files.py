"""Result files, groups files and training costs: reading, writing, errors; and the layout of a results folder."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from resultfolders import HEAD, draw_table, write_results, write_table

from wsss.benchmark.result_files import (
    Resources,
    find_groups,
    image_key,
    read_groups,
    read_resources,
    read_scores,
    write_groups,
    write_resources,
    write_scores,
)
from wsss.benchmark.result_folder import find_results
from wsss.errors import InvalidInput

COLUMNS = HEAD[1:]
CASE = Path("supervised/accurate/large")


def test_image_keys_compare_numbers_by_value() -> None:
    assert image_key("071") == image_key(" 71 ") == image_key("71.0") == "71"
    assert image_key("9007199254740993") == "9007199254740993"
    assert image_key("wall_071") == "wall_071" and image_key("7.5") == "7.5"


def test_results_are_sorted_and_other_files_noted(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"b": 1.0, "a": 1.0}, seeds=(10, 2))
    for name in ("mean.csv", "1.txt", ".hidden.csv", ".old/3.csv"):
        path = results / CASE / "a" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (results / "summary.csv").write_text("x")
    files, notes = find_results(results)
    assert [(file.loss, file.seed) for file in files] == [("a", 2), ("a", 10), ("b", 2), ("b", 10)]
    assert len(notes) == 2 and "summary.csv" in notes[0] and "mean.csv" in notes[1]


def test_links_to_other_results_are_followed(tmp_path: Path) -> None:
    results = write_results(tmp_path / "one", {"a": 1.0}, seeds=(1,))
    other = write_results(tmp_path / "other", {"b": 1.0}, seeds=(1,))
    (results / CASE / "b").symlink_to(other / CASE / "b")
    (results / "linked").symlink_to(other / "supervised")
    files, notes = find_results(results)
    assert [(file.framework, file.loss) for file in files] == [
        ("linked", "b"),
        ("supervised", "a"),
        ("supervised", "b"),
    ]
    assert notes == []


def test_seed_names_may_have_a_prefix(tmp_path: Path) -> None:
    loss = tmp_path / CASE / "CEDiceLoss"
    loss.mkdir(parents=True)
    for name in ("seed1.csv", "seed_02.csv", "3.csv", "summary.csv"):
        (loss / name).write_text("ID,Dice_mortar\n1,0.5\n")
    files, notes = find_results(tmp_path)
    assert [file.seed for file in files] == [1, 2, 3]
    assert len(notes) == 1 and "summary.csv" in notes[0]


@pytest.mark.parametrize(
    ("folder", "found"), [("empty", None), ("results/supervised", ["accurate/large/a/1.csv"]), ("missing", None)]
)
def test_a_folder_without_results_is_an_error(tmp_path: Path, folder: str, found: list[str] | None) -> None:
    write_results(tmp_path, {"a": 1.0}, seeds=(1,))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput) as error:
        find_results(tmp_path / folder)
    assert (error.value.subject, error.value.found) == (str(tmp_path / folder), found)


def test_a_duplicate_seed_is_an_error(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"a": 1.0}, seeds=(1,))
    (results / CASE / "a/01.csv").write_text("ID\n")
    with pytest.raises(InvalidInput) as error:
        find_results(results)
    assert error.value.subject == str(results / CASE / "a/1.csv")


def test_scores_round_trip(tmp_path: Path) -> None:
    values = {"Betti0Error_mortar": np.array([3, 0]), "Dice_mortar": np.array([1 / 3, 0.1 + 0.2])}
    write_scores(tmp_path / "1.csv", ["007", "wall"], values)
    assert (tmp_path / "1.csv").read_text().splitlines()[1] == "007,3,0.3333333333333333"
    scores = read_scores(tmp_path / "1.csv", COLUMNS)
    assert scores.images == ("7", "wall") and scores.unread == ()
    assert {name: column.tolist() for name, column in scores.columns.items()} == {
        name: column.tolist() for name, column in values.items()
    }


def test_byte_order_mark_blank_lines_and_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "1.csv"
    path.write_bytes("\ufeffID, Dice_mortar ,Note\r\n1,0.5,x\r\n\r\n2,,y\r\n".encode())
    scores = read_scores(path, COLUMNS)
    assert scores.images == ("1", "2") and scores.unread == ("Note",)
    assert scores.columns["Dice_mortar"][0] == 0.5 and math.isnan(scores.columns["Dice_mortar"][1])


@pytest.mark.parametrize(
    ("content", "place", "found"),
    [
        (b"", "", ""),
        (b"image,Dice_mortar\n1,0.5\n", "", ["image", "Dice_mortar"]),
        (b"ID,Dice\n1,0.5\n", "", ["ID", "Dice"]),
        (b"ID,Dice_mortar,Dice_mortar\n1,0.5,0.5\n", "", None),
        (b"ID,Dice_mortar\n1,0.5\n01,0.6\n", ": line 3", None),
        (b"ID,Dice_mortar\n1,0.5\n2\n", ": line 3", 1),
        (b"ID,Dice_mortar\n1,good\n", ": line 2: Dice_mortar", "good"),
        (b"ID,Dice_mortar\n1,inf\n", ": line 2: Dice_mortar", "inf"),
        (b"ID,Dice_mortar\n,0.5\n", ": line 2", None),
        (b"ID,Dice_mortar\n1,-3\n", ": line 2: Dice_mortar", -3),
        (b"ID,Dice_mortar\n1,91.5\n", ": line 2: Dice_mortar", 91.5),
        (b"ID,HD95_mortar\n1,-0.5\n", ": line 2: HD95_mortar", -0.5),
        (b"\xff\xfe\x00ID", "", None),
    ],
)
def test_broken_files(tmp_path: Path, content: bytes, place: str, found: object) -> None:
    path = tmp_path / "1.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as error:
        read_scores(path, COLUMNS)
    assert (error.value.subject, error.value.found) == (f"{path}{place}", found)


def test_an_infinite_hd95_is_an_empty_prediction(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("ID,HD95_mortar\n1,inf\n2,1.5\n")
    assert read_scores(tmp_path / "1.csv", ("HD95_mortar",)).columns["HD95_mortar"].tolist() == [9999999, 1.5]


def test_groups_beside_a_link_and_beside_its_target(tmp_path: Path) -> None:
    write_groups(tmp_path / "here" / "dataset_types.txt", {"001": "indistr"})
    (tmp_path / "there" / "results").mkdir(parents=True)
    (tmp_path / "here" / "results").symlink_to(tmp_path / "there" / "results")
    assert find_groups(tmp_path / "here" / "results") == tmp_path / "here" / "dataset_types.txt"
    write_groups(tmp_path / "there" / "dataset_types.txt", {"001": "indistr"})
    (tmp_path / "here" / "dataset_types.txt").unlink()
    assert find_groups(tmp_path / "here" / "results") == tmp_path / "there" / "dataset_types.txt"


def test_the_closest_groups_file_is_used(tmp_path: Path) -> None:
    write_groups(tmp_path / "dataset" / "dataset_types.txt", {"001": "indistr", "002": "colors"})
    results = tmp_path / "results"
    results.mkdir()
    assert find_groups(results) == tmp_path / "dataset" / "dataset_types.txt"
    assert read_groups(find_groups(results)) == {"1": "indistr", "2": "colors"}
    write_groups(results / "dataset_types.txt", {"1": "indistr"})
    assert find_groups(results) == results / "dataset_types.txt"


@pytest.mark.parametrize("folder", ["", "missing"])
def test_missing_groups(tmp_path: Path, folder: str) -> None:
    with pytest.raises(InvalidInput) as error:
        find_groups(tmp_path / folder)
    assert error.value.subject == str(tmp_path / folder) and error.value.hint


@pytest.mark.parametrize(
    ("content", "place", "found"),
    [("ID\n1\n", "", "ID"), ("ID,group\n1\n", ": line 2", "1"), ("ID,group\n1,a\n01,b\n", ": line 3", None)],
)
def test_broken_groups(tmp_path: Path, content: str, place: str, found: str | None) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(content)
    with pytest.raises(InvalidInput) as error:
        read_groups(path)
    assert (error.value.subject, error.value.found) == (f"{path}{place}", found)


def test_training_costs_beside_the_scores(tmp_path: Path) -> None:
    path = tmp_path / "3.csv"
    write_table(path, draw_table([1], 1.0, 1))
    assert read_resources(path) is None
    for resources in (Resources(12.5, 2**30, "cuda"), Resources(0.0, None, "cpu")):
        write_resources(path, resources)
        assert read_resources(path) == resources


@pytest.mark.parametrize("content", ["[]", "{}", '{"seconds": -1, "memory_bytes": null, "device": "cpu"}', "no"])
def test_broken_training_costs(tmp_path: Path, content: str) -> None:
    (tmp_path / "3.json").write_text(content)
    with pytest.raises(InvalidInput) as error:
        read_resources(tmp_path / "3.csv")
    assert error.value.subject == str(tmp_path / "3.json")
