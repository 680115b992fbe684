"""``wsss status``: progress, verification and repair of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.echo import echo
from wsss.cli.named_runs import NAMED, named_run
from wsss.cli.options.command import Command
from wsss.cli.options.option_table import json_option
from wsss.cli.options.shared_options import print_json
from wsss.errors import InvalidInput, counted, listing

if TYPE_CHECKING:
    from wsss.pipeline.store.verification import Verification


@click.command("status", cls=Command)
@click.argument("run", type=NAMED)
@click.option("--verify", is_flag=True, help="Verify all recorded files and list damaged ones (exit code 1).")
@click.option(
    "--repair",
    is_flag=True,
    help="Restore lost or damaged records (run.json, stage.json) from their copies, if all files match (exit code 1 if "
    "a record cannot be restored).",
)
@json_option
def status(run: str, verify: bool, repair: bool, as_json: bool) -> int:
    """Show the stages of RUN: a run directory, its name under runs/, or the folder of a single stage."""
    from wsss.pipeline.store.repair import can_hold_records
    from wsss.pipeline.store.run_summary import summarise

    if repair:
        if verify:
            raise click.UsageError("--repair and --verify are mutually exclusive.")
        return _repair(run, as_json)
    folder = named_run(run, otherwise=can_hold_records)
    if verify:
        return _verify(folder, as_json)
    summary = summarise(folder)
    if summary is None:
        raise InvalidInput(
            "the record of the run or stage is missing",
            subject=folder,
            hint=f"wsss status --repair {folder} restores it from its copy.",
        )
    if as_json:
        print_json(summary)
    else:
        _print(summary)
    return 0


def _repair(run: str, as_json: bool) -> int:
    from wsss.pipeline.run.progress import Reporter
    from wsss.pipeline.store.repair import can_hold_records, repair_folder

    folder = named_run(run, fits=can_hold_records)
    records = repair_folder(folder, Reporter().log)
    if as_json:
        print_json({"run_dir": str(folder), "records": [record.to_json() for record in records]})
    else:
        for record in records:
            echo(f"{'restored' if record.restored else 'not restored'}: {record.path}: {record.what}.")
            if record.hint:
                echo(record.hint)
        if not records:
            echo("No record is missing or damaged.")
    return 0 if all(record.restored for record in records) else 1


def _verify(folder: Path, as_json: bool) -> int:
    from wsss.pipeline.run.progress import Reporter
    from wsss.pipeline.store.verification import verify_folder

    reporter = Reporter()
    with reporter.working(""):
        verification = verify_folder(folder, reporter.track)
    if verification is None:
        raise InvalidInput("neither a run directory nor a stage's folder", subject=folder)
    if as_json:
        print_json({"run_dir": str(folder), **verification.to_json()})
    else:
        _print_verification(verification)
    return 1 if verification.damaged else 0


def _print_verification(verification: Verification) -> None:
    """Print a line per damaged file, then the hints."""
    for problem in verification.damaged:
        text = problem.what if str(problem.path) in problem.what else f"{problem.path}: {problem.what}"
        echo(text, label="damaged")
    for hint in dict.fromkeys(problem.hint for problem in verification.damaged if problem.hint):
        echo(hint)
    if verification.not_recorded:
        echo(f"not recorded: {', '.join(verification.not_recorded)} (by an older version without hashes)")
    if verification.unfinished:
        echo(f"not finished: {', '.join(verification.unfinished)}")
    damaged: Any = len(verification.damaged) or "none"
    echo(f"Verified {counted(verification.files, 'file')}: {damaged} damaged.")


def _print(summary: dict[str, Any]) -> None:
    from wsss.cli.stage_table import headline, print_stages
    from wsss.io.text.times import duration
    from wsss.pipeline.store.outdated import STALE

    held = summary["held_by"]
    by = f" (process {held['pid']} on {held['host']} since {held['start']})" if held else ""
    echo(f"{summary['name']} in {summary['run_dir']}: {summary['status']}{by}")
    if summary["lock_problem"]:
        echo(f"note: {summary['lock_problem']}. Whether a process is running is unknown.")
    rows = []
    for stage in summary["stages"]:
        age = _age(stage["finished"])
        progress = stage["progress"]
        note = headline(stage["metrics"])
        if progress:
            note = f"{progress['description']} {progress['done']}/{progress['total']}"
        rows.append((stage["id"], stage["status"], duration(stage["seconds"]) if stage["seconds"] else "", age, note))
    print_stages(("stage", "status", "time", "finished", "metrics"), rows)
    stale = [stage["id"] for stage in summary["stages"] if stage["status"] == "stale"]
    if stale:
        echo(f"note: {listing(stale)}: stale ({STALE}); wsss run brings them up to date.")
    if summary["report"]:
        echo(f"Report: {summary['report']}")


def _age(finished: str | None) -> str:
    from wsss.io.text.times import duration

    if not finished:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - datetime.fromisoformat(finished)).total_seconds())
    return f"{duration(seconds) if seconds < 86400 else counted(int(seconds // 86400), 'day')} ago"
