from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from wsss.io.files.scratch import MIN_AGE, PREFIX, Scratch, sweep_scratch


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def age(path: Path) -> None:
    old = time.time() - 2 * MIN_AGE
    os.utime(path, (old, old))


def test_delete_removes_the_contents(temporary: Path) -> None:
    scratch = Scratch()
    assert scratch.path.parent == temporary
    (scratch.path / "folder").mkdir()
    (scratch.path / "folder" / "file").touch()
    scratch.delete()
    assert list(temporary.iterdir()) == []


def test_sweep_deletes_only_abandoned_folders(temporary: Path) -> None:
    held = Scratch()
    abandoned, new, other = (temporary / name for name in (f"{PREFIX}abcdefgh", f"{PREFIX}01234567", "wsss-photos"))
    for folder in (abandoned, new, other):
        folder.mkdir()
        (folder / "file").touch()
    link = temporary / f"{PREFIX}linklink"
    link.symlink_to(other)
    for folder in (abandoned, other, held.path):
        age(folder)
    assert sweep_scratch(temporary) == 1
    assert sorted(temporary.iterdir()) == sorted([held.path, new, other, link])
    assert (other / "file").exists()
    held.delete()


def test_creating_a_scratch_folder_sweeps(temporary: Path) -> None:
    (temporary / f"{PREFIX}abcdefgh").mkdir()
    age(temporary / f"{PREFIX}abcdefgh")
    scratch = Scratch()
    assert list(temporary.iterdir()) == [scratch.path]
    scratch.delete()


def test_lock_is_kept_after_a_fork_leaves_it(temporary: Path) -> None:
    scratch = Scratch()
    child = os.fork()
    if child == 0:
        scratch.leave()
        os._exit(0)
    os.waitpid(child, 0)
    age(scratch.path)
    assert sweep_scratch(temporary) == 0
    scratch.delete()
