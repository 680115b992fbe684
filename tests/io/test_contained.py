"""Recorded names stay below their folder; links and pipes in run directories neither redirect nor block."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.io.files.atomic import temporary_beside, write_text
from wsss.io.files.contained import below, check_contained, check_regular, check_tree, delete_file, open_to_read
from wsss.io.files.stage_files import RECORD, RUN

PARTS = st.one_of(st.sampled_from(["..", ".", "", "a", "b.png", "C:", "~", "\0", "..\\x"]), st.text(max_size=6))


@given(st.lists(PARTS, max_size=6).map("/".join) | st.text(max_size=20))
def test_name_is_refused_or_below_the_folder(name: str) -> None:
    root = Path("/runs/r/stage")
    try:
        path = below(root, name, where="stage.json")
    except InvalidInput:
        return
    assert os.path.normpath(path) == str(path) and path.is_relative_to(root) and path != root
    assert path.relative_to(root).as_posix() == name


@pytest.mark.parametrize("name", ["masks/a.png", "a..b", "…/x", "a b", "-x", "~", "weird\\name"])
def test_plain_names_are_accepted(name: str) -> None:
    assert below(Path("r"), name, where="x") == Path("r") / name


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory reached through a link, with a stage, and a folder outside."""
    (tmp_path / "disk" / "run" / "stage" / "masks").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("kept")
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    write_text(tmp_path / "runs" / "run" / RUN, "{}")
    write_text(tmp_path / "runs" / "run" / "stage" / RECORD, "{}")
    return tmp_path / "runs" / "run"


def test_run_reached_through_a_link_is_writable(run: Path) -> None:
    write_text(run / "stage" / "masks" / "a", "x")
    (run / "stage" / "near").symlink_to("masks")
    write_text(run / "stage" / "near" / "b", "x")
    check_tree(run / "stage")
    assert sorted(path.name for path in (run / "stage" / "masks").iterdir()) == ["a", "b"]


@pytest.mark.parametrize("place", ["stage", "stage/masks", "stage/masks/deep", "data"])
def test_links_out_of_the_run_are_refused(run: Path, place: str) -> None:
    path = run / place
    if path.is_dir():
        path.rename(run.parent / "moved")
    path.symlink_to(run.parent.parent / "outside")
    for act in (lambda: write_text(path / "kept", "new"), lambda: delete_file(path / "kept"), lambda: check_tree(path)):
        with pytest.raises(InvalidInput) as caught:
            act()
        assert caught.value.subject == str(path) and caught.value.hint
    assert [path.name for path in (run.parent.parent / "outside").iterdir()] == ["kept"]
    assert (run.parent.parent / "outside" / "kept").read_text() == "kept"


def test_link_in_place_of_a_file_is_replaced(run: Path) -> None:
    kept = run.parent.parent / "outside" / "kept"
    for path in (run / "stage" / "a", temporary_beside(run / "stage" / "a")):
        path.symlink_to(kept)
    write_text(run / "stage" / "a", "new")
    assert kept.read_text() == "kept" and (run / "stage" / "a").read_text() == "new"
    assert not (run / "stage" / "a").is_symlink()


def test_pipes_do_not_block(run: Path) -> None:
    os.mkfifo(run / "pipe")
    with pytest.raises(OSError, match="not a regular file"), open_to_read(run / "pipe"):
        pass
    with pytest.raises(InvalidInput):
        check_regular(run / "pipe")
    os.mkfifo(run / "stage" / "pipe")
    with pytest.raises(InvalidInput) as caught:
        check_tree(run / "stage")
    assert caught.value.subject == str(run / "stage" / "pipe")
    check_contained(run / "stage" / "pipe")
