"""Choices that were made in Label Studio, exported as JSON.

An export is a list of tasks; each has ``data`` (with the image's URL) and ``annotations`` (one per annotator, each with
a list of results). The shorter exports JSON-MIN and CSV are read by `wsss.data.importing.labelstudio_min`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsss.data.importing.jsonfile import kind, read_json
from wsss.data.importing.labels import Entry, Labels, class_name, collect
from wsss.data.importing.reading import Reading
from wsss.data.importing.urls import ends_like_an_image, image_of
from wsss.errors import InvalidInput


def looks_like(content: Any) -> bool:
    """Whether a JSON document is a list of tasks; some may have no annotations yet."""
    tasks = isinstance(content, list) and all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in content
    )
    return tasks and any(_annotation_key(task) for task in content)


def read(path: Path, *, label_key: str | None = None, reading: Reading | None = None) -> Labels:
    """Read an export of tasks.

    Where several annotators have looked at an image it has the labels of all of them, and it is noted where they
    differ. Skipped (cancelled) annotations don't count; a task without any other has no labels. An annotation without
    a choice says that no class is in the image.

    Raises:
        InvalidInput: names file and key.
    """
    content = read_json(path)
    if not looks_like(content):
        raise InvalidInput(
            f"{path}: no Label Studio export: expected a list of tasks, each with the keys data and annotations.",
            mend="Export as JSON (or JSON-MIN).",
        )
    entries: list[Entry] = []
    reading = reading or Reading()
    for number, task in enumerate(content):
        where = f"{path}: [{number}]"
        image = image_of(_url(task["data"], where))
        key = _annotation_key(task)
        done = [a for a in _list(task[key], f"{where}.{key}") if not a.get("was_cancelled")] if key else []
        if not done:
            reading.note("tasks that nobody has answered", image)
            continue
        answers = [_choices(annotation, f"{where}.{key}[{at}]") for at, annotation in enumerate(done)]
        if any(set(answer) != set(answers[0]) for answer in answers):
            reading.note("images that annotators disagree on; all their labels are taken", image)
        entries.append(Entry(image, tuple(dict.fromkeys(name for answer in answers for name in answer)), where))
    return collect("choices of Label Studio", entries, reading=reading)


def _annotation_key(task: dict[str, Any]) -> str:
    """Return ``annotations``, or what it was called before version 1.0."""
    return next((key for key in ("annotations", "completions") if isinstance(task.get(key), list)), "")


def _url(data: dict[str, Any], where: str) -> str:
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    for key, value in texts.items():
        if key == "image" or ends_like_an_image(value):
            return value
    raise InvalidInput(f"{where}.data: no image is named here; expected the key image, or a text that ends like one.")


def _list(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidInput(f"{where}: found {kind(value)}; expected a list of objects.")
    return value


def _choices(annotation: dict[str, Any], where: str) -> tuple[str, ...]:
    names: list[str] = []
    for at, result in enumerate(_list(annotation.get("result"), f"{where}.result")):
        value = result.get("value")
        if not isinstance(value, dict) or "choices" not in value:
            continue  # a box, a rating, a comment: other controls of the same task
        place = f"{where}.result[{at}].value.choices"
        if not isinstance(value["choices"], list):
            raise InvalidInput(f"{place}: found {kind(value['choices'])}; expected a list of names.")
        names += [class_name(name, place) for name in value["choices"]]
    return tuple(dict.fromkeys(names))
