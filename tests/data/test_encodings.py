"""Masks of 0/1 and of 0/255 in one dataset of one class are refused wherever ground truth is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learning import SMALL_TRAINING, run_stage

from wsss.cli.main import _call
from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.data.masks.encodings import Shown, check_encoding
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png
from wsss.stages.segment import STAGE as SEGMENT

CAT = Classes(("background", "cat"), ((0,), (1,)))
CAT_AND_DOG = Classes(("background", "cat", "dog"), ((0,), (1,), (2,)))
DRAWN, BORDERED, EMPTY, WHITE = Shown(True, 0), Shown(True, 0.1), Shown(False, 0), Shown(False, 0.3)


def samples(*shown: Shown, labels: tuple[int, ...] | None = (1,)) -> list[tuple[Sample, Shown]]:
    return [(Sample(str(n), Path(f"{n}.jpg"), labels, Path(f"{n}.png")), one) for n, one in enumerate(shown)]


def test_two_encodings_are_refused_with_the_first_masks() -> None:
    with pytest.raises(InvalidInput) as found:
        check_encoding(samples(DRAWN, *[WHITE] * 4), CAT, where="split 'val'")
    assert found.value.subject == "split 'val'" and found.value.problem.startswith("4 ground-truth masks")
    assert "1.png, 2.png, 3.png" in found.value.problem and "4.png" not in found.value.problem
    assert "1 that show cat" in found.value.problem
    assert "data.mask_values: {0: background, 1: cat, 255: cat}" in str(found.value.hint)
    assert "data.mask_values: {0: background, 1: cat, 255: ignore}" in str(found.value.hint)


@pytest.mark.parametrize(
    ("shown", "classes", "labels"),
    [
        ((DRAWN, EMPTY), CAT, None),
        ((DRAWN, BORDERED, WHITE), CAT, None),  # masks of the class use 255 to ignore pixels
        ((DRAWN, Shown(False, 0.01)), CAT, None),  # a border
        ((DRAWN, Shown(False, 1)), CAT, None),  # an image that is ignored as a whole
        ((DRAWN, WHITE), CAT_AND_DOG, None),
        ((DRAWN, WHITE), Classes(CAT.names, CAT.values, frozenset({2})), None),  # dogs with borders, left out
        ((DRAWN, WHITE), CAT, ()),  # labelled as empty
        ((WHITE, WHITE), CAT, None),  # refused by `check_truth`
    ],
)
def test_what_may_be_right_passes(shown: tuple[Shown, ...], classes: Classes, labels: tuple[int, ...] | None) -> None:
    check_encoding(samples(*shown, labels=labels), classes, where="split 'val'")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images of a cat on the right; the masks a and b give it 1, c and d 255."""
    for number, name in enumerate("abcd"):
        mask = np.zeros((24, 24), np.uint8)
        mask[:, 16:] = 255
        write_png(tmp_path / "d/images" / f"{name}.png", np.dstack([mask, mask, np.full_like(mask, 40 * number)]))
        write_png(tmp_path / "d/masks" / f"{name}.png", mask if name in "cd" else mask // 255)
        write_png(tmp_path / "pred" / f"{name}.png", mask // 255)
    (tmp_path / "d/classes.txt").write_text("cat\n")
    (tmp_path / "d/labels.csv").write_text("image_id,labels,split\n" + "".join(f"{n},cat,val\n" for n in "abcd"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


DATA = ["--data.root", "d"]
STATED = ["--data.mask_values", "{0: background, 1: cat, 255: cat}"]
SCORE = ["score", "--pred", "pred", "--split", "val", *DATA]


@pytest.mark.parametrize(
    "command",
    [
        SCORE,
        ["tiles", "--split", "val", "--size", "8", "--count", "10", "--out", "t", *DATA],
        ["data", "tiles", "d", "t", "--split", "val", "--size", "8", "--count", "10"],
        ["data", "check", "d"],
    ],
    ids=["score", "tiles", "data tiles", "data check"],
)
@pytest.mark.slow
def test_commands_refuse_them(here: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert _call(command) == 2
    said = capsys.readouterr()
    assert "masks/c.png, d/masks/d.png" in said.out + said.err and "255: cat" in said.out + said.err
    assert "miou" not in said.out


def test_no_network_is_trained_on_them(tmp_path: Path) -> None:
    result = []
    for name in "abc":
        mask = np.zeros((32, 32), np.uint8)
        mask[:, 16:] = 255 if name == "c" else 1
        write_png(tmp_path / f"{name}.jpg.png", np.dstack([mask] * 3))
        write_png(tmp_path / f"{name}.png", mask)
        result.append(Sample(name, tmp_path / f"{name}.jpg.png", (1,), tmp_path / f"{name}.png"))
    data = Dataset("cats", tmp_path, CAT, {"train": tuple(result)})
    with pytest.raises(InvalidInput) as found:
        run_stage(SEGMENT, {**SMALL_TRAINING, "epochs": 1, "labels": "ground-truth"}, tmp_path / "net", data)
    assert found.value.subject == "segment: split 'train'"
    assert found.value.problem.startswith("1 ground-truth mask ") and str(tmp_path / "c.png") in found.value.problem


@pytest.mark.slow
def test_stated_values_are_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call([*SCORE, *STATED]) == 0
    assert "miou: 1.0000" in capsys.readouterr().out
    assert _call([*SCORE, "--data.mask_values", "{0: background, 1: cat, 255: ignore}"]) == 0
    assert "miou: 1.0000" in capsys.readouterr().out


@pytest.mark.slow
def test_sweep_and_oracle_refuse_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wsss.io.files.stage_files import cam_path
    from wsss.io.rasters.cams import Cams, write_cams

    maps = np.zeros((1, 24, 24), np.float32)
    maps[:, :, 16:] = 0.8
    for name in "abcd":
        write_cams(cam_path(here / "cams", name), Cams(maps, (1,), (24, 24)))
    for command in (["sweep", "--split", "val"], ["pseudo", "--set", "splits=[val]", "--oracle", "--out", "p"]):
        assert _call([*command, "--cams", "cams", *DATA]) == 2
        said = capsys.readouterr()
        assert "masks/c.png, d/masks/d.png" in said.err and "miou" not in said.out
    assert _call(["sweep", "--split", "val", "--cams", "cams", *DATA, *STATED]) == 0
