"""The records of the finished stages of a run, for its report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from wsss.errors import InvalidInput
from wsss.io.files.stage_files import RECORD
from wsss.pipeline.stage import Artifact
from wsss.pipeline.store.outdated import note_left_out, records_of_run
from wsss.pipeline.store.run_folder import read_run
from wsss.viz.report.run_overview import StageRecord, read_record

REPORT = "report"
"""Name of the report stage; a report does not list other reports."""


def finished_stages(run_dir: Path, log: Callable[[str], None]) -> list[StageRecord]:
    """Return the finished stages of a run in pipeline order, without reports and outdated results.

    Stages that the pipeline no longer has are left out. Without ``run.json``, all stage folders are used.

    Args:
        run_dir: folder of the stages.
        log: receives a note on outdated results.

    Raises:
        InvalidInput: the folder has no finished stage, or a broken record.
    """
    run = read_run(run_dir)
    if run is None:
        folders = sorted(path.parent for path in run_dir.glob(f"*/{RECORD}"))
    else:
        stages = {id: stage for id, stage in records_of_run(run_dir, run).items() if stage.get("uses") != REPORT}
        folders = [run_dir / id for id, stage in stages.items() if stage.get("status") == "done"]
        note_left_out(run_dir, stages, log)
    records = [record for record in map(read_record, folders) if record.status == "done" and record.uses != REPORT]
    if not records:
        hint = "Pass the folder of a run (created by wsss run)."
        raise InvalidInput("no finished stage in this folder", subject=run_dir, hint=hint)
    return in_pipeline_order(records, run_dir)


def as_records(artifacts: Iterable[Artifact], run_dir: Path) -> list[StageRecord]:
    """Read the records in the stage folders, updated from the artifacts; in pipeline order."""
    records = [
        read_record(
            artifact.path,
            id=artifact.id,
            uses=artifact.uses,
            config=artifact.config,
            metrics=artifact.metrics,
            provenance=artifact.provenance,
        )
        for artifact in artifacts
    ]
    return in_pipeline_order(records, run_dir)


def in_pipeline_order(records: list[StageRecord], run_dir: Path) -> list[StageRecord]:
    """Sort records by the order of stages in the run; others keep their order at the end."""
    stages = (read_run(run_dir) or {}).get("stages", [])
    positions = {stage["id"]: position for position, stage in enumerate(stages)}
    return sorted(records, key=lambda record: positions.get(record.id, len(positions)))
