from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from wsss.errors import InvalidInput, RunFailed
from wsss.io.files.atomic import write_json
from wsss.io.files.locking import acquire, lock_state, release
from wsss.pipeline.store.lock import LOCK, run_lock
from wsss.pipeline.store.run_folder import write_run
from wsss.pipeline.store.run_summary import summarise


def no_locks(*args: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_lock_is_held_until_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock_state(path) == ("free", "")
    held = acquire(path, 0)
    assert held is not None and lock_state(path) == ("held", "")
    assert acquire(path, 0.1) is None
    release(held)
    assert lock_state(path) == ("free", "")


def test_deleted_lock_file_is_recreated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real, calls = tmp_path / "lock", fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        real(descriptor, how)
        calls.append(how)
        if len(calls) == 1:
            path.unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    held = acquire(path, 0)
    assert held is not None and len(calls) == 2 and lock_state(path)[0] == "held"
    release(held)


def test_file_system_without_locks_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(RunFailed) as caught, run_lock(tmp_path, print):
        pytest.fail("nothing is locked")
    assert caught.value.subject == str(tmp_path / LOCK) and "local disk" in str(caught.value.hint)
    state, reason = lock_state(tmp_path / LOCK)
    assert state == "unknown" and "No locks available" in reason


@pytest.mark.parametrize(("recorded", "shown"), [("done", "done"), ("running", "unknown"), ("failed", "failed")])
def test_status_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: str, shown: str) -> None:
    write_run(tmp_path, {"name": "x", "status": recorded, "stages": []})
    (tmp_path / LOCK).touch()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    result = summarise(tmp_path)
    assert result is not None and result["status"] == shown and result["held_by"] is None
    assert "No locks available" in result["lock_problem"]


def test_folder_or_link_in_place_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(InvalidInput) as error, run_lock(tmp_path, print):
        pytest.fail("a folder was locked")
    assert (error.value.found, error.value.allowed) == ("a folder", "a regular file")
    assert lock_state(tmp_path / LOCK)[0] == "free"
    (tmp_path / LOCK).rmdir()
    write_json(tmp_path / "other", {})
    (tmp_path / LOCK).symlink_to(tmp_path / "other")
    with pytest.raises(InvalidInput) as error, run_lock(tmp_path, print):
        pytest.fail("a link was followed")
    assert (error.value.found, error.value.allowed) == ("a link", "a regular file")
