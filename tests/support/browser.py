"""Headless Chromium for tests of pages, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

AXE = Path(__file__).parent / "axe" / "axe.min.js"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium; `Page` opens pages in it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install '.[test]'")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Page:
    """A page opened from disk, with its console messages and requests."""

    def __init__(self, chromium: Any, file: Path, *, width: int = 1280, scheme: str = "light") -> None:
        self.context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def close(self) -> None:
        """Close the page and its browser context."""
        self.context.close()

    def violations(self, within: str = "html") -> list[str]:
        """Return the serious and critical accessibility violations that axe-core finds within an element."""
        # Evaluated through the debugger, since the policy of the page refuses other scripts.
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        violations = self.page.evaluate("within => axe.run(within)", within)["violations"]
        return [
            f"{violation['id']}: {violation['nodes'][0]['html'][:300]}"
            for violation in violations
            if violation["impact"] in ("serious", "critical")
        ]
