from __future__ import annotations

import os
from pathlib import Path

import pytest

from wsss.io.process import shared_state
from wsss.io.process.shared_state import SLOT, Memory, State


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Shared memory with the state of this process during the test."""
    memory = Memory()
    for name, value in (("_memory", None), ("_writer", 0), ("_state", State())):
        monkeypatch.setattr(shared_state, name, value)
    shared_state.share(memory)
    return memory


def test_state_can_be_read(memory: Memory) -> None:
    shared_state.set_message("Interrupted. Résumé")
    shared_state.set_documents("{}", "[]")
    shared_state.set_current_items(["a", "b"])
    assert memory.read() == State("Interrupted. Résumé", "{}", "[]", ["a", "b"], [])
    assert shared_state.message() == "Interrupted. Résumé" and shared_state.current_items() == ["a", "b"]
    shared_state.clear_messages()
    assert memory.read() == State(items=["a", "b"])


def test_temporary_files_are_listed_inside_the_block(memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(KeyError), shared_state.deleted_if_killed(tmp_path / "x"):
        assert memory.read().paths == [str(tmp_path / "x")]
        raise KeyError
    assert memory.read().paths == []


def test_forked_process_does_not_write_the_state(memory: Memory) -> None:
    shared_state.set_message("of the parent")
    child = os.fork()
    if child == 0:
        shared_state.set_message("of the child")
        os._exit(0 if memory.read().message == "of the parent" and not shared_state.is_shared() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert memory.read().message == "of the parent" and shared_state.is_shared()


def test_state_that_is_too_large_is_dropped(memory: Memory) -> None:
    shared_state.set_message("short")
    shared_state.set_message("x" * SLOT)
    assert memory.read().message == "short"


def test_incomplete_write_keeps_the_former_state(memory: Memory) -> None:
    """A kill during a write leaves one half incomplete, and the index of the valid half unchanged."""
    shared_state.set_message("whole")
    other = 1 - memory._bytes[0]
    memory._bytes[1 + other * SLOT : 1 + other * SLOT + 9] = b'{"message'
    assert memory.read().message == "whole"


def test_nothing_is_shared_without_a_supervisor() -> None:
    assert not shared_state.is_shared()
    assert Memory().read() == State()


def test_delete(tmp_path: Path) -> None:
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "file").touch()
    shared_state.delete([str(tmp_path / name) for name in ("folder", "file", "gone")])
    assert list(tmp_path.iterdir()) == []
