"""Tiles of images without masks, labelled by people's answers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import bare_walls
from learning import contents, run_stage

from wsss.data.answers.answer_rows import HEADER, Answer, Item, answer_line
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.tiles.tile_folder import draw_tile_folder
from wsss.data.tiles.tile_table import Tile, read_tiles
from wsss.data.tiles.tiling import TilesConfig, colour_statistics
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import read_image
from wsss.stages import STAGES

PLACES = [(image, x, y) for image in ("w0", "w2") for x in (0, 20, 87) for y in (3, 87)]


def table(path: Path, answers: list[tuple[int, str, str]], *, size: int = 9, name: str = "mortar") -> Path:
    """Write answers (index of the position, answer, person) to a table."""
    rows = [
        Answer(Item(*PLACES[place], size), name, answer, person, f"2026-11-29T10:00:{number:02d}Z")
        for number, (place, answer, person) in enumerate(answers)
    ]
    path.write_text(HEADER + "".join(map(answer_line, rows)))
    return path


def into(out: Path, data: Dataset, **config: Any) -> tuple[dict[str, Any], list[Tile]]:
    drawn = draw_tile_folder(
        out, data, config=TilesConfig(**config), split="train", seed=0, start=lambda total: lambda steps: None
    )
    return drawn, read_tiles(out, data.classes)


VOTES = [
    (0, "yes", "annotator-1"), (0, "yes", "annotator-2"), (0, "no", "annotator-3"),  # a majority of two
    (1, "no", "annotator-1"),
    (2, "yes", "annotator-1"), (2, "no", "annotator-2"),  # a tie
    (3, "skip", "annotator-1"),
    (6, "skip", "annotator-1"), (6, "no", "annotator-2"),
    (11, "yes", "annotator-3"),
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return bare_walls(tmp_path / "data")


def test_the_majority_decides_and_ties_are_counted(data: Dataset, tmp_path: Path) -> None:
    drawn, tiles = into(tmp_path / "t", data, answers=table(tmp_path / "a.csv", VOTES))
    expected = {(PLACES[0], (1,)), (PLACES[1], ()), (PLACES[6], ()), (PLACES[11], (1,))}
    assert {((tile.image, tile.column, tile.row), tile.labels) for tile in tiles} == expected
    assert (drawn["tiles"], drawn["tile_size"], drawn["images"], drawn["without_any_class"]) == (4, 9, 2, 2)
    assert (drawn["answers_given"], drawn["annotators"], drawn["disagreements"]) == (8, 3, 2)
    assert (drawn["left_out_ties"], drawn["left_out_skipped"], drawn["left_out_disagreements"]) == (1, 1, 0)
    images = {sample.id: read_image(sample.image) for sample in data.split("train")}
    for tile in tiles:
        place = slice(tile.row, tile.row + 9), slice(tile.column, tile.column + 9)
        np.testing.assert_array_equal(read_image(tile.path(tmp_path / "t")), images[tile.image][place])
        assert np.allclose([tile.mean, tile.std], colour_statistics(images[tile.image]), rtol=1e-8)
    with (tmp_path / "t" / "labels.csv").open() as file:
        assert [row["labels"] for row in csv.DictReader(file)] == ["mortar" if tile.labels else "" for tile in tiles]


def test_reasons_why_tiles_have_no_label(data: Dataset, tmp_path: Path) -> None:
    """Only one class was asked about, or nobody could tell whether the tile shows one of them."""
    both = Classes(("background", "mortar", "moss"), ((0,), (1,), (2,)))
    two = Dataset(data.name, data.root, both, {"train": data.split("train")})
    mortar = [(0, "yes", "annotator-1"), (1, "skip", "annotator-1"), (2, "no", "annotator-1")]
    path = table(tmp_path / "a.csv", mortar)
    moss = table(tmp_path / "b.csv", [(1, "yes", "annotator-1"), (2, "no", "annotator-1")], name="moss")
    path.write_text(path.read_text() + moss.read_text().removeprefix(HEADER))
    drawn, tiles = into(tmp_path / "t", two, answers=path)
    assert len(tiles) == 1 and (drawn["left_out_incomplete"], drawn["left_out_skipped"]) == (1, 1)


def test_all_disagreements_can_be_left_out(data: Dataset, tmp_path: Path) -> None:
    answers = table(tmp_path / "a.csv", VOTES)
    drawn, tiles = into(tmp_path / "t", data, answers=answers, disagreement="exclude")
    assert len(tiles) == 3 and drawn["left_out_disagreements"] == 2 and drawn["left_out_ties"] == 0


def test_equal_answers_give_equal_bytes_and_other_ones_are_refused(data: Dataset, tmp_path: Path) -> None:
    into(tmp_path / "t", data, answers=table(tmp_path / "a.csv", VOTES))
    into(tmp_path / "u", data, answers=table(tmp_path / "b.csv", VOTES))
    before = contents(tmp_path / "t")
    assert contents(tmp_path / "u") == before
    into(tmp_path / "t", data, answers=tmp_path / "b.csv")
    assert contents(tmp_path / "t") == before
    with pytest.raises(InvalidInput) as error:
        into(tmp_path / "t", data, answers=table(tmp_path / "a.csv", VOTES[:4]))
    assert error.value.subject == str(tmp_path / "t") and contents(tmp_path / "t") == before


def test_noise_inverts_a_fraction_of_the_answers(data: Dataset, tmp_path: Path) -> None:
    rows = [
        Answer(Item("w1", x, y, 5), "mortar", "yes", "annotator-1", "2026-11-29T10:00:00Z")
        for x in range(10)
        for y in range(10)
    ]
    (tmp_path / "a.csv").write_text(HEADER + "".join(map(answer_line, rows)))
    drawn, tiles = into(tmp_path / "t", data, answers=tmp_path / "a.csv", label_noise=0.25)
    assert 8 <= drawn["without_any_class"] <= 42  # four standard deviations around 25
    assert drawn["label_noise"] == 0.25 and len(tiles) == 100
    again, _ = into(tmp_path / "u", data, answers=tmp_path / "a.csv", label_noise=0.25)
    assert again == drawn and contents(tmp_path / "u") == contents(tmp_path / "t")


def test_more_answers_do_not_change_which_labels_are_wrong(data: Dataset, tmp_path: Path) -> None:
    """Tiles are sorted by image and position, so new answers come between the old ones; or they are of new images."""
    rows = [
        Answer(Item(f"w{number % 2}", x, y, 5), "mortar", "yes", "annotator-1", "2026-11-29T10:00:00Z")
        for number, (x, y) in enumerate(np.random.default_rng(0).permutation(90)[:80].reshape(40, 2).tolist())
    ]
    labels = []
    for count, samples in ((20, data.split("train")), (40, data.split("train")), (40, data.split("train")[::-1])):
        (tmp_path / "a.csv").write_text(HEADER + "".join(map(answer_line, rows[:count])))
        reordered = Dataset(data.name, data.root, data.classes, {"train": samples})
        _, tiles = into(tmp_path / f"t{len(labels)}", reordered, answers=tmp_path / "a.csv", label_noise=0.4)
        labels.append({(tile.image, tile.row, tile.column): tile.labels for tile in tiles})
    assert len(labels[0]) == 20 and labels[0].items() <= labels[1].items() == labels[2].items()
    assert 0 < sum(not label for label in labels[0].values()) < 20


def refused(data: Dataset, out: Path, answers: Path, **config: Any) -> InvalidInput:
    content = answers.read_bytes()
    with pytest.raises(InvalidInput) as error:
        into(out, data, answers=answers, **config)
    assert answers.read_bytes() == content and not out.exists()
    return error.value


def test_unusable_answers_are_one_error_and_nothing_is_lost(data: Dataset, tmp_path: Path) -> None:
    path, out = tmp_path / "a.csv", tmp_path / "t"
    one = Dataset(data.name, data.root, data.classes, {"train": data.split("train")[:1]})
    assert "w2" in refused(one, out, table(path, VOTES)).problem
    assert refused(data, out, table(path, VOTES, name="moss")).found == "moss"
    assert refused(data, out, table(path, VOTES), size=12).found == "tiles of 9 pixels"
    mixed = table(path, VOTES).read_text() + answer_line(
        Answer(Item("w0", 1, 1, 7), "mortar", "no", "annotator-1", "2026-11-29")
    )
    path.write_text(mixed)
    assert refused(data, out, path).found == "tiles of 7 pixels, tiles of 9 pixels"
    table(path, VOTES)
    path.write_text(path.read_text()[:-9])
    assert refused(data, out, path).subject == str(path)
    path.write_text(HEADER + answer_line(Answer(Item("w0"), "mortar", "no", "annotator-1", "2026-11-29")))
    assert "--export" in str(refused(data, out, path).hint)
    assert refused(data, out, table(path, [(0, "skip", "annotator-1")])).found == "1 tile: nobody could tell"
    path.write_text(HEADER)
    assert refused(data, out, path).found == "no answers"


def test_a_tile_outside_its_image_is_an_error(data: Dataset, tmp_path: Path) -> None:
    row = Answer(Item("w0", 90, 1, 9), "mortar", "no", "annotator-1", "2026-11-29")
    (tmp_path / "a.csv").write_text(HEADER + answer_line(row))
    with pytest.raises(InvalidInput) as error:
        into(tmp_path / "t", data, answers=tmp_path / "a.csv")
    assert error.value.subject == "w0_00001_00090"


def test_settings_of_masks_have_no_effect_with_answers(tmp_path: Path) -> None:
    for setting in (
        {"count": 5},
        {"min_class_fraction": 0.2},
        {"negative_fraction": 0.3},
        {"count": 1000},
        {"min_class_fraction": 0.05},
    ):
        with pytest.raises(ValueError, match=next(iter(setting))):
            TilesConfig(answers=tmp_path / "a.csv", **setting)
    for choice in ("exclude", "majority"):
        with pytest.raises(ValueError, match="disagreement"):
            TilesConfig(disagreement=choice)
        with pytest.raises(ValueError, match="disagreement"):
            STAGES["tiles"].config(disagreement=choice)
    TilesConfig(**TilesConfig().model_dump())
    assert TilesConfig(answers=tmp_path / "a.csv", size=18).answered_size == 18  # also the default, if it is given
    recorded = TilesConfig(answers=tmp_path / "a.csv").model_dump()
    assert TilesConfig(**recorded).answered_size is None  # also of a record that lists all settings


def test_the_stage_uses_answers_instead_of_masks(data: Dataset, tmp_path: Path) -> None:
    answers = table(tmp_path / "a.csv", VOTES)
    lines: list[str] = []
    stage = STAGES["tiles"]
    result = run_stage(stage, {"answers": str(answers)}, tmp_path / "s", data, lines=lines)
    into(tmp_path / "t", data, answers=answers)
    folder = contents(tmp_path / "t")
    folder.pop("drawing.json", None)
    assert contents(tmp_path / "s") == folder
    assert result.provenance["supervision"] == "8 yes/no answers by 3 people on 9-pixel tiles"
    notes = [line for line in lines if "left out" in line]
    assert len(notes) == 1 and "1 tile: as many" in notes[0] and "1 tile: nobody" in notes[0]
    assert {read.kind for read in stage.reads(stage.config(answers=answers))} == {"images"}
    assert json.loads((tmp_path / "s" / "tiles.json").read_text()) == result.metrics
    with pytest.raises(InvalidInput):  # checked before the first stage starts
        stage.check(stage.config(answers=table(tmp_path / "b.csv", VOTES, name="moss")), data)


def test_a_classifier_is_trained_on_tiles_of_images_without_labels(data: Dataset, tmp_path: Path) -> None:
    run_stage(STAGES["tiles"], {"answers": str(table(tmp_path / "a.csv", VOTES))}, tmp_path / "s", data)
    stage = STAGES["classify"]
    config = {"convnet": {"widths": [4, 4]}, "split": None, "steps": 2, "batch_size": 2}
    result = run_stage(stage, config, tmp_path / "c", data, tiles=tmp_path / "s")
    assert result.metrics["images"] == 4 and list(stage.reads(stage.config(**config))) == []
    for name in ("classify", "expand", "shrink"):
        with pytest.raises(InvalidInput):
            STAGES[name].check_inputs(STAGES[name].config(split=None), {"tiles": []})
        STAGES[name].check_inputs(STAGES[name].config(split=None), {"tiles": ["tiles"]})
