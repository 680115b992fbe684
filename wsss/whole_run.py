"""A whole pipeline as a Python function, and the documents that ``wsss run --json`` prints.

result = wsss.run_pipeline("quickstart", {"segment.epochs": 2})
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput, Verbatim
from wsss.io.files.home_paths import expand_home
from wsss.io.files.stage_files import RUNS
from wsss.io.process.cores import worker_count
from wsss.io.text.yaml_text import yaml_text

if TYPE_CHECKING:
    from wsss.pipeline.plan.step import Step
    from wsss.pipeline.run.execute import RunResult


_OVERRIDES = 'a list of "KEY=VALUE", or a mapping'


def run_pipeline(
    path: str | os.PathLike[str],
    overrides: Iterable[str] | Mapping[str, Any] = (),
    run_dir: str | os.PathLike[str] | None = None,
    *,
    start: str | None = None,
    until: str | None = None,
    force: str | None = None,
    dry_run: bool = False,
    precision: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Run a pipeline as ``wsss run`` does: finished stages are skipped, an interrupted stage resumes.

    With several workers, call it inside ``if __name__ == "__main__":``, since they import the calling script.

    Args:
        path: name of a bundled pipeline (``"quickstart"``), a YAML file, or a folder written by ``wsss init``.
        overrides: settings such as ``{"segment.epochs": 2}``, or as on the command line ``["segment.epochs=2"]``.
        run_dir: folder of the run; by default ``runs/NAME``.
        start: first stage to run; all stages before it must be finished.
        until: last stage to run.
        force: stage to re-run, with all stages that depend on it.
        dry_run: only plan the run.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``, for all stages that train.
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
        workers: processes for per-image work; by default one per core. 0 or 1: only this process.
        quiet: no messages or progress on stderr, except a note when kernels are compiled for the first time.

    Returns:
        The document of ``wsss run --json``: ``run_dir``, ``status``, ``report`` and ``stages``, each with ``id``,
        ``uses``, ``status``, ``seconds`` and ``metrics``; for a dry run, each with ``action`` and ``reasons``.

    Raises:
        InvalidInput: invalid pipeline, override, dataset or argument.
        RunFailed: a stage failed, or another process works in the folder.

    Example:
        >>> import wsss
        >>> plan = wsss.run_pipeline("quickstart", {"data.train": 24}, "runs/small", dry_run=True)
        >>> plan["status"], plan["stages"][0]["uses"]
        ('planned', 'classify')
    """
    from wsss.pipeline.config.spec import load_spec
    from wsss.pipeline.plan.step import Choice
    from wsss.pipeline.processes.device import check_device
    from wsss.pipeline.processes.ranks import join_ranks
    from wsss.pipeline.run import execute
    from wsss.pipeline.run.progress import Reporter
    from wsss.pipeline.run.task import Session
    from wsss.stages import STAGES
    from wsss.train.config import PRECISIONS

    check_device(device)
    worker_count(workers)  # reject an invalid number before anything else
    if precision is not None and precision not in PRECISIONS:
        raise InvalidInput(subject="precision", found=precision, allowed=PRECISIONS)
    spec = load_spec(_pipeline(path), STAGES, _settings(overrides), precision=precision)
    folder = RUNS / spec.name if run_dir is None else expand_home(run_dir)
    choice = Choice(start, until, force, python=True)
    data: dict[str, Any] = {"open_data": open_data, "check_data": check_data}
    if dry_run:
        return plan_document(folder, execute.dry_run(spec, STAGES, run_dir=folder, choice=choice, **data))
    with join_ranks(device) as ranks:
        reporter = Reporter(quiet=quiet or ranks.rank != 0)
        session = Session(folder, device, worker_count(workers, ranks.size), reporter, ranks)
        result = execute.run_pipeline(spec, STAGES, session=session, choice=choice, **data)
        if result.error is not None:
            raise result.error
        return run_document(result)


def _pipeline(path: str | os.PathLike[str]) -> str:
    """Return the name or path of a pipeline, with a leading ``~`` expanded.

    Other paths are not normalised: ``./quickstart`` would become the name of a bundled pipeline.
    """
    text = os.fspath(path)
    return str(expand_home(text)) if text.startswith("~") else text


def _settings(overrides: Iterable[str] | Mapping[str, Any]) -> tuple[str, ...]:
    """Return overrides as on the command line.

    Raises:
        InvalidInput: neither a mapping of plain values nor a list of text.
    """
    if isinstance(overrides, Mapping):
        return tuple(f"{key}={_value_text(key, value)}" for key, value in overrides.items())
    if not isinstance(overrides, Iterable) or isinstance(overrides, str | bytes):
        raise InvalidInput(subject="overrides", found=overrides, allowed=_OVERRIDES)
    settings = tuple(overrides)
    wrong = next((setting for setting in settings if not isinstance(setting, str)), None)
    if wrong is not None:
        raise InvalidInput(subject="overrides", found=wrong, allowed=_OVERRIDES)
    return settings


def _value_text(key: object, value: Any) -> str:
    try:
        return yaml_text(value, default=_plain)
    except (TypeError, ValueError) as error:  # ValueError: bytes, or a mapping that contains itself
        raise InvalidInput(
            subject=f"overrides: {key}",
            found=Verbatim(type(value).__name__),
            allowed="text, a number, true or false, a path, None, or a list or mapping of these",
        ) from error


def _plain(value: Any) -> Any:
    """Return a NumPy value, a range or a path as a number, a list or text."""
    if isinstance(value, range):
        return list(value)
    return value.tolist() if hasattr(value, "tolist") else os.fspath(value)


def run_document(result: RunResult) -> dict[str, Any]:
    """Return the result of a run as the JSON document that ``wsss run --json`` prints."""
    stages = [
        {"id": o.id, "uses": o.uses, "status": o.status, "seconds": o.seconds, "metrics": dict(o.metrics)}
        for o in result.outcomes
    ]
    return _document(result.run_dir, result.status, stages, report=result.report)


def plan_document(run_dir: Path, steps: Iterable[Step]) -> dict[str, Any]:
    """Return the plan of a dry run as the JSON document that ``wsss run --dry-run --json`` prints."""
    stages = [
        {"id": step.job.id, "uses": step.job.stage.name, "action": action(step), "reasons": list(reasons(step))}
        for step in steps
    ]
    return _document(run_dir, "planned", stages)


def empty_document(run_dir: Path | None, status: str) -> dict[str, Any]:
    """Return the document of a run that ended without results."""
    return _document(run_dir, status, [])


def _document(
    run_dir: Path | None, status: str, stages: list[dict[str, Any]], *, report: Path | None = None
) -> dict[str, Any]:
    return {"run_dir": run_dir and str(run_dir), "status": status, "report": report and str(report), "stages": stages}


def action(step: Step) -> str:
    """Return ``run`` or ``skip``."""
    return "run" if step.runs else "skip"


def reasons(step: Step) -> tuple[str, ...]:
    """Return the reasons for the action of a planned stage."""
    if not step.selected and step.decision.action == "run":
        return ("excluded by --from or --until",)
    duplicate = (f"copied from {step.duplicate_of}, which is identical",) if step.duplicate_of else ()
    return (*step.decision.reasons, *duplicate)


def open_data(config: Mapping[str, Any], *, work: Path, log: Callable[[str], None], locate: Callable[..., str]) -> Any:
    """Open the dataset of a ``data:`` mapping; the `OpenData` of the engine."""
    from wsss.data.readers.registry import open_dataset

    return open_dataset(config, work=work, log=log, locate=locate)


def check_data(config: Mapping[str, Any], *, locate: Callable[..., str]) -> None:
    """Validate a ``data:`` mapping without opening the dataset; the `CheckData` of the engine.

    Raises:
        InvalidInput: unknown key, invalid value, or a root that is not a folder.
    """
    from wsss.data.readers.registry import AUTO, parse_config

    if config.get("layout", AUTO) == AUTO:  # the layout is detected in the folder
        _check_root(config, locate)
    parse_config(config, locate=locate)
    _check_root(config, locate)


def _check_root(config: Mapping[str, Any], locate: Callable[..., str]) -> None:
    root = config.get("root")
    if isinstance(root, str | Path) and not expand_home(root).is_dir():
        subject = ": ".join(part for part in (locate(("root",)), "data.root") if part)
        hint = "Set the dataset's folder: --set data.root=FOLDER"
        raise InvalidInput(f"no such folder: {root}", subject=subject, hint=hint)
