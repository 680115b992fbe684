"""What `wsss report` takes from the runs it is about: settings, stages, and where the page goes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsss.cli.echo import echo
from wsss.errors import InvalidInput
from wsss.pipeline.config.source import Source
from wsss.pipeline.config.spec import spec_from
from wsss.pipeline.plan.graph import Job, job_alone
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.stage_folder import read_record
from wsss.stages import STAGES
from wsss.stages.report import COMPARED, PAGE, compared_runs

PLACE = "the pipeline's own report (see run.json)"
LONGEST = 200
"""Bytes of a folder's name; file systems take 255."""


def own_report(run_dir: Path) -> tuple[Job, tuple[Path, ...]] | None:
    """Return the report stage of a run's pipeline (the first one), and the folders of the finished stages it takes.

    What it writes is then the same as what ``wsss run`` writes, and neither has to be made again after the other.
    ``None`` where the pipeline has no report, or this version can't read the pipeline; that is said.
    """
    run: Mapping[str, Any] = read_run(run_dir) or {}
    found = next((stage for stage in run.get("stages", []) if stage["uses"] == "report"), None)
    if found is None:
        return None
    try:
        spec = spec_from(Source(run.get("pipeline") or {}))
        job = job_alone(spec, STAGES, found["id"].partition("@")[0], found["id"])
    except InvalidInput as error:
        echo(f"The settings of the report in {run_dir / 'run.json'} can't be read: {error.message}", err=True)
        return None
    folders = [run_dir / need for need in found.get("needs", [])]
    return job, tuple(folder for folder in folders if (read_record(folder) or {}).get("status") == "done")


def settings_of(job: Job) -> Source:
    """Return a report stage's settings, to lay those of the command line over."""
    return Source(job.config.model_dump(mode="json"), {(): PLACE})


def comparison_folder(runs: Sequence[Path]) -> Path:
    """Return the folder for a comparison of runs where none is named: ``comparison-of-A-and-B``, here.

    Raises:
        InvalidInput: there is something else in that folder already.
    """
    names = [run.resolve().name for run in runs]
    text = "comparison-of-" + "-and-".join(names)
    short = os.fsencode(text)[:LONGEST].decode(errors="ignore")
    out = Path(text if short == text else f"{short}-and-others")
    if compared_runs(out) == [str(run.resolve()) for run in runs] or not (out.exists() or out.is_symlink()):
        return out
    what = (
        "the comparison of other runs"
        if compared_runs(out)
        else f"something that wsss report didn't make (no {COMPARED})"
    )
    raise InvalidInput(f"{out} holds {what}; {PAGE} is not written there.", hint="Say with --out DIR where it goes.")
