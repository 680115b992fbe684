"""Choices, and labels of boxes and regions, that were made in Label Studio, exported as JSON.

An export is a list of tasks; each has ``data`` (with the image's URL) and ``annotations`` (one per annotator, each with
a list of results). The shorter exports JSON-MIN and CSV are read by `wsss.data.importers.formats.labelstudio_min`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from wsss.data.importers.formats.labelstudio_min import CHOICE_KEYS, FORMAT, REGIONS
from wsss.data.importers.json.json_file import kind, read_json
from wsss.data.importers.rules.imported_labels import Entry, Labels, class_name, collect, either
from wsss.data.importers.rules.keys import LABEL_MEND, columns_of, image_key, label_keys
from wsss.data.importers.rules.presence import yes_and_no
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import split_in
from wsss.data.readers.label_rules import LABEL_KEYS, find_key
from wsss.errors import InvalidInput, counted, listing

SEVERAL = "labels read from one of several controls (--label-key NAME reads another)"
OF_A_MODEL = "images whose labels are a model's predictions, which nobody has checked"
PREDICTED = "tasks with predictions and no annotation, left unlabelled (--use-predictions reads them)"


class Result(NamedTuple):
    """One thing that was chosen: in which control, on which image, and which names.

    ``score`` is a model's confidence, ``where`` the place of the names.
    """

    control: str
    target: str
    kind: str
    names: tuple[str, ...]
    score: float | None
    where: str


@dataclass(frozen=True)
class _Task:
    where: str
    data: Mapping[str, Any]
    answers: tuple[tuple[Result, ...], ...]
    predicted: bool


def looks_like(content: Any) -> bool:
    """Whether a JSON document is a list of tasks; some may have no annotations yet."""
    tasks = isinstance(content, list) and all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in content
    )
    return tasks and any(_annotation_key(task) or isinstance(task.get("predictions"), list) for task in content)


def read(
    path: Path, *, label_key: str | None = None, use_predictions: bool = False, context: ReadContext | None = None
) -> Labels:
    """Read an export of tasks.

    Where several annotators have looked at an image it has the labels of all of them, and it is noted where they
    differ. Skipped (cancelled) annotations don't count; a task without any other has no labels. An annotation without
    a choice says that no class is in the image. Where nothing is chosen anywhere, the labels of boxes and other
    regions are read.

    Args:
        path: the file.
        label_key: name of the control, or several names separated by commas; by default the only one with choices,
            else one with a usual name, else the only one with labels of regions.
        use_predictions: tasks without annotation have the labels of their predictions.
        context: rules in force.

    Raises:
        InvalidInput: names file and key.
    """
    content = read_json(path)
    if not looks_like(content):
        raise InvalidInput(
            f"{path}: no Label Studio export: expected a list of tasks, each with the keys data and annotations.",
            hint="Export as JSON (or JSON-MIN).",
        )
    context = context or ReadContext()
    tasks = [_task(task, f"{path}: [{number}]", use_predictions) for number, task in enumerate(content)]
    _check_predictions(path, content, tasks, use_predictions)
    controls = {result.control: result.kind for task in tasks for answer in task.answers for result in answer}
    chosen = _chosen(path, controls, label_key, context)
    targets = {r.target for task in tasks for answer in task.answers for r in answer if r.control in chosen}
    key = image_key(
        columns_of(task.data for task in tasks),
        path,
        context,
        prefer=targets if len(targets) == 1 else (),
        served=True,
    )
    entries: list[Entry] = []
    for task, raw in zip(tasks, content, strict=True):
        image = _image(task, key)
        if task.answers:
            entries.append(_entry(image, task, chosen, context))
            if task.predicted:
                context.note(OF_A_MODEL, image)
        else:
            context.note(PREDICTED if raw.get("predictions") else "tasks that nobody has answered", image)
    choices = label_key is None and all(controls[name] == "choices" for name in chosen)
    return collect(FORMAT, yes_and_no(entries, context) if choices else entries, context=context)


def _annotation_key(task: dict[str, Any]) -> str:
    """Return ``annotations``, or what it was called before version 1.0."""
    return next((key for key in ("annotations", "completions") if isinstance(task.get(key), list)), "")


def _task(task: dict[str, Any], where: str, use_predictions: bool) -> _Task:
    key = _annotation_key(task)
    done = [a for a in _list(task[key], f"{where}.{key}") if not a.get("was_cancelled")] if key else []
    if not done and use_predictions and task.get("predictions"):
        key, done = "predictions", _list(task["predictions"], f"{where}.predictions")
    answers = [tuple(_results(a, f"{where}.{key}[{at}]", key == "predictions")) for at, a in enumerate(done)]
    return _Task(where, task["data"], tuple(answers), key == "predictions")


def _check_predictions(path: Path, content: list[dict[str, Any]], tasks: Sequence[_Task], used: bool) -> None:
    """Refuse a file without annotations, unless its predictions are to be used.

    Raises:
        InvalidInput: no annotation, or ``used`` without effect.
    """
    predicted = sum(bool(task.get("predictions")) for task in content)
    if not any(task.answers for task in tasks) and predicted:
        raise InvalidInput(
            f"{path}: {counted(predicted, 'task has', 'tasks have')} predictions and no annotation.",
            hint="Look through them in Label Studio and submit them, or take them as they are: --use-predictions",
        )
    if not any(task.answers for task in tasks):
        raise InvalidInput(f"{path}: none of the {len(tasks)} tasks has an annotation.", hint="Export annotated tasks.")
    if used and not any(task.predicted for task in tasks):
        raise InvalidInput(
            f"{path}: --use-predictions: no task without annotation has predictions.",
            hint="Leave --use-predictions out.",
        )


def _results(annotation: dict[str, Any], where: str, predicted: bool) -> Iterator[Result]:
    """Yield what was chosen in an annotation; comments, ratings and the like have no names."""
    for at, result in enumerate(_list(annotation.get("result"), f"{where}.result")):
        value = result.get("value")
        if not isinstance(value, dict):
            continue
        for chosen in [key for key in value if key == "choices" or key.endswith("labels")]:
            place = f"{where}.result[{at}].value.{chosen}"
            if not isinstance(value[chosen], list):
                raise InvalidInput(f"{place}: found {kind(value[chosen])}; expected a list of names.")
            names = tuple(dict.fromkeys(class_name(name, place) for name in value[chosen]))
            score = result.get("score", annotation.get("score")) if predicted else None
            control, target = (str(result.get(key) or "") for key in ("from_name", "to_name"))
            yield Result(control or chosen, target, chosen, names, score, place)


def _chosen(path: Path, controls: Mapping[str, str], label_key: str | None, context: ReadContext) -> tuple[str, ...]:
    """Return the controls that hold the labels.

    Args:
        path: of the file.
        controls: name → ``choices``, or what holds the labels of its regions.
        label_key: see `read`.
        context: takes the notes.

    Raises:
        InvalidInput: ``label_key`` names none of them, or several may be it.
    """
    if label_key is not None:
        chosen = label_keys(label_key, controls, path, what="control")
    else:
        choices = [name for name, what in controls.items() if what == "choices"]
        likely = choices or list(controls)
        usual = find_key(likely, (*CHOICE_KEYS, *LABEL_KEYS))
        if len(likely) > 1 and usual is None:
            raise InvalidInput(f"{path}: several controls may hold the labels: {listing(likely)}.", hint=LABEL_MEND)
        chosen = (usual,) if usual is not None and len(likely) > 1 else tuple(likely)
        left = listing(name for name in controls if name not in chosen)
        if left:
            context.note(SEVERAL, f"{chosen[0]}, not {left}")
    context.note(REGIONS, *(name for name in chosen if controls[name] != "choices"))
    return chosen


def _image(task: _Task, key: str | None) -> str:
    image = task.data.get(key) if key is not None else None
    if not isinstance(image, str) or not image:
        expected = "the key image, or a text that ends like one" if key is None else f"the key {key}"
        raise InvalidInput(f"{task.where}.data: no image is named here; expected {expected}.")
    return image


def _entry(image: str, task: _Task, chosen: Sequence[str], context: ReadContext) -> Entry:
    answers = [_presence(answer, chosen, context) for answer in task.answers]
    shown = [{name for name, there in answer.items() if there is not False} for answer in answers]
    if any(names != shown[0] for names in shown):
        context.note("images that annotators disagree on; all their labels are taken", image)
    found: dict[str, bool | None] = {}
    for answer in answers:
        for name, there in answer.items():
            found[name] = either(found.get(name, False), there)
    present = tuple(name for name, there in found.items() if there)
    unknown = tuple(name for name, there in found.items() if there is None)
    split = split_in(task.data, f"{task.where}.data")
    return Entry(image, present, task.where, split, unknown, explicit=len(present) < len(found))


def _presence(answer: Sequence[Result], chosen: Sequence[str], context: ReadContext) -> dict[str, bool | None]:
    """Return the names in one answer; ``None`` and false for those that a model was not sure of."""
    found: dict[str, bool | None] = {}
    for result in answer:
        if result.control in chosen:
            there = True if result.score is None else context.soft(result.score, result.where)
            for name in result.names:
                found[name] = either(found.get(name, False), there)
    return found


def _list(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidInput(f"{where}: found {kind(value)}; expected a list of objects.")
    return value
