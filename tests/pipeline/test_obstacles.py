"""Folders in place of a run's files, and files in place of its folders: replaced, or left to the user to delete."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from killing import is_bookkeeping, snapshot
from toys import make_toy_data, run_toys

from wsss.errors import InvalidInput, WsssError
from wsss.io.files.stage_files import COPIES, RECORD, RUN
from wsss.pipeline.store.lock import HOLDER, LOCK
from wsss.pipeline.store.repair import repair_folder
from wsss.pipeline.store.run_folder import LOG, read_run
from wsss.pipeline.store.stage_folder import METRICS, read_record

PIPELINE = """\
name: toy
data: {root: d}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  train: {uses: train, needs: [make], with: {steps: 3}}
"""
RUN_DIR = Path("r")
OURS = (HOLDER, LOCK, LOG, RUN, COPIES[RUN], *(f"train/{name}" for name in (RECORD, COPIES[RECORD], METRICS)))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_toy_data(tmp_path / "d")
    run()
    return tmp_path


def run(force: str | None = None) -> None:
    run_toys(PIPELINE, RUN_DIR, **({} if force is None else {"force": force}))


def put_folder(path: Path) -> Path:
    """Replace a file by a folder that is not empty."""
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "inside").write_text("x")
    return path


def files() -> list[str]:
    return sorted({*OURS, *(path.relative_to(RUN_DIR).as_posix() for path in RUN_DIR.rglob("*") if path.is_file())})


def results() -> dict[str, bytes]:
    return dict(snapshot(RUN_DIR, ignore=is_bookkeeping))


@pytest.mark.parametrize("force", [None, "make"])
def test_a_folder_in_place_of_any_file_is_replaced_or_named(here: Path, force: str | None) -> None:
    before = results()
    refused = []
    for name in files():
        kept = Path("kept")
        shutil.copytree(RUN_DIR, kept)
        path = put_folder(RUN_DIR / name)
        try:
            run(force)
        except WsssError as error:
            assert error.exit_code == 2 and str(path) in error.message, name
            assert error.hint is not None and error.hint.startswith("Delete it"), name
            assert (path / "inside").is_file(), name
            refused.append(name)
            shutil.rmtree(path)
            if path.name in (RUN, RECORD):
                assert [one.restored for one in repair_folder(RUN_DIR, lambda line: None)] == [True]
            run(force)
        unread = path.name in COPIES.values() and path.is_dir()
        assert not unread or force is None, name
        assert {key: value for key, value in results().items() if not (unread and key.startswith(name))} == before, name
        shutil.rmtree(RUN_DIR)
        kept.rename(RUN_DIR)
    assert {HOLDER, LOCK, LOG, RUN, f"train/{RECORD}"} <= set(refused)


@pytest.mark.parametrize("name", ["data", "make", "train"])
def test_a_file_in_place_of_a_folder_is_named(here: Path, name: str) -> None:
    before = results()
    path = RUN_DIR / name
    shutil.rmtree(path, ignore_errors=True)
    path.write_text("x")
    with pytest.raises(WsssError) as found:
        run()
    assert (found.value.subject, found.value.found, found.value.allowed) == (str(path), "a file", "a folder")
    assert found.value.exit_code == 2 and found.value.hint == "Delete it: a new one is written."
    assert path.read_text() == "x"
    path.unlink()
    run()
    assert results() == before


def test_folders_with_temporary_names_are_kept(here: Path) -> None:
    for folder in (RUN_DIR, RUN_DIR / "train"):
        (folder / ".wsss-tmp-3-x").mkdir()
    run("train")
    assert (RUN_DIR / ".wsss-tmp-3-x").is_dir()


@pytest.mark.parametrize("name", [RUN, f"train/{RECORD}"])
def test_repair_names_a_folder_and_continues(here: Path, name: str) -> None:
    path = put_folder(RUN_DIR / name)
    (RUN_DIR / "make" / RECORD).unlink()
    result = {one.path: one for one in repair_folder(RUN_DIR, lambda line: None)}
    assert result.keys() == {path, RUN_DIR / "make" / RECORD}
    assert result[RUN_DIR / "make" / RECORD].restored and not result[path].restored
    assert "there is a folder in its place" in result[path].what and f"Delete the folder {path}" in result[path].hint
    assert (path / "inside").is_file()
    shutil.rmtree(path)
    assert [one.restored for one in repair_folder(RUN_DIR, lambda line: None)] == [True]
    assert read_run(RUN_DIR) is not None and read_record(RUN_DIR / "train") is not None


def test_a_folder_in_place_of_a_record_without_a_copy(here: Path) -> None:
    folder = RUN_DIR / "train"
    (folder / COPIES[RECORD]).unlink()
    put_folder(folder / RECORD)
    with pytest.raises(InvalidInput) as found:
        read_record(folder)
    assert (found.value.found, found.value.allowed) == ("a folder", "a file")
    assert found.value.hint is not None and found.value.hint.startswith(f"Delete {folder} and run the same command")


def test_a_run_directory_that_is_not_utf8_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_obstacles.RUN_DIR", Path("r\udcff"))
    with pytest.raises(InvalidInput) as found:
        run()
    assert str(found.value.subject).endswith("r\udcff")
    assert not Path("r\udcff").exists()
