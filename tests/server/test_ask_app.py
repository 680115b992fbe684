"""The application of ``wsss ask`` in this process: who is served, what is served, and what is saved."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import TOKEN, bare_walls, client, session_at
from PIL import Image

from wsss.data.answers.answer_rows import Item, read_answers
from wsss.data.answers.question_pictures import question_picture, tile_picture
from wsss.data.dataset import Dataset
from wsss.io.rasters.pixel_values.reading import ImageSource
from wsss.io.rasters.rgb_images import read_image, write_png

pytest.importorskip("starlette", reason="no starlette: pip install 'wsss[ask]'")
pytest.importorskip("uvicorn", reason="no uvicorn: pip install 'wsss[ask]'")

YES, NO, SKIP = ({"mortar": answer} for answer in ("yes", "no", "skip"))


class Asked:
    """A running session, with short forms of the requests."""

    def __init__(self, folder: Path, data: Dataset, **settings: Any) -> None:
        self.data, self.table = data, folder / "answers.csv"
        self.session = session_at(self.table, self.data)
        self.http = client(self.session, self.data, **settings)

    def get(self, path: str, **options: Any) -> Any:
        return self.http.get(f"/{TOKEN}/{path}", **options)

    def post(self, path: str, body: Any, **options: Any) -> Any:
        return self.http.post(f"/{TOKEN}/api/{path}", json=body, **options)

    def answer(self, index: int, answers: dict[str, str], annotator: str = "annotator-1") -> Any:
        reply = self.post("answer", {"annotator": annotator, "index": index, "answers": answers})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def undo(self, last: dict[str, Any], annotator: str = "annotator-1") -> Any:
        reply = self.post("undo", {"annotator": annotator, "index": last["index"], "time": last["time"]})
        assert reply.status_code == 200, reply.text
        return reply.json()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return bare_walls(tmp_path_factory.mktemp("walls"))


@pytest.fixture
def asked(tmp_path: Path, data: Dataset) -> Asked:
    return Asked(tmp_path, data)


PATHS = ("", "page.css", "page.js", "api/view", "api/summary", "picture/0", "unknown")


@pytest.mark.parametrize("path", PATHS)
def test_every_path_needs_the_token(asked: Asked, path: str) -> None:
    refusals = {
        (reply.status_code, reply.text)
        for prefix in ("wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é", "%00")
        for reply in [asked.http.get(f"/{prefix}/{path}")]
    }
    assert refusals == {(404, "Not Found")}  # whether or not the path exists
    assert asked.get(path).status_code == (404 if path == "unknown" else 200)


def test_nothing_is_served_without_a_token(asked: Asked) -> None:
    assert {asked.http.get(path).status_code for path in ("/", "//", "/favicon.ico", "/docs")} <= {404, 307}
    for path in ("answer", "undo"):
        assert asked.http.post(f"/wrong/api/{path}", json={"annotator": "x"}).status_code == 404
    assert read_answers(asked.table) == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "0.0.0.0", "192.168.0.2:8000", ""])
def test_names_of_other_hosts_are_refused(asked: Asked, host: str) -> None:
    reply = asked.get("api/view", headers={"Host": host})
    assert reply.status_code == 400 and "mortar" not in reply.text
    assert asked.get("api/view", headers={"Host": "localhost:9"}).status_code == 200


def test_pages_of_other_origins_cannot_answer(asked: Asked) -> None:
    body = {"annotator": "annotator-1", "index": 0, "answers": YES}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9000", "https://127.0.0.1:8000"):
        reply = asked.post("answer", body, headers={"Origin": origin})
        assert reply.status_code == 403 and origin in reply.json()["error"]
    plain = {"Content-Type": "text/plain"}  # what a form or a script can send without asking first
    assert asked.http.post(f"/{TOKEN}/api/answer", content=b"{}", headers=plain).status_code == 415
    assert asked.http.options(f"/{TOKEN}/api/answer").status_code == 405
    assert read_answers(asked.table) == []
    assert asked.post("answer", body, headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200


def test_answers_through_a_forwarded_port(asked: Asked) -> None:
    """``ssh -L 9000:127.0.0.1:8000``: the browser names its own port."""
    body = {"annotator": "annotator-1", "index": 0, "answers": YES}
    headers = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert asked.post("answer", body, headers=headers).status_code == 200
    evil = {"Host": "evil.example:9000", "Origin": "http://evil.example:9000"}
    assert asked.post("answer", body, headers=evil).status_code == 400


def test_headers_of_all_responses(asked: Asked) -> None:
    for reply in (asked.get(""), asked.get("unknown"), asked.http.get("/x/y"), asked.get("api/view")):
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert (
            reply.headers["referrer-policy"] == "no-referrer" and reply.headers["x-content-type-options"] == "nosniff"
        )
    assert asked.get("api/view").headers["cache-control"] == "no-store"
    assert "max-age" in asked.get("picture/0").headers["cache-control"]


def test_the_page_loads_nothing_from_elsewhere(asked: Asked) -> None:
    for name in ("", "page.css", "page.js"):
        text = asked.get(name).text
        assert "http://" not in text and "https://" not in text and "//cdn" not in text


@pytest.mark.parametrize(
    "path", ["../answers.csv", "..%2fanswers.csv", "%2e%2e/answers.csv", "w0.png", "-1", "12", "1e9", "9" * 5000]
)
def test_only_pictures_of_items_are_served(asked: Asked, path: str) -> None:
    reply = asked.get(f"picture/{path}")
    assert reply.status_code == 404 and b"item,image" not in reply.content


def test_the_picture_shows_the_tile_in_its_surroundings(asked: Asked) -> None:
    item = asked.session.items[0]
    reply = asked.get("picture/0")
    assert reply.headers["content-type"] == "image/png"
    shown = np.asarray(Image.open(io.BytesIO(reply.content)).convert("RGB"), float)
    image = read_image(asked.data.split("train")[0].image.parent / f"{item.image}.png")
    tile = image[item.y : item.y + item.size, item.x : item.x + item.size].astype(float)
    margin = round(0.75 * item.size)
    factor = shown.shape[0] // (item.size + 2 * margin)
    frame = shown[margin * factor : -margin * factor, margin * factor : -margin * factor]
    blocks = frame.reshape(item.size, factor, item.size, factor, 3).mean((1, 3))
    assert np.abs(blocks - tile).mean() < 6  # cubic interpolation, against a standard deviation of 14
    np.testing.assert_array_equal(shown[margin * factor - 2, margin * factor + 5], 255)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (31, 0), (0, 31), (31, 31), (15, 15)])
def test_the_border_of_an_image_is_not_mixed_into_a_tile(x: int, y: int) -> None:
    shown = tile_picture(np.full((40, 40, 3), 200, np.uint8), Item("w0", x, y, 9))
    margin = round(0.75 * 9)
    factor = shown.shape[0] // (9 + 2 * margin)
    np.testing.assert_array_equal(shown[margin * factor : -margin * factor, margin * factor : -margin * factor], 200)
    inside, beyond = int(200 * 0.4), int(128 * 0.4)
    assert set(np.unique(shown)) == ({200, 255, inside} if x == 15 else {200, 255, inside, beyond})


@pytest.mark.parametrize("shape", [(1, 6000), (6000, 1), (3000, 2000)])
def test_pictures_of_narrow_images(tmp_path: Path, shape: tuple[int, int]) -> None:
    write_png(tmp_path / "w.png", np.zeros((*shape, 3), np.uint8))
    content, _ = question_picture(Item("w"), ImageSource(tmp_path / "w.png"))
    assert max(Image.open(io.BytesIO(content)).size) == 1400


def test_answers_are_on_the_disk_when_confirmed(asked: Asked) -> None:
    for number, answers in enumerate((YES, NO, SKIP)):
        view = asked.answer(number, answers)
        row = read_answers(asked.table)[-1]
        assert (row.item, row.answer, row.annotator) == (asked.session.items[number], answers["mortar"], "annotator-1")
        assert view["done"] == number + 1 and view["next"][0]["index"] == number + 1
    assert len({row.time for row in read_answers(asked.table)}) == 3


def test_a_repeated_request_is_saved_once(asked: Asked) -> None:
    asked.answer(0, YES)
    asked.answer(0, YES)
    assert len(read_answers(asked.table)) == 1
    asked.answer(0, NO)  # a correction
    assert [row.answer for row in read_answers(asked.table)] == ["yes", "no"]


def test_undo_shows_the_same_item_again(asked: Asked) -> None:
    asked.answer(0, YES)
    last = asked.answer(1, NO)["last"]
    assert last["index"] == 1
    reply = asked.undo(last)
    assert reply["undone"] == asked.session.items[1].id and reply["next"][0]["index"] == 1 and reply["done"] == 1
    reply = asked.undo(reply["last"])
    assert reply["next"][0]["index"] == 0 and reply["last"] is None
    assert [(row.answer, row.undone) for row in read_answers(asked.table)] == [
        ("yes", False), ("no", False), ("no", True), ("yes", True),
    ]  # fmt: skip


def test_a_repeated_undo_withdraws_one_answer(asked: Asked) -> None:
    """A page repeats a request whose reply is lost."""
    for index in range(3):
        last = asked.answer(index, YES)["last"]
    first = asked.undo(last)
    content = asked.table.read_bytes()
    assert asked.undo(last) == first and first["done"] == 2 and asked.table.read_bytes() == content
    again = asked.answer(2, NO)
    assert asked.undo(last)["done"] == 3 and asked.undo(last)["next"][0]["index"] == 3  # answered again since then
    assert again["last"]["time"] != last["time"] and asked.undo(again["last"])["done"] == 2


def test_undo_leaves_what_the_page_does_not_ask_about(tmp_path: Path, data: Dataset) -> None:
    both = session_at(tmp_path / "a.csv", data, classes=("mortar", "moss"))
    both.answer("annotator-1", 0, {"mortar": "yes", "moss": "no"})
    both.answer("annotator-1", 11, {"mortar": "no", "moss": "no"})
    both._log.close()
    moss = session_at(tmp_path / "a.csv", data, classes=("moss",), count=11)
    last = moss.last("annotator-1")
    assert last is not None and (last.index, last.item) == (0, both.items[0])  # the other item is not asked about
    assert moss.undo("annotator-1", last.index, last.time) and moss.last("annotator-1") is None
    assert moss.ballot.of("annotator-1")[both.items[0]] == {"mortar": "yes"}
    moss._log.close()
    plants = session_at(tmp_path / "a.csv", data, classes=("plants",))
    assert plants.last("annotator-1") is None


def test_equal_answers_are_saved_once_beside_other_classes(tmp_path: Path, data: Dataset) -> None:
    first = session_at(tmp_path / "a.csv", data)
    first.answer("annotator-1", 0, YES)
    first._log.close()
    moss = session_at(tmp_path / "a.csv", data, classes=("moss",))
    for _ in range(2):
        moss.answer("annotator-1", 0, {"moss": "no"})
    assert [row.name for row in read_answers(tmp_path / "a.csv")] == ["mortar", "moss"]


def test_people_answer_independently(asked: Asked) -> None:
    asked.answer(0, YES, "annotator-1")
    view = asked.answer(0, NO, "annotator-2")
    assert view["done"] == 1 and view["last"]["id"] == asked.session.items[0].id
    asked.undo(view["last"], "annotator-3")
    assert len(read_answers(asked.table)) == 2
    summary = asked.get("api/summary").json()
    assert summary["disagreements"] == [
        {"item": asked.session.items[0].id, "class": "mortar", "yes": ["annotator-1"], "no": ["annotator-2"]}
    ]
    assert summary["annotators"] == {"annotator-1": 1, "annotator-2": 1} and summary["asked"] == 12


def test_a_fixed_name_cannot_be_changed_by_a_request(tmp_path: Path, data: Dataset) -> None:
    asked = Asked(tmp_path, data, annotator="annotator-1")
    asked.answer(0, YES, "annotator-2")
    assert {row.annotator for row in read_answers(asked.table)} == {"annotator-1"}
    assert asked.get("api/view").json()["fixed"] == "annotator-1"


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"annotator": "annotator-1", "index": 0},
        {"annotator": "annotator-1", "index": True, "answers": YES},
        {"annotator": "annotator-1", "index": 12, "answers": YES},
        {"annotator": "annotator-1", "index": -1, "answers": YES},
        {"annotator": "annotator-1", "index": 0, "answers": {}},
        {"annotator": "annotator-1", "index": 0, "answers": {"plaster": "yes"}},
        {"annotator": "annotator-1", "index": 0, "answers": {"mortar": "perhaps"}},
        {"annotator": "annotator-1", "index": 0, "answers": {"mortar": 1}},
        {"annotator": "", "index": 0, "answers": YES},
        {"annotator": "a\nb", "index": 0, "answers": YES},
        {"annotator": "a" * 65, "index": 0, "answers": YES},
        {"annotator": 7, "index": 0, "answers": YES},
    ],
)
def test_invalid_answers_are_refused(asked: Asked, body: Any) -> None:
    reply = asked.post("answer", body)
    assert reply.status_code == 400 and reply.json()["error"]
    assert read_answers(asked.table) == []


def test_damaged_and_large_requests_are_refused(asked: Asked) -> None:
    json = {"Content-Type": "application/json"}
    for content, code in ((b"{", 400), (b"\xff", 400), (b"[" * 1000, 400), (b" " * 70_000, 413)):
        assert asked.http.post(f"/{TOKEN}/api/answer", content=content, headers=json).status_code == code


def test_names_of_formulas_are_text_in_the_table(asked: Asked) -> None:
    asked.answer(0, YES, "=cmd|' /C calc'!A0")
    assert ",'=cmd|' /C calc'!A0," in asked.table.read_text()
    assert read_answers(asked.table)[0].annotator == "=cmd|' /C calc'!A0"


def test_an_answer_that_cannot_be_saved_is_not_confirmed(asked: Asked) -> None:
    asked.answer(0, YES)
    with asked.table.open("a") as file:  # another program writes to the table
        file.write("\n")
    reply = asked.post("answer", {"annotator": "annotator-1", "index": 1, "answers": NO})
    assert reply.status_code == 500 and "answers.csv" in reply.json()["error"]
    assert asked.get("api/view", params={"annotator": "annotator-1"}).json()["next"][0]["index"] == 1
    assert len(read_answers(asked.table)) == 1


def test_an_unreadable_image_is_an_error_of_its_picture_only(tmp_path: Path) -> None:
    asked = Asked(tmp_path, bare_walls(tmp_path / "data"))
    item = asked.session.items[0]
    image = next(sample.image for sample in asked.data.split("train") if sample.id == item.image)
    image.write_bytes(b"no image")
    assert asked.get("picture/0").status_code == 400
    assert asked.answer(0, SKIP)["done"] == 1


def test_many_people_at_once(asked: Asked) -> None:
    def work(name: str) -> None:
        for index in range(12):
            asked.answer(index, YES if (index + len(name)) % 2 else NO, name)

    threads = [threading.Thread(target=work, args=("x" * number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = read_answers(asked.table)
    assert len(rows) == 72 == len({(row.annotator, row.item) for row in rows})
    summary = asked.get("api/summary").json()
    assert summary["classes"]["mortar"]["ties"] == 12 == len(summary["disagreements"])


def test_several_classes_are_answered_together(tmp_path: Path, data: Dataset) -> None:
    session = session_at(tmp_path / "a.csv", data, classes=("mortar", "moss"))
    http = client(session, data, single_label=True)
    view = http.get(f"/{TOKEN}/api/view").json()
    assert view["classes"] == ["mortar", "moss"] and view["single_label"]
    body = {"annotator": "annotator-1", "index": 0, "answers": {"mortar": "no", "moss": "yes"}}
    assert http.post(f"/{TOKEN}/api/answer", json=body).json()["done"] == 1
    rows = read_answers(tmp_path / "a.csv")
    assert [(row.name, row.answer) for row in rows] == [("mortar", "no"), ("moss", "yes")]
    assert rows[0].time == rows[1].time
    last = session.last("annotator-1")
    assert last is not None and session.undo("annotator-1", last.index, last.time)
    assert session.progress("annotator-1").done == 0
    assert [row.undone for row in read_answers(tmp_path / "a.csv")] == [False, False, True, True]
