"""``wsss status``: how far a run is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from wsss.cli.command import Command
from wsss.cli.named_runs import NAMED, named_run
from wsss.cli.option_table import json_option
from wsss.cli.options import print_json
from wsss.cli.say import say
from wsss.errors import InvalidInput


@click.command("status", cls=Command)
@click.argument("run", type=NAMED)
@click.option("--verify", is_flag=True, help="Read all recorded files and list what is damaged (exit code 1).")
@json_option
def status(run: str, verify: bool, as_json: bool) -> int:
    """Show the stages of RUN: a run directory, or the name of one below runs/.

    Also takes the folder of a single stage.
    """
    from wsss.pipeline.summary import summarise

    folder = named_run(run)
    if verify:
        return _verify(folder, as_json)
    summary = summarise(folder)
    if summary is None:
        raise InvalidInput(f"{folder} is neither a run directory nor a stage's folder.")
    if as_json:
        print_json(summary)
    else:
        _print(summary)
    return 0


def _verify(folder: Path, as_json: bool) -> int:
    from wsss.cli.verification import exit_code, print_verification, verify

    found = verify(folder)
    if as_json:
        print_json({"run_dir": str(folder), **found.to_json()})
    else:
        print_verification(found)
    return exit_code(found)


def _print(summary: dict[str, Any]) -> None:
    from wsss.cli.table import headline, print_stages
    from wsss.pipeline.progress import duration

    held = summary["held_by"]
    by = f", process {held['pid']} on {held['host']} is working on it since {held['start']}" if held else ""
    say(f"{summary['name']} in {summary['run_dir']}: {summary['status']}{by}")
    if summary["lock_problem"]:
        say(f"note: {summary['lock_problem']}. Whether a process is working on it is unknown.")
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
        say(f"Report: {summary['report']}")


def _age(finished: str | None) -> str:
    from wsss.pipeline.progress import duration

    if not finished:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - datetime.fromisoformat(finished)).total_seconds())
    return f"{duration(seconds)} ago" if seconds < 86400 else f"{int(seconds // 86400)} days ago"
