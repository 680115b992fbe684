"""Label Studio's JSON export: choices, and labels of boxes and other regions.

An export is a list of tasks. Each has ``data`` (including the image's URL) and ``annotations`` (one per annotator, each
with a list of results). `wsss.data.importers.formats.labelstudio_min` reads the shorter exports JSON-MIN and CSV.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from wsss.data.importers.formats.labelstudio_min import CHOICE_KEYS, FORMAT, REGIONS, image_of
from wsss.data.importers.json.json_file import objects, read_json, wrong_type
from wsss.data.importers.rules.collect_labels import collect
from wsss.data.importers.rules.imported_labels import Entry, Labels, any_present, class_name, explicit_entry
from wsss.data.importers.rules.keys import LABEL_HINT, columns_of, image_key, label_keys
from wsss.data.importers.rules.presence import yes_and_no
from wsss.data.importers.rules.read_context import ReadContext
from wsss.data.importers.rules.split_names import split_in
from wsss.data.importers.rules.task_answers import decisive, submitted
from wsss.data.readers.label_rules import LABEL_KEYS, find_key
from wsss.errors import InvalidInput, counted, listing

SEVERAL = "labels taken from one of several controls (--label-key NAME: another)"
PREDICTED = "images with the labels of a model's predictions, not checked by an annotator"
ONLY_PREDICTED = "tasks with predictions but no annotation, left unlabelled (--use-predictions reads them)"
UNANSWERED = "tasks without an annotation"
OVERRULED = "images with several annotations; only those marked as ground truth are used"
DISAGREEMENT = "images on which annotators disagree; all their labels are kept"


class _Result(NamedTuple):
    """The names chosen in one control for one image.

    ``score`` is the confidence of a model; ``where`` is the location of the names in the file.
    """

    control: str
    target: str
    kind: str
    names: tuple[str, ...]
    score: float | None
    where: str


@dataclass(frozen=True)
class _Task:
    """An image with its annotations or predictions, each of them a list of results.

    ``overruled`` if other annotations were left out because these are marked as ground truth.
    """

    where: str
    data: Mapping[str, Any]
    answers: tuple[tuple[_Result, ...], ...]
    predicted: bool
    overruled: bool


def looks_like(content: Any) -> bool:
    """Return whether a JSON document is a list of tasks; some may have no annotations."""
    tasks = isinstance(content, list) and all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in content
    )
    return tasks and any(isinstance(task.get(key), list) for task in content for key in ("annotations", "predictions"))


def read(path: Path, context: ReadContext) -> Labels:
    """Read an export of tasks.

    An image has the labels of all its annotators; disagreements are noted. If a reviewer marked annotations as ground
    truth, only these are used. Cancelled (skipped) annotations are ignored; a task that has no others is unlabelled. An
    annotation without a choice means that the image shows no class. If the project has no choices, the labels of boxes
    and other regions are read. Without a ``label_key``, the labels come from the only control with choices, a control
    with a usual name, or the only control with labels of regions.

    Raises:
        InvalidInput: the file is not a valid export; names file and key.
    """
    content = read_json(path)
    if not looks_like(content):
        raise InvalidInput(
            "not a Label Studio export",
            subject=path,
            allowed="a list of tasks with the keys data and annotations",
            hint="Export as JSON (or JSON-MIN).",
        )
    options = context.options
    tasks = [_task(task, f"{path}: [{number}]", options.use_predictions) for number, task in enumerate(content)]
    _check_predictions(path, content, tasks, options.use_predictions)
    results = [result for task in tasks for answer in task.answers for result in answer]
    controls = {result.control: result.kind for result in results}
    chosen = _chosen(path, controls, context)
    targets = {result.target for result in results if result.control in chosen}
    columns = columns_of(task.data for task in tasks)
    key = image_key(columns, path, context, prefer=targets if len(targets) == 1 else (), served=True)
    entries: list[Entry] = []
    for task, raw in zip(tasks, content, strict=True):
        image = image_of(task.data, key, f"{task.where}.data")
        if task.answers:
            entries.append(_entry(image, task, chosen, context))
            if task.predicted:
                context.note(PREDICTED, image)
            if task.overruled:
                context.note(OVERRULED, image)
        else:
            context.note(ONLY_PREDICTED if raw.get("predictions") else UNANSWERED, image)
    choices = options.label_key is None and all(controls[name] == "choices" for name in chosen)
    return collect(FORMAT, yes_and_no(entries, context) if choices else entries, context)


def _task(task: dict[str, Any], where: str, use_predictions: bool) -> _Task:
    key = "annotations"
    valid = submitted(objects(task[key], f"{where}.{key}") if isinstance(task.get(key), list) else [])
    answers = decisive(valid)
    if not valid and use_predictions and task.get("predictions"):
        key = "predictions"
        answers = dict(enumerate(objects(task[key], f"{where}.{key}")))
    predicted = key == "predictions"
    results = [tuple(_results(answer, f"{where}.{key}[{at}]", predicted)) for at, answer in answers.items()]
    overruled = len(valid) > len(answers)
    return _Task(where, task["data"], tuple(results), predicted, overruled)


def _check_predictions(path: Path, content: list[dict[str, Any]], tasks: Sequence[_Task], used: bool) -> None:
    """Require annotations, or predictions that are ``used``."""
    predicted = sum(bool(task.get("predictions")) for task in content)
    if not any(task.answers for task in tasks) and predicted:
        raise InvalidInput(
            f"no annotations; {counted(predicted, 'task has', 'tasks have')} predictions",
            subject=path,
            hint="Review and submit them in Label Studio, or import them unreviewed: --use-predictions",
        )
    if not any(task.answers for task in tasks):
        raise InvalidInput(
            f"none of the {counted(len(tasks), 'task')} has an annotation", subject=path, hint="Export annotated tasks."
        )
    if used and not any(task.predicted for task in tasks):
        raise InvalidInput(
            "no effect: no unannotated task has predictions",
            subject=f"{path}: --use-predictions",
            hint="Omit --use-predictions.",
        )


def _results(answer: dict[str, Any], where: str, predicted: bool) -> Iterator[_Result]:
    """Yield the chosen names; results such as comments and ratings are skipped."""
    for at, result in enumerate(objects(answer.get("result"), f"{where}.result")):
        value = result.get("value")
        if not isinstance(value, dict):
            continue
        for kind in [key for key in value if key == "choices" or key.endswith("labels")]:
            names_at = f"{where}.result[{at}].value.{kind}"
            if not isinstance(value[kind], list):
                raise wrong_type(value[kind], names_at, "a list of names")
            names = tuple(dict.fromkeys(class_name(name, names_at) for name in value[kind]))
            score = result.get("score", answer.get("score")) if predicted else None
            control, target = (str(result.get(key) or "") for key in ("from_name", "to_name"))
            yield _Result(control or kind, target, kind, names, score, names_at)


def _chosen(path: Path, controls: Mapping[str, str], context: ReadContext) -> tuple[str, ...]:
    """Return the controls that hold the labels; ``controls`` maps names to ``choices`` or the key of region labels."""
    if context.options.label_key is not None:
        chosen = label_keys(context.options.label_key, controls, path, what="control")
    else:
        candidates = [name for name, kind in controls.items() if kind == "choices"] or list(controls)
        usual = find_key(candidates, (*CHOICE_KEYS, *LABEL_KEYS))
        if len(candidates) > 1 and usual is None:
            raise InvalidInput("several controls may hold the labels", subject=path, found=candidates, hint=LABEL_HINT)
        chosen = (usual,) if usual is not None and len(candidates) > 1 else tuple(candidates)
        others = listing(name for name in controls if name not in chosen)
        if others:
            context.note(SEVERAL, f"{chosen[0]}, not {others}")
    context.note(REGIONS, *(name for name in chosen if controls[name] != "choices"))
    return chosen


def _entry(image: str, task: _Task, chosen: Sequence[str], context: ReadContext) -> Entry:
    answers = [_presence(answer, chosen, context) for answer in task.answers]
    shown = [{name for name, present in answer.items() if present is not False} for answer in answers]
    if any(names != shown[0] for names in shown):
        context.note(DISAGREEMENT, image)
    presence: dict[str, bool | None] = {}
    for answer in answers:
        for name, value in answer.items():
            presence[name] = any_present(presence.get(name, False), value)
    entry = explicit_entry(image, presence, task.where, split_in(task.data, f"{task.where}.data"))
    return replace(entry, explicit=not all(presence.values()))


def _presence(answer: Sequence[_Result], chosen: Sequence[str], context: ReadContext) -> dict[str, bool | None]:
    """Return the names in one answer and whether they are present; for predictions, this depends on the score."""
    presence: dict[str, bool | None] = {}
    for result in answer:
        if result.control in chosen:
            present = True if result.score is None else context.soft(result.score, result.where)
            for name in result.names:
                presence[name] = any_present(presence.get(name, False), present)
    return presence
