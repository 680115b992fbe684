"""Paths that are not valid UTF-8 are refused by every command before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from inprocess import wsss

from wsss.io.rasters.rgb_images import write_png

ODD = "r\udcff"
SHOWN = "r\\udcff"
PIPELINE = "name: x\ndata: {layout: shapes, size: 32, train: 4, val: 2}\nstages: {classify: {uses: classify}}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with images, a pipeline, and a folder of the odd name with both."""
    monkeypatch.chdir(tmp_path)
    for folder in (Path("imgs"), Path(ODD)):
        try:
            folder.mkdir()
        except OSError:
            pytest.skip("this file system requires UTF-8 names")
        (folder / "p.yaml").write_text(PIPELINE)
        for number, kind in enumerate(("cat", "cat", "dog", "dog")):
            write_png(folder / kind / f"{number}.png", np.full((8, 8, 3), number, np.uint8))
    Path("p.yaml").write_text(PIPELINE)
    return tmp_path


def entries(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


COMMANDS = (
    ("run", "p.yaml", "--run-dir", ODD),
    ("run", "p.yaml", f"--run-dir=q/{ODD}"),
    ("run", "p.yaml", "--dry-run", "--run-dir", ODD),
    ("run", f"{ODD}/p.yaml", "--run-dir", "q"),
    ("run", "p.yaml", "--run-dir", "q", "--set", f"data.root={ODD}"),
    ("run", "p.yaml", "--run-dir", "q", "--until", ODD),
    ("status", ODD),
    ("status", ODD, "--repair"),
    ("init", "--images", ODD, "--out", "q"),
    ("init", "--images", "imgs", "--out", ODD),
    ("init", "--images", "imgs", "--labels", ODD, "--out", "q"),
    ("init", "--images", "imgs", "--weights", ODD, "--out", "q"),
    ("init", "--images", "imgs", "--out", "q", "--negative", ODD),
    ("export", ODD, "--format", "voc", "--out", "q"),
    ("export", "imgs", "--format", "voc", "--out", ODD),
    ("data", "check", ODD),
    ("data", "check", "imgs", "--data.masks", ODD),
    ("data", "tiles", "imgs", "--out", ODD),
    ("data", "synth", "shapes", "--out", ODD),
    ("topo", "betti", ODD),
    ("topo", "match", "imgs", ODD),
    ("bench", "tables", ODD),
    ("predict", "--weights", "w", "--images", ODD, "--out", "q"),
    ("predict", "--weights", "w", "--images", "imgs", "--out", ODD),
    ("predict", "--weights", "w", "--images", "imgs", "--out", "q", "--config", ODD),
    ("score", "--pred", ODD, "--data.root", "imgs"),
    ("score", "--pred", "imgs", "--data.root", ODD),
    ("score", "--pred", "imgs", f"--data.root={ODD}"),
    ("report", ODD),
    ("report", "imgs", "--out", ODD),
    ("report", "imgs", ODD),
)


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: " ".join(words).replace(ODD, "ODD"))
def test_every_command_refuses_the_name(place: Path, arguments: tuple[str, ...]) -> None:
    before = entries(place)
    done = wsss(*arguments)
    assert done.returncode == 2 and "not valid UTF-8" in done.stderr and SHOWN in done.stderr, done.stderr
    assert done.stdout == "" and entries(place) == before


def test_subject_is_the_option(place: Path) -> None:
    assert f"--run-dir {SHOWN}: " in wsss("run", "p.yaml", "--run-dir", ODD).stderr
    assert f"--data.root {SHOWN}: " in wsss("score", "--pred", "imgs", "--data.root", ODD).stderr
    assert f"error: {SHOWN}: " in wsss("status", "--json", ODD).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "../p.yaml", "--run-dir", "q"),
        ("run", "../p.yaml", "--dry-run"),
        ("init", "--images", "../imgs", "--out", "q"),
        ("data", "check", "../imgs"),
        ("status", "../imgs"),
    ],
    ids=" ".join,
)
def test_working_directory_of_that_name_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(ODD)
    before = entries(place)
    done = wsss(*arguments)
    assert done.returncode == 2 and "not valid UTF-8" in done.stderr and f"/{SHOWN}: " in done.stderr
    assert entries(place) == before
    assert wsss("run", "--help").returncode == wsss("--version").returncode == 0


def test_deleted_working_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    (tmp_path / "p.yaml").write_text(PIPELINE)
    monkeypatch.chdir(gone)
    gone.rmdir()
    done = wsss("run", tmp_path / "p.yaml", "--run-dir", tmp_path / "q")
    assert done.returncode == 2 and "working directory" in done.stderr
    assert wsss("run", "--help").returncode == 0


@pytest.mark.parametrize("arguments", [("--images", "link"), ("--images", "imgs", "--out", "link/q")], ids=" ".join)
def test_init_refuses_links_to_that_name(place: Path, arguments: tuple[str, ...]) -> None:
    """The pipeline would contain the target of the link."""
    Path("link").symlink_to(ODD)
    done = wsss("init", *arguments)
    assert done.returncode == 2 and done.stderr.startswith("error: --") and SHOWN in done.stderr
    assert not Path(ODD, "q").exists() and not list(Path().glob("wsss-*"))


def test_class_folders_of_that_name_are_skipped(place: Path) -> None:
    write_png(Path("imgs", ODD, "1.png"), np.full((8, 8, 3), 9, np.uint8))
    done = wsss("init", "--images", "imgs", "--out", "q", "--weights", "none")
    assert done.returncode == 0
    assert f"  {SHOWN} (1 image)" in done.stderr and done.stderr.count(SHOWN) == 1


def test_environment_variable_with_that_value_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", ODD)
    done = wsss("run", "p.yaml", "--run-dir", "q", "--dry-run", "--set", 'data={layout: voc, root: "${{ env.WHERE }}"}')
    assert done.returncode == 2 and "env.WHERE" in done.stderr and "not valid UTF-8" in done.stderr


def test_temporary_folder_may_have_that_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(place / ODD))
    done = wsss("data", "check", "p.yaml")
    assert done.returncode == 0 and "No problems found." in done.stdout + done.stderr
