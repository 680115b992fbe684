"""A person who knows the true masks, and answers the questions of ``wsss ask`` through the page's own interface."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from measured_command import WSSS
from numpy.typing import NDArray

Truth = Callable[[str], NDArray[np.uint8]]
"""Id of an image → its true mask, ``(H, W)`` class indices."""


@contextmanager
def asking(arguments: Sequence[str]) -> Iterator[str]:
    """Run ``wsss ask ARGUMENTS``, and yield the address of its page."""
    command = [*WSSS, "ask", *arguments, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(command)} has failed")
        try:
            yield json.loads(line)["url"]
        finally:
            process.terminate()


def answer_questions(
    url: str, annotator: str, classes: Mapping[str, int], truth: Truth, *, count: int, least: float = 0.05
) -> int:
    """Answer the next questions, and return their number.

    Yes if a class has at least the share ``least`` of the pixels of a tile or image, no if it has none, otherwise
    "cannot tell".

    Args:
        url: address of the page.
        annotator: name of the person.
        classes: name of each class that is asked about → its index in the masks.
        truth: returns the true masks.
        count: maximum number of answers.
        least: see above.
    """
    view = _call(f"{url}api/view?annotator={annotator}")
    answered = 0
    while view["next"] and answered < count:
        item = view["next"][0]
        tile = _shown(item["label"], int(view["size"]), truth)
        answers = {name: _answer(float((tile == index).mean()), least) for name, index in classes.items()}
        view = _call(f"{url}api/answer", {"annotator": annotator, "index": item["index"], "answers": answers})
        answered += 1
    return answered


def _answer(share: float, least: float) -> str:
    return "yes" if share >= least else "no" if share == 0 else "skip"


def _shown(label: str, size: int, truth: Truth) -> NDArray[np.uint8]:
    """Return the true mask of what the page shows: ``"wall_1, column 40, row 12"``, or a whole image."""
    if not size:
        return truth(label)
    image, column, row = label.rsplit(", ", 2)
    top, left = int(row.split()[1]), int(column.split()[1])
    return truth(image)[top : top + size, left : left + size]


def _call(url: str, body: Any = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)
