from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wsss.errors import InvalidInput, Obstructed, RunFailed
from wsss.io.files.atomic import (
    TEMPORARY,
    atomic_open,
    convert_os_errors,
    sha256_file,
    sweep,
    write_bytes,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_is_replaced_only_on_success(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")
    with pytest.raises(KeyError), atomic_open(path) as file:
        file.write(b"new, and only half")
        raise KeyError
    assert path.read_text() == "old"
    assert names(path.parent) == ["a.txt"]
    with atomic_open(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_killed_process_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    code = (
        "import sys, time; from pathlib import Path; from wsss.io.files.atomic import atomic_open\n"
        "with atomic_open(Path(sys.argv[1])) as file:\n"
        "    file.write(b'x' * 100000); file.flush(); print('half', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.glob(TEMPORARY + "*"))) == 1
    assert sweep(tmp_path) == 1
    assert names(tmp_path) == ["a.bin"]
    assert sweep(tmp_path) == 0


def test_json_is_strict_and_indented(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2.5], "ä": None})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"b": [1, 2.5], "ä": None}
    assert "ä" in text and text.endswith("}\n")
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(tmp_path / "b.json", {"x": number})
    assert not (tmp_path / "b.json").exists()


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some space"),
        (errno.EACCES, "--run-dir"),
        (errno.EROFS, "--run-dir"),
        (errno.ENOENT, "another folder"),
        (errno.EINVAL, "another folder"),
        (errno.ENOTSUP, "another folder"),
        (errno.ELOOP, "another folder"),
        (errno.EIO, "disk"),
        (errno.ESTALE, "disk"),
    ],
)
def test_system_errors_have_a_hint(tmp_path: Path, number: int, hint: str) -> None:
    with pytest.raises(RunFailed) as error, convert_os_errors(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert error.value.exit_code == 1 and error.value.subject == str(tmp_path / "a")
    assert hint in str(error.value.hint)


def test_missing_input_is_not_reported_as_unwritable_output(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(FileNotFoundError), atomic_open(tmp_path / "out" / "a"):
        (tmp_path / "other" / "none").read_bytes()


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailed):
        write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old" and names(tmp_path) == ["a"]


def test_text_that_is_not_utf8_is_invalid_input(tmp_path: Path) -> None:
    for write in (lambda path: write_text(path, "a r\udcff"), lambda path: write_json(path, {"a": "r\udcff"})):
        with pytest.raises(InvalidInput) as error:
            write(tmp_path / "a")
        assert "r\udcff" in str(error.value.found)
    assert names(tmp_path) == []


def test_obstructed_paths_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    for path in (tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        with pytest.raises(Obstructed) as error:
            write_text(path, "x")
        assert error.value.exit_code == 2 and str(error.value.hint).startswith("Choose another folder")
        assert error.value.subject == f"cannot write {path}: {tmp_path / 'a'}" and error.value.found == "a file"
    (tmp_path / "folder").mkdir()
    with pytest.raises(Obstructed) as error:
        write_text(tmp_path / "folder", "x")
    assert (error.value.subject, error.value.found) == (str(tmp_path / "folder"), "a folder")
    with pytest.raises(RunFailed):
        write_text(tmp_path / ("x" * 300), "x")
    assert names(tmp_path) == ["a", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RunFailed):
            write_text(tmp_path / "a", "x")
    finally:
        tmp_path.chmod(0o700)


def test_readers_never_see_partial_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"0" * 50_000)
    code = (
        "import sys; from pathlib import Path; from wsss.io.files.atomic import write_bytes\n"
        "for i in range(60): write_bytes(Path(sys.argv[1]), bytes([48 + i % 10]) * 50000)\n"
    )
    reads = 0
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as process:
        while process.poll() is None:
            content = path.read_bytes()
            assert len(content) == 50_000 and len(set(content)) == 1
            reads += 1
            time.sleep(0.001)
    assert process.returncode == 0 and reads > 10
