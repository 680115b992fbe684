"""Settings, stages and output folder of `wsss report`, taken from its runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from wsss.cli.echo import echo
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import PAGE
from wsss.io.text.instance_ids import read_instance_id
from wsss.pipeline.config.source import Source
from wsss.pipeline.config.spec import spec_from
from wsss.pipeline.plan.graph import job_alone
from wsss.pipeline.plan.job import Job
from wsss.pipeline.store.outdated import note_left_out, records_of_run
from wsss.pipeline.store.run_folder import read_run
from wsss.stages import STAGES
from wsss.stages.common.compared_runs import COMPARED, compared_runs

LOCATION = "the pipeline's own report (see run.json)"
MAX_NAME_BYTES = 200
"""Maximum length of a folder name; file systems allow 255."""


def own_report(run_dir: Path) -> tuple[Job, tuple[Path, ...]] | None:
    """Return the (first) report stage of a run's pipeline, and the folders of its finished inputs.

    The command then writes the same page as ``wsss run``, and neither invalidates the other's result. ``None`` if the
    pipeline has no report, or if this version cannot read the pipeline, which is printed.
    """
    run: Mapping[str, Any] = read_run(run_dir) or {}
    stage = next((stage for stage in run.get("stages", []) if stage["uses"] == "report"), None)
    if stage is None:
        return None
    try:
        spec = spec_from(Source(run.get("pipeline") or {}))
        job = job_alone(spec, STAGES, read_instance_id(stage["id"])[0], stage["id"])
    except InvalidInput as error:
        echo(f"The settings of the report in {run_dir / 'run.json'} cannot be read: {error.message}", err=True)
        return None
    all_records = records_of_run(run_dir, run)
    records = {need: all_records.get(need, {}) for need in stage.get("needs", [])}
    note_left_out(run_dir, records, partial(echo, err=True))
    return job, tuple(run_dir / need for need, record in records.items() if record.get("status") == "done")


def settings_of(job: Job) -> Source:
    """Return the settings of a report stage, as base for those of the command line."""
    return Source(job.config.model_dump(mode="json"), {(): LOCATION})


def comparison_folder(runs: Sequence[Path]) -> Path:
    """Return the default folder for a comparison of runs, ``comparison-of-A-and-B`` in the working directory.

    Raises:
        InvalidInput: the folder contains other files.
    """
    names = [run.resolve().name for run in runs]
    full = "comparison-of-" + "-and-".join(names)
    short = os.fsencode(full)[:MAX_NAME_BYTES].decode(errors="ignore")
    out = Path(full if short == full else f"{short}-and-others")
    compared = compared_runs(out)
    if compared == [str(run.resolve()) for run in runs] or not (out.exists() or out.is_symlink()):
        return out
    content = "the comparison of other runs" if compared else f"other files (no {COMPARED})"
    raise InvalidInput(
        f"contains {content}, so {PAGE} was not written", subject=out, hint="Set the folder with --out DIR."
    )
