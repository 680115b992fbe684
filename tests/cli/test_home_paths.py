"""``~`` where no shell expands it: in files, in quotes, behind ``--option=``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wsss.cli.main import _call
from wsss.io.files.home_paths import expand_argument, expand_home
from wsss.io.rasters.rgb_images import write_png


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset in ``~/cats``; the working directory is another folder."""
    home, mask = tmp_path / "home", np.zeros((16, 16), np.uint8)
    mask[:, 8:] = 1
    for number, name in enumerate("ab"):
        write_png(home / "cats/images" / f"{name}.png", np.full((16, 16, 3), 90 * number, np.uint8))
        write_png(home / "cats/masks" / f"{name}.png", mask)
    (home / "cats/classes.txt").write_text("cat\n")
    (home / "cats/labels.csv").write_text("image_id,labels,split\na,cat,val\nb,cat,val\n")
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("wsss.io.process.cores.bound_cores", lambda: 1)  # worker processes take seconds to start
    monkeypatch.chdir(tmp_path / "work")
    return home


@pytest.mark.parametrize("layout", ["", "layout: folder, "])
def test_a_pipeline_file_names_folders_below_home(home: Path, layout: str) -> None:
    keys = "images: ~/cats/images, masks: ~/cats/masks" if layout else ""
    Path("p.yaml").write_text(
        f"name: p\ndata: {{{layout}root: ~/cats, {keys}}}\n"
        "stages: {color: {uses: tiles, with: {split: val, size: 4, count: 4}}}\n"
    )
    assert _call(["run", "p.yaml"]) == 0
    assert json.loads(Path("runs/p/color/stage.json").read_text())["metrics"]["images"] == 2
    assert _call(["run", "p.yaml", "--dry-run"]) == 0
    assert _call(["data", "check", "p.yaml"]) in (0, 2)
    assert not Path("~").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["score", "--pred", "~/cats/masks", "--data.root", "~/cats"],
        ["score", "--pred=~/cats/masks", "--data.root=~/cats", "--out=~/scores"],
        [
            "score",
            "--pred",
            "~/cats/masks",
            "--data.layout",
            "folder",
            "--data.root=~/cats",
            "--data.masks=~/cats/masks",
        ],
        ["export", "~/cats/masks", "--data.root=~/cats", "--format", "coco", "--out=~/coco"],
    ],
)
def test_options_name_folders_below_home(home: Path, command: list[str]) -> None:
    assert _call(command) == 0
    assert not Path("~").exists()


def test_other_words_are_kept(home: Path) -> None:
    assert expand_argument("--data.root=~/x") == f"--data.root={home}/x" and expand_argument("~/x") == f"{home}/x"
    for word in ("~", "--data.masks=~", "a~/b", "--set=data.root=~/x", "-x", "--format"):
        assert expand_argument(word) == word
    assert expand_home("~no-such-user/x") == Path("~no-such-user/x") and expand_home("x/~") == Path("x/~")
