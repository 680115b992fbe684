"""``wsss ask``: its usage in this process, and the server as a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from inprocess import document, refused, succeed
from learning import write_maps
from walls import walls

import wsss.server
from wsss.data.answers.answer_rows import HEADER, Answer, Item, answer_line, read_answers

needs_server = pytest.mark.skipif(
    None in map(find_spec, ("starlette", "uvicorn")), reason="no server: pip install 'wsss[ask]'"
)
TIME = "2026-11-29T10:00:00Z"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of images, without any other file."""
    data = walls(tmp_path / "data", count=3)
    shutil.copytree(data.root / "images", tmp_path / "photos")
    return tmp_path / "photos"


@contextmanager
def server(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Start ``wsss ask``; yield the process and the document that it prints."""
    command = [sys.executable, "-m", "wsss", "ask", *map(str, arguments), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        try:
            yield process, json.loads(line)
        finally:
            process.kill()


def call(url: str, body: Any = None) -> Any:
    """Return the JSON reply to a request."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


@needs_server
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_server_until_a_signal(photos: Path, tmp_path: Path, number: signal.Signals) -> None:
    table = tmp_path / "a.csv"
    arguments = (
        photos,
        "--about",
        "mortar",
        "--answers",
        table,
        "--count",
        6,
        "--size",
        9,
        "--annotator",
        "annotator-1",
    )
    with server(*arguments) as (process, printed):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{22}/", printed["url"])
        assert (printed["items"], printed["classes"], printed["done"]) == (6, ["mortar"], {})
        view = call(printed["url"] + "api/view")
        assert view["annotator"] == "annotator-1" and len(view["next"]) == 4
        body = {"index": view["next"][0]["index"], "answers": {"mortar": "yes"}}
        assert call(printed["url"] + "api/answer", body)["done"] == 1
        with pytest.raises(urllib.error.HTTPError) as error:
            call(printed["url"].replace("127.0.0.1", "localhost") + "../api/view")
        assert error.value.code == 404
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 128 + number and "Traceback" not in errors
        assert "wsss ask" in errors  # the command that continues
    assert [(row.answer, row.annotator) for row in read_answers(table)] == [("yes", "annotator-1")]
    with server(*arguments) as (process, printed):
        assert printed["done"] == {"annotator-1": 1}
        message = refused("ask", *arguments)
        assert str(table) in message


@needs_server
@pytest.mark.slow
def test_a_killed_server_loses_no_answer(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    arguments = (photos, "--about", "mortar", "--answers", table, "--count", 40, "--annotator", "annotator-1")
    confirmed: list[int] = []
    while len(confirmed) < 40:
        with server(*arguments) as (process, printed):
            view = call(printed["url"] + "api/view")
            assert view["done"] == len(confirmed)
            for _ in range(15):
                if view["next"]:
                    body = {"index": view["next"][0]["index"], "answers": {"mortar": "no"}}
                    view = call(printed["url"] + "api/answer", body)
                    confirmed.append(body["index"])
            os.kill(process.pid, signal.SIGKILL)  # and its child ends with it
            process.wait()
        with table.open("ab") as file:
            file.write(b"w0_00001_0")  # as if the machine had failed in the middle of a line
    assert len({row.item for row in read_complete(table)}) == 40 == len(set(confirmed))


def read_complete(table: Path) -> list[Answer]:
    table.write_bytes(table.read_bytes().rpartition(b"\n")[0] + b"\n")
    return read_answers(table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--about", "moss", "--data.classes", "[mortar]"), "moss"),
        *((("--about", name), "--about") for name in ("", " x ", "mor\ntar", "?mortar", "a;b", "a|b", "x\u202ey")),
        (("--about", "mortar", "--order", "uncertain"), "--run"),
        (("--about", "mortar", "--run", "."), "uncertain"),
        (("--about", "mortar", "--whole", "--count", 3), "--count"),
        (("--about", "mortar", "--size", 1), "--size"),
        (("--about", "mortar", "--split", "val"), "val"),
        (("--about", "mortar", "--size", 500), "500"),
        (("--about", "mortar", "--annotator", " "), "--annotator"),
        (("--about", "mortar", "--host", "example.com"), "example.com"),
        (("--about", "mortar", "--host", "0.0.0.0"), "0.0.0.0"),
        (("--about", "mortar", "--host", "203.0.113.7"), "203.0.113.7"),
        ((), "--about"),
        (tuple(word for number in range(10) for word in ("--about", f"c{number}")), "9"),
    ],
)
@needs_server
def test_invalid_usage(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused("ask", photos, *arguments)


@needs_server
def test_uncertain_order_needs_maps_of_all_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wsss.server import serve

    data = walls(tmp_path / "data", count=3)
    (data.root / "classes.txt").write_text("1 mortar\n")
    (data.root / "labels.csv").write_text("image_id,labels,split\n" + "".join(f"w{n},mortar,train\n" for n in range(3)))
    monkeypatch.setattr(serve, "serve", lambda app, bound: bound.close())
    write_maps(tmp_path / "maps", data)
    arguments = ("ask", data.root, "--order", "uncertain", "--run", tmp_path / "maps", "--count", 6)
    assert document(*arguments, "--answers", tmp_path / "a.csv")["items"] == 6
    (tmp_path / "maps" / "cams" / "w1.npz").unlink()
    assert str(tmp_path / "maps") in refused(*arguments, "--answers", tmp_path / "b.csv")


def answered(path: Path, *rows: tuple[str, str, str], size: int = 0) -> Path:
    answers = [Answer(Item(image, size=size), "mortar", answer, person, TIME) for image, answer, person in rows]
    path.write_text(HEADER + "".join(map(answer_line, answers)))
    return path


def test_summary_and_export(photos: Path, tmp_path: Path) -> None:
    table = answered(
        tmp_path / "a.csv", ("w0", "yes", "annotator-1"), ("w1", "no", "annotator-1"), ("w1", "yes", "[red]annotator-2")
    )
    given = ("ask", photos, "--about", "mortar", "--answers", table)
    found = document(*given, "--summary")
    assert found["classes"]["mortar"] == {"yes": 1, "no": 0, "ties": 1, "skipped": 0, "disagreements": 1}
    text = succeed(*given, "--summary").stdout
    assert "w1, mortar: yes [red]annotator-2; no annotator-1" in text
    written = document(*given, "--export", tmp_path / "labels.csv")
    assert (written["images"], written["without_answers"], written["labels_without_majority"]) == (2, 1, 1)
    assert (tmp_path / "labels.csv").read_text() == "image_id,labels\nw0,mortar\nw1,?mortar\n"
    tiles = answered(tmp_path / "b.csv", ("w0", "yes", "annotator-1"), size=9)
    message = refused(*given[:-1], tiles, "--export", tmp_path / "labels.csv")
    assert "expected whole images, got tiles of 9 pixels" in message
    for report in (("--summary",), ("--export", tmp_path / "labels.csv")):
        message = refused("ask", photos, "--about", "morter", "--answers", table, *report)
        assert "did you mean 'mortar'?" in message
    before = table.read_bytes()
    (tmp_path / "link.csv").symlink_to(table)
    for same in (table, tmp_path / "link.csv"):
        assert str(same) in refused(*given, "--export", same)
    assert table.read_bytes() == before


@pytest.mark.parametrize("word", ["ok", "Good", "unknown", "nan", "background", "yes", "1"])
def test_words_that_are_not_read_as_classes(photos: Path, tmp_path: Path, word: str) -> None:
    table = answered(tmp_path / "a.csv", ("w0", "yes", "annotator-1"))
    assert word in refused("ask", photos, "--about", word, "--answers", table, "--summary")
    text = table.read_text().replace("mortar", word)
    table.write_text(text)
    message = refused("ask", photos, "--about", "mortar", "--answers", table, "--export", tmp_path / "labels.csv")
    assert str(table) in message and not (tmp_path / "labels.csv").exists()


@needs_server
def test_one_class_after_the_other(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wsss.server import serve

    monkeypatch.setattr(serve, "serve", lambda app, bound: bound.close())
    table = answered(tmp_path / "a.csv", ("w0", "yes", "annotator-1"), ("w1", "no", "annotator-1"), size=18)
    table.write_bytes(table.read_bytes() + b"w1_00001_0")  # of a killed server
    given = ("ask", photos, "--answers", table, "--count", 4)
    found = document(*given, "--about", "moss")
    assert (found["classes"], found["items"], found["done"]) == (["moss"], 6, {"annotator-1": 0})
    assert document(*given)["classes"] == ["mortar"]  # what the table is about


@needs_server
def test_the_second_class_is_asked_about_the_tiles_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wsss.data.answers import annotation_session
    from wsss.server import serve

    data = walls(tmp_path / "data", count=3)
    (data.root / "classes.txt").write_text("1 mortar\n2 moss\n")
    (data.root / "labels.csv").write_text("image_id,labels,split\n" + "".join(f"w{n},mortar,train\n" for n in range(3)))
    monkeypatch.setattr(serve, "serve", lambda app, bound: bound.close())
    sessions: list[list[Item]] = []
    started = annotation_session.AnnotationSession

    def recorded(items: list[Item], *rest: object) -> object:
        sessions.append(items)
        return started(items, *rest)

    monkeypatch.setattr(annotation_session, "AnnotationSession", recorded)
    write_maps(tmp_path / "maps", data)
    table = tmp_path / "a.csv"
    given = ("ask", data.root, "--answers", table, "--order", "uncertain", "--run", tmp_path / "maps", "--count", 6)
    assert document(*given, "--about", "mortar")["items"] == 6
    rows = [Answer(item, "mortar", "yes", "annotator-1", TIME) for item in sessions[0]]
    table.write_text(HEADER + "".join(map(answer_line, rows)))
    assert document(*given, "--about", "moss")["items"] == 6
    assert set(sessions[1]) == set(sessions[0])
    assert document(*given, "--about", "mortar")["items"] == 12 and set(sessions[2][6:]) == set(sessions[0])


def test_export_and_summary_of_some_classes(photos: Path, tmp_path: Path) -> None:
    rows = [
        Answer(Item(image), name, answer, "annotator-1", TIME)
        for image, name, answer in (("w0", "cat", "yes"), ("w0", "dog", "yes"), ("w1", "dog", "yes"))
    ]
    table = tmp_path / "a.csv"
    table.write_text(HEADER + "".join(map(answer_line, rows)))
    given = ("ask", photos, "--answers", table)
    document(*given, "--export", tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text() == "image_id,labels\nw0,cat;dog\nw1,?cat;dog\n"
    written = document(*given, "--about", "cat", "--export", tmp_path / "cat.csv")
    assert (tmp_path / "cat.csv").read_text() == "image_id,labels\nw0,cat\n"
    assert (written["images"], written["without_answers"]) == (1, 2)
    assert list(document(*given, "--about", "dog", "--summary")["classes"]) == ["dog"]
    assert list(document(*given, "--summary")["classes"]) == ["cat", "dog"]


def test_a_table_without_answers_has_no_class_to_suggest(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER)
    message = refused("ask", photos, "--answers", tmp_path / "a.csv", "--about", "mortar", "--summary")
    assert "mortar" in message and "nothing" not in message


@pytest.mark.parametrize(
    "options",
    [
        ("--summary", "--export", "labels.csv"),
        *(("--summary", *words) for words in (("--whole",), ("--count", 1000), ("--port", 0), ("--annotator", "x"))),
        ("--export", "labels.csv", "--seed", 0),
    ],
)
def test_a_report_has_no_options_of_the_page(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    table = answered(tmp_path / "a.csv", ("w0", "yes", "annotator-1"))
    message = refused("ask", photos, "--about", "mortar", "--answers", table, *options)
    assert "--export" in message if "--summary" not in options else "--summary" in message
    assert not (tmp_path / "labels.csv").exists()


def test_tiles_of_a_plain_folder(photos: Path, tmp_path: Path) -> None:
    table = answered(
        tmp_path / "a.csv",
        ("w0", "yes", "annotator-1"),
        ("w1", "no", "annotator-1"),
        ("w1", "yes", "annotator-2"),
        size=9,
    )
    drawn = document("data", "tiles", photos, tmp_path / "t", "--answers", table)
    assert (drawn["tiles"], drawn["left_out_ties"], drawn["tile_size"]) == (1, 1, 9)
    text = succeed("data", "tiles", photos, tmp_path / "t", "--answers", table).stdout
    assert "1 tile: as many" in text and "2 people" in text
    assert "count" in refused("data", "tiles", photos, tmp_path / "u", "--answers", table, "--count", 5)
    assert "w9" in refused("data", "tiles", photos, tmp_path / "u", "--answers",
                           answered(tmp_path / "c.csv", ("w9", "no", "annotator-1"), size=9))  # fmt: skip


def test_images_in_subfolders_are_not_silently_left_out(photos: Path, tmp_path: Path) -> None:
    table = answered(tmp_path / "a.csv", ("w0", "yes", "annotator-1"))
    assert "in subfolders" not in succeed("ask", photos, "--answers", table, "--summary").stderr
    (photos / "deep").mkdir()
    shutil.copy(photos / "w0.png", photos / "deep" / "w0.png")
    logged = succeed("ask", photos, "--answers", table, "--summary").stderr
    notes = [line for line in logged.splitlines() if " in subfolders" in line]
    assert len(notes) == 1 and "1 image in subfolders not read" in notes[0]
    (tmp_path / "above").mkdir()
    photos.rename(tmp_path / "above" / "photos")
    message = refused("ask", tmp_path / "above", "--about", "mortar", "--answers", table)
    assert "all images are in subfolders" in message and "--data.files" in message
    (tmp_path / "above" / "files.csv").write_text("image_id,file\nw0,photos/w0.png\nother,photos/deep/w0.png\n")
    listed = ("--about", "mortar", "--answers", table, "--data.files", "files.csv")
    assert "mortar  1    0" in succeed("ask", tmp_path / "above", *listed, "--summary").stdout
    named = refused(
        "ask", tmp_path / "above", "--about", "mortar", "--answers", tmp_path / "b.csv", "--data.images", "photos"
    )
    assert "layout" in named and "in subfolders" not in named


def test_without_the_extra(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("starlette", "uvicorn")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("access", "ask_app", "serve"):
        monkeypatch.delitem(sys.modules, f"wsss.server.{name}", raising=False)
        monkeypatch.delattr(wsss.server, name, raising=False)
    monkeypatch.setitem(sys.modules, "starlette", None)
    message = refused("ask", photos, "--about", "mortar", "--answers", tmp_path / "a.csv")
    assert "pip install 'wsss[ask]'" in message and not (tmp_path / "a.csv").exists()
