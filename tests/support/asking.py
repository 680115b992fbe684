"""A session about the walls of `walls`, and a client of its page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from walls import walls

from wsss.data.answers.annotation_session import AnnotationSession
from wsss.data.answers.answer_log import AnswerLog
from wsss.data.answers.answer_rows import Item
from wsss.data.answers.questions import QuestionsConfig, question_items
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample

TOKEN = "a-token-of-22-letters."


def bare_walls(root: Path, number: int = 4) -> Dataset:
    """Return walls without masks and labels."""
    data = walls(root, count=number)
    bare = tuple(Sample(one.id, one.image) for one in data.split("train"))
    return Dataset(data.name, data.root, data.classes, {"train": bare})


def clock() -> Any:
    """Return a function that returns another time at every call."""
    seconds = count()
    return lambda: f"2026-11-29T10:00:00.{next(seconds):06d}Z"


def session_at(
    path: Path, data: Dataset, *, classes: Sequence[str] = ("mortar",), lines: list[str] | None = None, **config: Any
) -> AnnotationSession:
    """Return a session about tiles of a dataset, with the table at ``path``."""
    items = question_items(data.split("train"), QuestionsConfig(**{"size": 9, "count": 12, **config}), seed=0)
    log = AnswerLog(path, (lines if lines is not None else []).append)
    return AnnotationSession(items, classes, log, now=clock())


def tile(item: str) -> Item:
    """Return the tile of an id of 9 pixels."""
    image, row, column = item.rsplit("_", 2)
    return Item(image, int(column), int(row), 9)


def client(session: AnnotationSession, data: Dataset, **settings: Any) -> Any:
    """Return a client of the application, with the base address of a browser on this machine."""
    from starlette.testclient import TestClient

    from wsss.server.ask_app import Questions, ask_app

    images = {sample.id: sample.source for sample in data.split("train")}
    app = ask_app(Questions(session, images, **settings), token=TOKEN, hosts=["127.0.0.1", "localhost"])
    return TestClient(app, base_url="http://127.0.0.1:8000", follow_redirects=False)
