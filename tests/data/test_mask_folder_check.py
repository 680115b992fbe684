"""``wsss data check`` recognises a folder of masks, and never mistakes photographs for masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.cli.main import _call
from wsss.data.importers.mask_folder_check import masks_in
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png


def mask(*values: int) -> np.ndarray:
    return np.repeat(np.asarray(values, np.uint8), 8)[None].repeat(16, 0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(capsys: pytest.CaptureFixture[str], path: str) -> tuple[int, str]:
    code, said = _call(["data", "check", path]), capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out + said.err


def test_masks_of_a_stage_of_a_dataset_and_of_neither(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("runs/r/pseudo/masks", "ds/masks", "alone"):
        for name, values in (("a", (0, 0)), ("b", (0, 3, 255)), ("c", (17, 0))):
            write_mask(here / place / f"{name}.png", mask(*values))
    (here / "runs/r/pseudo/stage.json").write_text("{}")
    write_png(here / "ds/images/a.png", np.zeros((16, 16, 3), np.uint8))
    for place, command in (
        ("runs/r/pseudo/masks", "wsss export runs/r/pseudo --format overlay"),
        ("ds/masks", "wsss data check ds"),
        ("alone", "wsss score --pred alone --data.root DATASET"),
    ):
        code, said = check(capsys, place)
        assert code == 2 and f"{place}: contains 3 masks and no photographs." in said and command in said
        assert "wsss init" not in said


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 2, 255)])
def test_grey_masks_are_masks(here: Path, values: tuple[int, ...]) -> None:
    write_png(here / "m" / "a.png", mask(*values))
    assert masks_in(here / "m") == 1


def test_photographs_are_no_masks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ramp = np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16)
    write_png(here / "grey" / "a.png", ramp)
    write_png(here / "blank" / "a.png", np.zeros((16, 16), np.uint8))
    (here / "gif").mkdir()
    Image.fromarray(np.dstack([ramp, ramp[::-1], ramp.T])).quantize(200).save(here / "gif" / "a.png")
    write_mask(here / "mixed" / "a.png", mask(0, 1))
    write_png(here / "mixed" / "b.png", np.dstack([ramp] * 3))
    write_mask(here / "broken" / "a.png", mask(0, 1))
    (here / "broken" / "b.png").write_bytes((here / "broken" / "a.png").read_bytes()[:40])
    for name in ("grey", "blank", "gif", "mixed", "broken"):
        assert masks_in(here / name) == 0
        assert "photographs without labels" in check(capsys, name)[1]
