"""The page of ``wsss report`` that compares several runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json, write_text
from wsss.io.files.json_files import read_json_object
from wsss.io.files.stage_files import PAGE
from wsss.pipeline.plan.external_inputs import changes_since
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.stage_folder import read_record
from wsss.stages.common.finished_stages import REPORT, finished_stages

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset
    from wsss.viz.report.run_page import Options

COMPARED = "compared.json"
"""Lists the runs that a page compares."""


def compare_runs(
    run_dirs: Sequence[Path],
    data: Dataset | None,
    options: Options,
    *,
    out: Path,
    workers: int,
    log: Callable[[str], None],
) -> Path:
    """Write a page that compares runs; return its path.

    Args:
        run_dirs: run directories; the first is the reference.
        data: the dataset of the runs; ``None`` for no pictures.
        options: see `build_runs_page`; an empty title becomes the names of the runs.
        out: folder of the page.
        workers: number of threads for thumbnails.
        log: receives warnings.

    Raises:
        InvalidInput: a run has no finished stage.
    """
    from wsss.viz.report.compare_runs import Run, build_runs_page
    from wsss.viz.report.pictures.gallery_layout import unread_text

    runs = []
    for name, folder in zip(_names(run_dirs), run_dirs, strict=True):
        record = read_run(folder) or {}
        settings = {"pipeline": record.get("name"), "seed": record.get("seed")}
        settings |= {"data": (record.get("pipeline") or {}).get("data") or {}}
        stages = finished_stages(folder, log)
        for stage in stages:
            changes = changes_since(stage.path, (read_record(stage.path) or {}).get("artifacts") or {})
            if changes:
                log(f"warning: report: {stage.path}: {changes}; they are used as they are.")
        runs.append(Run(name, tuple(stages), settings))
    page = build_runs_page(
        runs,
        data,
        replace(options, title=options.title or " | ".join(run.name for run in runs)),
        workers=workers,
        log_unread=lambda unread: log(f"report: {unread_text(unread)}"),
    )
    write_text(out / PAGE, page)
    write_json(out / COMPARED, {"made_by": "wsss report", "runs": [str(run.resolve()) for run in run_dirs]})
    return out / PAGE


def compared_runs(out: Path) -> list[str] | None:
    """Return the runs that the page in a folder compares; ``None`` without such a page."""
    record = read_json_object(out / COMPARED) or {}
    return record.get("runs") if record.get("made_by") == "wsss report" else None


def check_page_folder(out: Path) -> None:
    """Reject an output folder that is, or is inside, the folder of another stage.

    Raises:
        InvalidInput: ``out`` is such a folder.
    """
    for folder in (out.resolve(), *out.resolve().parents):
        record = read_record(folder)
        if record is not None and record.get("uses") != REPORT:
            raise InvalidInput(
                f"{folder} is the folder of the stage {record.get('id')!r} ({record.get('uses')})",
                subject=f"--out {out}",
                hint="Choose another folder.",
            )


def _names(run_dirs: Sequence[Path]) -> list[str]:
    """Return the folder names of the runs, with as many parent folders as make them unique."""
    parts = [folder.resolve().parts for folder in run_dirs]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(path[-length:]) for path in parts]
        if len(set(names)) == len(names):
            return names
    raise InvalidInput("duplicate run", subject=run_dirs[0], hint="Pass different runs.")
