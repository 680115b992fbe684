from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from toycli import environment

from wsss.errors import RunFailed
from wsss.io.files.atomic import write_json
from wsss.pipeline.store.lock import HOLDER, LOCK, Holder, lock_of, read_holder, remove_if_empty, run_lock


def is_held(folder: Path) -> bool:
    return lock_of(folder)[0] == "held"


HOLD = """
import sys, time
from pathlib import Path
from wsss.pipeline.store.lock import run_lock
with run_lock(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    process = hold(tmp_path)
    try:
        assert is_held(tmp_path)
        holder = read_holder(tmp_path)
        assert holder is not None
        assert (holder.pid, holder.host) == (process.pid, socket.gethostname())
        with pytest.raises(RunFailed) as caught, run_lock(tmp_path, print):
            pytest.fail("two processes hold one lock")
        assert caught.value.subject == str(tmp_path) and f"process {process.pid} on" in caught.value.problem
        assert f"kill {process.pid}" in str(caught.value.hint)
        assert caught.value.exit_code == 1
    finally:
        process.kill()
        process.wait()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    process = hold(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_held(tmp_path)
    messages: list[str] = []
    with run_lock(tmp_path, messages.append):
        holder = read_holder(tmp_path)
        assert holder is not None
        assert holder.pid == os.getpid()
    assert len(messages) == 1
    assert f"from process {process.pid}" in messages[0]
    assert not (tmp_path / HOLDER).exists()


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    messages: list[str] = []
    with pytest.raises(KeyError), run_lock(tmp_path, messages.append):
        raise KeyError
    with run_lock(tmp_path, messages.append):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
    assert messages == []


ORPHAN = """
import fcntl, json, os, sys, time
lock = os.open(sys.argv[1] + "/.wsss-lock", os.O_CREAT | os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(2)
"""


@pytest.mark.slow
def test_wait_for_children_of_a_dead_holder(tmp_path: Path) -> None:
    """A forked child shares its parent's lock, and may outlive a killed parent for some seconds."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write_json(tmp_path / HOLDER, {"pid": dead.pid, "host": socket.gethostname(), "start": "then"})
    orphan = subprocess.Popen([sys.executable, "-c", ORPHAN, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert orphan.stdout is not None
    orphan.stdout.readline()
    assert is_held(tmp_path)
    messages: list[str] = []
    with run_lock(tmp_path, messages.append):
        assert orphan.wait(1) == 0
    assert "Waiting for child processes" in messages[0]
    assert "Taking over" in messages[1]


def test_holders(tmp_path: Path) -> None:
    assert not Holder(os.getpid(), socket.gethostname(), "").is_dead
    assert not Holder(1, socket.gethostname(), "").is_dead
    assert not Holder(2**22 + 12345, "elsewhere", "").is_dead
    assert Holder(2**22 + 12345, socket.gethostname(), "").is_dead
    assert read_holder(tmp_path) is None
    (tmp_path / HOLDER).write_text("{")
    assert read_holder(tmp_path) is None
    write_json(tmp_path / HOLDER, {"pid": 3})
    assert read_holder(tmp_path) is None


def test_reading_the_state_creates_no_file(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    assert not (tmp_path / LOCK).exists()


def test_an_empty_folder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On NFS the folder may remain, which hides no error."""
    new = tmp_path / "new"
    new.mkdir()
    (new / LOCK).touch()

    def full(self: Path) -> None:
        raise OSError(39, "Directory not empty")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rmdir", full)
        remove_if_empty(new)
    assert new.is_dir()
    remove_if_empty(new)
    assert not new.exists()
    (tmp_path / "stage.json").touch()
    remove_if_empty(tmp_path)
    assert (tmp_path / "stage.json").exists()
