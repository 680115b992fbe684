"""``wsss status``: how far a run is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from wsss.cli.command import Command
from wsss.cli.echo import echo
from wsss.cli.named_runs import NAMED, named_run
from wsss.cli.options.option_table import json_option
from wsss.cli.options.shared_options import print_json
from wsss.errors import InvalidInput


@click.command("status", cls=Command)
@click.argument("run", type=NAMED)
@click.option("--verify", is_flag=True, help="Read all recorded files and list what is damaged (exit code 1).")
@click.option(
    "--repair",
    is_flag=True,
    help="Restore lost or damaged records (run.json, stage.json) from their copies, if all files match "
    "them (exit code 1 if one can't be restored).",
)
@json_option
def status(run: str, verify: bool, repair: bool, as_json: bool) -> int:
    """Show the stages of RUN: a run directory, or the name of one below runs/.

    Also takes the folder of a single stage.
    """
    from wsss.pipeline.store.run_summary import summarise

    if repair:
        if verify:
            raise click.UsageError("Give --repair or --verify; not both.")
        return _repair(run, as_json)
    folder = named_run(run, otherwise=_has_copies)
    if verify:
        return _verify(folder, as_json)
    summary = summarise(folder)
    if summary is None:
        raise InvalidInput(
            f"{folder}: the record of the run or stage is lost.",
            hint=f"wsss status --repair {folder} restores it if its copy is sound.",
        )
    if as_json:
        print_json(summary)
    else:
        _print(summary)
    return 0


def _has_copies(folder: Path) -> bool:
    from wsss.pipeline.store.repair import can_hold_records

    return can_hold_records(folder)


def _repair(run: str, as_json: bool) -> int:
    from wsss.pipeline.run.progress import Reporter
    from wsss.pipeline.store.repair import repair_folder

    folder = named_run(run, fits=_has_copies)
    found = repair_folder(folder, Reporter().log)
    if as_json:
        print_json({"run_dir": str(folder), "records": [one.to_json() for one in found]})
    else:
        for one in found:
            echo(f"{'restored' if one.restored else 'not restored'}: {one.path}: {one.what}.")
            if one.hint:
                echo(one.hint)
        if not found:
            echo("No record is lost or damaged.")
    return 0 if all(one.restored for one in found) else 1


def _verify(folder: Path, as_json: bool) -> int:
    from wsss.cli.verify_output import exit_code, print_verification, verify

    found = verify(folder)
    if as_json:
        print_json({"run_dir": str(folder), **found.to_json()})
    else:
        print_verification(found)
    return exit_code(found)


def _print(summary: dict[str, Any]) -> None:
    from wsss.cli.stage_table import headline, print_stages
    from wsss.pipeline.run.progress import duration

    held = summary["held_by"]
    by = f", process {held['pid']} on {held['host']} is working on it since {held['start']}" if held else ""
    echo(f"{summary['name']} in {summary['run_dir']}: {summary['status']}{by}")
    if summary["lock_problem"]:
        echo(f"note: {summary['lock_problem']}. Whether a process is working on it is unknown.")
    rows = []
    for stage in summary["stages"]:
        age = _age(stage["finished"])
        progress = stage["progress"]
        note = headline(stage["metrics"])
        if progress:
            note = f"{progress['description']} {progress['done']}/{progress['total']}"
        rows.append((stage["id"], stage["status"], duration(stage["seconds"]) if stage["seconds"] else "", age, note))
    print_stages(("stage", "status", "time", "finished", "metrics"), rows)
    if summary["report"]:
        echo(f"Report: {summary['report']}")


def _age(finished: str | None) -> str:
    from wsss.pipeline.run.progress import duration

    if not finished:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - datetime.fromisoformat(finished)).total_seconds())
    return f"{duration(seconds)} ago" if seconds < 86400 else f"{int(seconds // 86400)} days ago"
