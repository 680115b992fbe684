"""The table of answers: its cells, and what a killed or failing process leaves."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from wsss.data.answers.answer_log import AnswerLog
from wsss.data.answers.answer_rows import HEADER, Answer, Item, answer_line, check_annotator, read_answers
from wsss.errors import InvalidInput, RunFailed

TIME = "2026-11-29T10:00:00.125Z"
ROWS = [
    Answer(Item("wall 1", 40, 12, 18), "mortar", "yes", "annotator-1", TIME),
    Answer(Item("wall 1", 40, 12, 18), "mortar", "yes", "annotator-1", TIME, undone=True),
    Answer(Item("-5"), "=SUM(A1)", "skip", '+"b", c', TIME),
]


def opened(path: Path, lines: list[str] | None = None) -> AnswerLog:
    return AnswerLog(path, (lines if lines is not None else []).append)


def written(path: Path, rows: list[Answer] = ROWS) -> bytes:
    """Write rows as the page does, and return the content of the table."""
    log = opened(path)
    for row in rows:
        log.append([row])
    log.close()
    return path.read_bytes()


def test_rows_read_back(tmp_path: Path) -> None:
    content = written(tmp_path / "deep" / "a.csv").decode()
    assert read_answers(tmp_path / "deep" / "a.csv") == ROWS
    lines = content.splitlines()
    assert lines[0] == "item,image,x,y,size,class,answer,annotator,time,undone"
    assert lines[1] == f"wall 1_00012_00040,wall 1,40,12,18,mortar,yes,annotator-1,{TIME},no"
    assert lines[3] == f"""-5,-5,,,,'=SUM(A1),skip,"'+""b"", c",{TIME},no"""  # a number, and text for spreadsheets


@pytest.mark.parametrize("cut", range(1, 90))
def test_a_torn_last_line_is_repaired_at_the_next_start(tmp_path: Path, cut: int) -> None:
    """However many bytes a killed process has written, all earlier rows remain, and at most the last one is removed."""
    path = tmp_path / "a.csv"
    content = written(path)
    path.write_bytes(content[:-cut])
    if cut == 1 or not content[:-cut].endswith(b"\n"):
        with pytest.raises(InvalidInput) as error:  # other readers do not guess
            read_answers(path)
        assert error.value.subject == str(path)
    lines: list[str] = []
    log = opened(path, lines)
    kept = 3 if cut == 1 else 2 if cut <= len(answer_line(ROWS[2]).encode()) + 1 else 1
    assert log.answers == ROWS[:kept] == read_answers(path)
    assert len(lines) == (path.read_bytes() != content[:-cut])
    log.append(ROWS[kept:])
    log.close()
    assert path.read_bytes() == content


@pytest.mark.parametrize("tail", [b"w0,w0,,,,mortar,yes,M\xc3", b"\0" * 500, b"w0,\xff\xfe", b'"w0,w0'])
def test_any_bytes_of_a_last_line_are_repaired(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.csv"
    content = written(path)
    path.write_bytes(content + tail)
    with pytest.raises(InvalidInput) as error:
        read_answers(path)
    assert error.value.problem == "the last line is incomplete"
    opened(path).close()
    assert path.read_bytes() == content


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    content = written(path).replace(b"annotator-1", b"Ann\xe4")
    path.write_bytes(content)
    for read in (opened, read_answers):
        with pytest.raises(InvalidInput) as error:
            read(path)
        assert "UTF-8" in error.value.problem
    assert path.read_bytes() == content


@pytest.mark.parametrize("separator", [";", "\t"])
def test_tables_with_the_separators_of_a_spreadsheet_are_refused(separator: str, tmp_path: Path) -> None:
    """As Excel saves CSV where the comma is the decimal sign: with a byte order mark and CRLF."""
    path = tmp_path / "a.csv"
    content = "\ufeff" + (HEADER + answer_line(ROWS[0])).replace(",", separator).replace("\n", "\r\n")
    path.write_bytes(content.encode())
    for read in (lambda: read_answers(path), lambda: AnswerLog(path, print)):
        with pytest.raises(InvalidInput) as caught:
            read()
        assert "commas" in str(caught.value.hint)
    assert path.read_bytes() == content.encode()
    path.write_bytes(content.replace(separator, ",").encode())
    assert read_answers(path) == [ROWS[0]]


@pytest.mark.parametrize("content", ["", "item,ima", HEADER[:-1], HEADER])
def test_a_table_cut_off_in_its_header_starts_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    log = opened(path)
    log.append(ROWS[:1])
    log.close()
    assert read_answers(path) == ROWS[:1]


INVALID = {
    "another table": ("image_id,labels\nw0,mortar\n", "a.csv"),
    "half a line": (HEADER + f"w0,w0,,,,mortar,yes,annotator-1,{TIME},no\nw0,w0,,,\n", "line 3"),
    "two lines in one": (HEADER + f"w0,w0,,,,mor w0,w0,,,,mortar,yes,annotator-1,{TIME},no\n", "line 2"),
    "an unknown answer": (HEADER + f"w0,w0,,,,mortar,maybe,annotator-1,{TIME},no\n", "answer"),
    "an unknown mark": (HEADER + f"w0,w0,,,,mortar,yes,annotator-1,{TIME},\n", "undone"),
    "a path as an image": (HEADER + f"../w0,../w0,,,,mortar,yes,annotator-1,{TIME},no\n", "line 2"),
    "half a position": (HEADER + f"w0,w0,3,,,mortar,yes,annotator-1,{TIME},no\n", "x, y, size"),
    "a negative position": (HEADER + f"w0,w0,-3,1,9,mortar,yes,annotator-1,{TIME},no\n", "x, y, size"),
    "a fraction": (HEADER + f"w0,w0,1.5,1,9,mortar,yes,annotator-1,{TIME},no\n", "x, y, size"),
    "a size of 0": (HEADER + f"w0,w0,1,1,0,mortar,yes,annotator-1,{TIME},no\n", "x, y, size"),
    "another item": (HEADER + f"w1,w0,,,,mortar,yes,annotator-1,{TIME},no\n", "item"),
    "no class": (HEADER + f"w0,w0,,,,,yes,annotator-1,{TIME},no\n", "line 2"),
    "no name": (HEADER + f"w0,w0,,,,mortar,yes,,{TIME},no\n", "line 2"),
    "no time": (HEADER + "w0,w0,,,,mortar,yes,annotator-1,yesterday,no\n", "time"),
    "an open quote": (HEADER + f'w0,w0,,,,"mortar,yes,annotator-1,{TIME},no\n', "line"),
}


@pytest.mark.parametrize("kind", INVALID)
def test_an_invalid_table_is_not_changed(tmp_path: Path, kind: str) -> None:
    path, (content, subject) = tmp_path / "a.csv", INVALID[kind]
    path.write_text(content + "w0,torn")
    for read in (opened, read_answers):
        with pytest.raises(InvalidInput) as error:
            read(path)
        assert subject in str(error.value.subject) or read is read_answers
    assert path.read_text() == content + "w0,torn"
    path.write_text(content)
    with pytest.raises(InvalidInput) as error:
        read_answers(path)
    assert subject in str(error.value.subject)


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    content = written(path).decode().replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert read_answers(path) == ROWS
    log = opened(path)
    log.append(ROWS[:1])
    log.close()
    assert read_answers(path) == [*ROWS, ROWS[0]]


@pytest.mark.slow
def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    first = opened(tmp_path / "a.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    for name in ("a.csv", "link.csv"):
        with pytest.raises(InvalidInput):
            opened(tmp_path / name)
    first.close()
    opened(tmp_path / "link.csv").close()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_processes_that_start_together_do_not_replace_the_table(tmp_path: Path, number: int) -> None:
    """One of them creates and locks it; none of its rows is lost."""
    program = (
        "import sys; from pathlib import Path\n"
        "from wsss.data.answers.answer_log import AnswerLog\n"
        "from wsss.data.answers.answer_rows import Answer, Item\n"
        "from wsss.errors import InvalidInput\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try:\n"
        "    log = AnswerLog(Path(sys.argv[1]), print)\n"
        "    log.append([Answer(Item(sys.argv[2]), 'mortar', 'yes', 'annotator-1', '2026-11-29T10:00:00Z')])\n"
        "    print('saved', flush=True)\n"
        "    sys.stdin.readline()\n"
        "except InvalidInput:\n"
        "    print('in use', flush=True)\n"
    )
    path = tmp_path / "new" / "a.csv"
    command = [sys.executable, "-c", program, str(path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes: list[Any] = [subprocess.Popen([*command, f"w{image}"], **pipes) for image in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    replies = [process.stdout.readline().strip() for process in processes]
    for process in processes:
        process.communicate("\n", timeout=20)
    assert sorted(replies) == ["in use"] * 3 + ["saved"]
    assert [row.item.image for row in read_answers(path)] == [f"w{replies.index('saved')}"]


@pytest.mark.parametrize("change", ["append", "shorten", "replace", "delete"])
def test_a_table_changed_by_another_program_is_not_written_to(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.csv"
    log = opened(path)
    log.append(ROWS[:1])
    content = path.read_bytes()
    other = {"append": content + b"x", "shorten": content[:-5], "replace": content, "delete": None}[change]
    if change in ("replace", "delete"):
        path.rename(tmp_path / "old.csv")
    if other is not None:
        path.write_bytes(other)
    with pytest.raises(RunFailed):
        log.append(ROWS[1:2])
    log.close()
    assert (path.read_bytes() if path.exists() else None) == other


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write, calls = opened(tmp_path / "a.csv"), os.pwrite, []

    def full(descriptor: int, content: bytes, offset: int) -> int:
        calls.append(len(content))
        if len(calls) == 1:
            return write(descriptor, content[:20], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    log.append(ROWS[:1])
    before = (tmp_path / "a.csv").read_bytes()
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RunFailed):
        log.append(ROWS[1:2])
    assert calls[1] == calls[0] - 20 and (tmp_path / "a.csv").read_bytes() == before
    monkeypatch.setattr(os, "pwrite", write)
    log.append(ROWS[1:])
    log.close()
    assert read_answers(tmp_path / "a.csv") == ROWS


def test_rows_are_flushed_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, flushed = opened(tmp_path / "a.csv"), []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_size))
    log.append(ROWS[:1])
    log.append(ROWS[1:])
    log.close()
    assert flushed == [len(HEADER) + len(answer_line(ROWS[0])), (tmp_path / "a.csv").stat().st_size]


def test_a_killed_process_loses_no_confirmed_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    program = (
        "import sys; from pathlib import Path\n"
        "from wsss.data.answers.answer_log import AnswerLog\n"
        "from wsss.data.answers.answer_rows import Answer, Item\n"
        "log = AnswerLog(Path(sys.argv[1]), print)\n"
        "for number in range(10**6):\n"
        "    log.append([Answer(Item('w', number, 0, 9), 'mortar', 'yes', 'annotator-1', '2026-11-29T10:00:00Z')])\n"
        "    print(number, flush=True)\n"
    )
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            confirmed = [process.stdout.readline() for _ in range(20)]
            threading.Timer(0.05, process.send_signal, [signal.SIGKILL]).start()
            confirmed += process.stdout.readlines()
        assert process.returncode == -signal.SIGKILL
        log = opened(path)
        log.close()
        last = int(confirmed[-1]) if confirmed[-1].endswith("\n") else int(confirmed[-2])
        assert [row.item.x for row in log.answers][: last + 1] == list(range(last + 1))
        path.unlink()


@pytest.mark.parametrize("name", ["", " ", " annotator-1", "a\tb", "a\u202eb", "a" * 65, "a\nb"])
def test_invalid_names_of_people(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_annotator(name)
    assert check_annotator("Mu\u0308ller") == "M\u00fcller"  # as typed on another system
    assert check_annotator("Ein Name mit Übergröße 2") == "Ein Name mit Übergröße 2"
