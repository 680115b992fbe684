"""The page of ``wsss ask`` in a real browser: keyboard, touch, several people, and a killed server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import warm
from browser import AXE, needs_chromium
from walls import walls

from wsss.data.answers.answer_rows import Answer, read_answers

pytest.importorskip("starlette", reason="no starlette: pip install 'wsss[ask]'")
pytest.importorskip("uvicorn", reason="no uvicorn: pip install 'wsss[ask]'")
pytestmark = [needs_chromium, pytest.mark.slow]


class Server:
    """A process of ``wsss ask`` about photographs of walls, and its table."""

    def __init__(self, folder: Path, *options: object) -> None:
        if not (folder / "photos").is_dir():
            data = walls(folder / "data", count=3)
            shutil.copytree(data.root / "images", folder / "photos")
        self.table = folder / "answers.csv"
        words = [folder / "photos", "--answers", self.table, "--size", 9, *options]
        command = [*warm.command(), "ask", *map(str, words), "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]

    def kill(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.communicate()

    def rows(self) -> list[Answer]:
        return read_answers(self.table)

    def answers(self, person: str) -> list[str]:
        return [row.answer for row in self.rows() if row.annotator == person]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Any]:
    started: list[Server] = []

    def start(*options: object) -> Server:
        started.append(Server(tmp_path, *options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


class Visitor:
    """A person at a browser window of their own."""

    def __init__(self, chromium: Any, url: str, *, width: int = 1280, touch: bool = False, scheme: str = "light"):
        size = {"width": width, "height": 800}
        self.context = chromium.new_context(viewport=size, has_touch=touch, color_scheme=scheme)
        self.page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        if url != "about:blank":
            self.page.goto(url)
            self.page.wait_for_selector("#question:has-text('?')")

    def begin(self, name: str) -> None:
        self.page.locator("#name").fill(name)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("#shown:visible")

    def wait(self, done: int, message: str = "") -> None:
        """Wait until so many questions are answered, and the message is shown."""
        self.page.wait_for_selector(f"#done:text-is('{done}')", state="attached")
        self.page.wait_for_selector(f"#last:has-text('{message}')", state="attached")

    def press(self, key: str, done: int, message: str = "Saved") -> None:
        self.page.keyboard.press(key)
        self.wait(done, message)

    def violations(self) -> list[str]:
        # As in browser.Page: evaluated through the debugger.
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run()")["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


def test_keyboard_alone(chromium: Any, servers: Any) -> None:
    server = servers("--about", "mortar", "--count", 5)
    visitor = Visitor(chromium, server.url)
    visitor.page.locator("#keys").get_by_text("any part of it shows mortar").wait_for()
    visitor.page.keyboard.press("Control+A")  # the field of the name has the focus
    visitor.page.keyboard.type("annotator-1")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#shown:visible")
    first = visitor.page.locator("#picture").get_attribute("src")
    visitor.press("y", 1)
    visitor.press("n", 2)
    visitor.press("s", 3)
    visitor.press("u", 2, "Undone")
    visitor.press("Backspace", 1, "Undone")
    visitor.press("ArrowRight", 2)
    visitor.press("ArrowLeft", 3)
    visitor.page.keyboard.press("Control+u")  # a key of the browser
    visitor.press("n", 4)
    visitor.page.keyboard.press("n")
    visitor.page.wait_for_selector("#finished:visible")
    assert visitor.page.locator("#picture").get_attribute("src") != first
    assert server.answers("annotator-1") == ["yes", "no", "skip", "skip", "no", "yes", "no", "no", "no"]
    assert [row.undone for row in server.rows()] == [False] * 3 + [True] * 2 + [False] * 4
    visitor.page.keyboard.press("u")
    visitor.wait(4, "Undone")
    assert visitor.page.locator("#shown").is_visible()
    assert visitor.messages == []
    assert all(url.startswith((server.url, "data:")) for url in visitor.requests)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_touch_and_accessibility(chromium: Any, servers: Any, width: int, scheme: str) -> None:
    server = servers("--about", "mortar", "--count", 3)
    visitor = Visitor(chromium, server.url, width=width, touch=True, scheme=scheme)
    assert visitor.violations() == []
    visitor.page.locator("#name").fill("annotator-2")
    visitor.page.get_by_role("button", name="Start").tap()
    visitor.page.wait_for_selector("#shown:visible")
    assert visitor.violations() == []
    visitor.page.get_by_role("button", name="Yes").tap()
    visitor.wait(1, "Saved")
    visitor.page.get_by_role("button", name="No", exact=True).tap()
    visitor.wait(2, "Saved")
    visitor.page.get_by_role("button", name="Undo").tap()
    visitor.wait(1, "Undone")
    visitor.page.get_by_role("button", name="Cannot tell").tap()
    visitor.wait(2, "Saved")
    for button in visitor.page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 32 and box["x"] >= 0 and box["x"] + box["width"] <= width
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.page.evaluate("document.documentElement.scrollHeight") <= 800  # all of it is on the screen
    visitor.page.get_by_role("button", name="Summary").tap()
    visitor.page.wait_for_selector("#summary[open]")
    assert visitor.violations() == []
    visitor.page.keyboard.press("n")  # not an answer while the summary is open
    visitor.page.keyboard.press("Escape")
    assert server.answers("annotator-2") == ["yes", "no", "no", "skip"] and visitor.messages == []


def test_two_browsers_at_once(chromium: Any, servers: Any) -> None:
    server = servers("--about", "mortar", "--count", 4)
    first, second = Visitor(chromium, server.url), Visitor(chromium, server.url)
    first.begin("annotator-1")
    second.begin("annotator-2")
    for done in range(1, 4):
        first.press("y", done)
        second.press("n" if done == 2 else "y", done)
    assert server.answers("annotator-1") == ["yes"] * 3 and server.answers("annotator-2") == ["yes", "no", "yes"]
    second.page.get_by_role("button", name="Summary").click()
    second.page.wait_for_selector("#summary[open]")  # the page asks the server first
    text = second.page.locator("#summary-body").inner_text()
    assert server.rows()[2].item.id in text and text.count("disagreement") == 1
    again = Visitor(chromium, server.url)  # continues where annotator-1 is
    again.begin("annotator-1")
    again.wait(3)
    again.press("y", 4)
    again.page.get_by_role("button", name="annotator-1").click()  # another person continues at the same browser
    again.begin("annotator-2")
    again.wait(3)
    again.press("n", 4)
    assert server.answers("annotator-1")[-1] == "yes" and server.answers("annotator-2")[-1] == "no"


def test_a_killed_server_loses_no_answer(chromium: Any, servers: Any) -> None:
    first = servers("--about", "mortar", "--count", 30, "--port", 0)
    visitor = Visitor(chromium, first.url)
    visitor.begin("annotator-1")
    for done in range(1, 6):
        visitor.press("y", done)
    first.kill()
    visitor.page.keyboard.press("n")
    visitor.page.wait_for_selector("#problem:visible")
    assert "not saved" in visitor.page.locator("#problem").inner_text()
    assert visitor.page.locator("#done").inner_text() == "5"
    assert first.answers("annotator-1") == ["yes"] * 5
    with first.table.open("ab") as file:
        file.write(b"w0_00010_00010,w0,10,1")
    second = servers("--about", "mortar", "--count", 30)
    again = Visitor(chromium, second.url)
    again.begin("annotator-1")
    again.wait(5)
    again.press("n", 6)
    assert second.answers("annotator-1") == ["yes"] * 5 + ["no"]


def test_a_held_key_answers_once(chromium: Any, servers: Any) -> None:
    server = servers("--about", "mortar", "--count", 9, "--annotator", "annotator-1")
    visitor = Visitor(chromium, server.url)
    visitor.page.wait_for_selector("#shown:visible")
    visitor.page.get_by_role("button", name="Yes").focus()
    for number in range(5):  # repeated keydown events without keyup
        visitor.page.keyboard.down("Enter")
        visitor.page.wait_for_timeout(50)
        if number == 0:
            visitor.wait(1, "Saved")
    visitor.page.keyboard.up("Enter")
    visitor.press("n", 2)
    assert server.answers("annotator-1") == ["yes", "no"] and visitor.messages == []


def test_a_lost_reply_of_undo_withdraws_one_answer(chromium: Any, servers: Any) -> None:
    server = servers("--about", "mortar", "--count", 9, "--annotator", "annotator-1")
    visitor = Visitor(chromium, server.url)
    visitor.page.wait_for_selector("#shown:visible")
    for done in (1, 2, 3):
        visitor.press("y", done)
    lost: list[str] = []

    def lose(route: Any) -> None:
        if len(lost) < 2:
            lost.append(route.fetch().text())  # the server has replied, the page does not receive it
            route.abort()
        else:
            route.continue_()

    visitor.page.route("**/api/undo", lose)
    visitor.press("u", 2, "Undone")
    assert len(lost) == 2 and [row.undone for row in server.rows()] == [False] * 3 + [True]


def test_a_picture_that_is_not_shown_cannot_be_answered(chromium: Any, servers: Any) -> None:
    server = servers("--about", "mortar", "--count", 3, "--annotator", "annotator-1")
    visitor = Visitor(chromium, "about:blank")
    broken = [True]
    visitor.page.route("**/picture/0", lambda route: route.abort() if broken[0] else route.continue_())
    visitor.page.goto(server.url)
    visitor.page.wait_for_selector("#problem:visible")
    visitor.page.keyboard.press("y")
    assert visitor.page.get_by_role("button", name="Yes").is_disabled()
    assert visitor.page.get_by_role("button", name="Cannot tell").is_enabled() and server.rows() == []
    broken[0] = False
    visitor.page.wait_for_selector("#shown:visible")
    assert visitor.page.locator("#problem").is_hidden()
    visitor.press("y", 1)
    assert server.answers("annotator-1") == ["yes"]


def test_several_classes(chromium: Any, servers: Any) -> None:
    server = servers("--about", "mortar", "--about", "moss", "--count", 3, "--annotator", "annotator-1")
    visitor = Visitor(chromium, server.url, width=390)
    visitor.page.wait_for_selector("#shown:visible")  # without asking for a name
    visitor.page.keyboard.press("2")
    moss = visitor.page.get_by_role("button", name="moss")
    assert moss.get_attribute("aria-pressed") == "true" and visitor.violations() == []
    visitor.page.keyboard.press("1")
    visitor.page.keyboard.press("2")
    visitor.press("Enter", 1)
    assert moss.get_attribute("aria-pressed") == "false"
    visitor.press("n", 2)
    visitor.page.keyboard.press("Enter")  # nothing is chosen
    moss.click()  # has the focus now
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#finished:visible")
    assert visitor.violations() == []
    answers = [(row.name, row.answer) for row in server.rows()]
    assert answers == [("mortar", "yes"), ("moss", "no"), ("mortar", "no"), ("moss", "no"), ("mortar", "no"),
                       ("moss", "yes")]  # fmt: skip
