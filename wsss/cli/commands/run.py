"""``wsss run``: a whole pipeline."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.echo import echo
from wsss.cli.options.command import Command
from wsss.cli.options.option_table import shared
from wsss.cli.options.shared_options import machine_options, print_json, set_resume_message
from wsss.errors import InvalidInput, WsssError
from wsss.io.files.stage_files import RUNS
from wsss.io.process import shared_state
from wsss.io.process.cores import worker_count
from wsss.whole_run import action, check_data, empty_document, open_data, plan_document, reasons, run_document

if TYPE_CHECKING:
    from wsss.pipeline.config.spec import Spec
    from wsss.pipeline.plan.step import Choice
    from wsss.pipeline.run.execute import RunResult


DATA: dict[str, Any] = {"open_data": open_data, "check_data": check_data}
"""How the engine opens and checks datasets."""


class RunCommand(Command):
    """The command of a pipeline, with suggestions of ``--set`` for settings of its dataset and stages."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the bundled pipelines and their descriptions."""
        from wsss.pipeline.config.pipeline_files import shipped_pipelines

        with formatter.section("Bundled pipelines"):
            formatter.write_dl(list(shipped_pipelines().items()))

    def suggestion(self, unknown: str, value: str) -> str:
        """Return the closest option, or the use of ``--set`` for a key."""
        if unknown.startswith("--data."):
            return f" Did you mean '--set {unknown.removeprefix('--')}=VALUE'?"
        key = unknown.removeprefix("--").replace("-", "_")
        if key in ("seed", "name", "description"):
            return f" Did you mean '--set {key}=VALUE'?"
        having = _stages_with(key)
        if having:
            known = f"stages with {key}: {', '.join(having)}"
            return f" To change a setting, use --set STAGE.KEY=VALUE ({known}): --set {having[0]}.{key}=VALUE."
        return super().suggestion(unknown, value) or " To change a setting, use --set STAGE.KEY=VALUE."


def _stages_with(key: str) -> list[str]:
    """Return the names of stages whose config has a key."""
    from wsss.model_fields import keys_of
    from wsss.stages import STAGES

    return [stage.name for stage in STAGES.loadable() if key in keys_of(stage.config)]


@click.command("run", cls=RunCommand, renamed={"--out": "--run-dir", "--output": "--run-dir"})
@click.argument("pipeline")
@click.option(
    "--run-dir", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the run. [default: runs/NAME]"
)
@shared("--set", "sets", multiple=True, more=": crf.iterations=5, data.root=DIR")
@click.option("--from", "start", metavar="ID", help="First stage to run; all earlier stages must be finished.")
@click.option("--until", metavar="ID", help="Last stage to run.")
@shared("--force", metavar="ID", more=" of this stage and all dependent stages")
@click.option("--dry-run", is_flag=True, help="Print which stages would run, and why, without running them.")
@shared("--precision", metavar="32-true|bf16-mixed|16-mixed", help="Floating-point precision of all stages that train.")
@machine_options
def run(
    pipeline: str,
    run_dir: Path | None,
    sets: tuple[str, ...],
    start: str | None,
    until: str | None,
    force: str | None,
    dry_run: bool,
    precision: str | None,
    device: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Run PIPELINE: a bundled pipeline such as quickstart, a YAML file, or a folder written by `wsss init`.

    Finished stages are skipped, and an interrupted stage resumes. A changed setting re-runs its stage and all dependent
    stages.
    """
    from wsss.pipeline.config.spec import load_spec
    from wsss.pipeline.plan.step import Choice
    from wsss.stages import STAGES

    folder = run_dir
    try:
        spec = load_spec(pipeline, STAGES, sets, precision=precision)
        folder = run_dir or RUNS / spec.name
        choice = Choice(start, until, force)
        if dry_run:
            _dry_run(spec, folder, choice, as_json)
            return
        result = _run(spec, folder, choice, device, workers, as_json)
    except WsssError:
        if as_json and _is_first():  # always print the document; the message goes to stderr
            print_json(empty_document(folder, "failed"))
        raise
    if result is None:  # only rank 0 prints
        return
    _print(result, as_json)
    shared_state.set_documents("", "")
    if result.error is not None:
        raise result.error


def _is_first() -> bool:
    """Return whether this process is rank 0, the only one that prints; also before the ranks have joined."""
    from wsss.pipeline.processes.ranks import ranks_in

    try:
        ranks = ranks_in(os.environ)
    except InvalidInput:  # the rank is unknown; joining reports the environment
        return True
    return ranks is None or ranks[0] == 0


def _run(
    spec: Spec, run_dir: Path, choice: Choice, device: str, workers: int | None, as_json: bool
) -> RunResult | None:
    from wsss.pipeline.processes.launch import launcher
    from wsss.pipeline.processes.ranks import join_ranks
    from wsss.pipeline.run.execute import run_pipeline
    from wsss.pipeline.run.progress import Reporter
    from wsss.pipeline.run.task import Session
    from wsss.stages import STAGES

    with join_ranks(device) as ranks:
        if ranks.rank == 0:
            set_resume_message(started=False)
            if as_json:
                ends = (json.dumps(empty_document(run_dir, status)) for status in ("interrupted", "failed"))
                shared_state.set_documents(*ends)
        reporter, count = Reporter(quiet=ranks.rank != 0), worker_count(workers, ranks.size)
        session = Session(run_dir, device, count, reporter, ranks, on_start=set_resume_message)
        command = [*launcher(), *sys.argv[1:]]
        try:
            result = run_pipeline(spec, STAGES, session=session, choice=choice, command=command, **DATA)
            if ranks.rank != 0 and result.error is not None:
                raise result.error
        except WsssError as error:
            if ranks.rank == 0:
                raise
            echo(f"rank {ranks.rank}: {error}", err=True)  # stdout belongs to rank 0
            raise click.exceptions.Exit(error.exit_code) from error
        return result if ranks.rank == 0 else None


def _dry_run(spec: Spec, run_dir: Path, choice: Choice, as_json: bool) -> None:
    from wsss.cli.stage_table import print_stages
    from wsss.pipeline.processes.ranks import ranks_in
    from wsss.pipeline.run.execute import dry_run
    from wsss.stages import STAGES

    rank, ranks = ranks_in(os.environ) or (0, 1)
    if rank != 0:  # only rank 0 prints
        return
    steps = dry_run(spec, STAGES, run_dir=run_dir, choice=choice, ranks=ranks, **DATA)
    if as_json:
        print_json(plan_document(run_dir, steps))
    else:
        print_stages(("stage", "plan", "why"), [(s.job.id, action(s), "; ".join(reasons(s))) for s in steps])


def _print(result: RunResult, as_json: bool) -> None:
    from wsss.cli.stage_table import benchmark_tables, headline, print_stages
    from wsss.io.text.times import duration

    if as_json:
        print_json(run_document(result))
        return
    rows = [(o.id, o.status, duration(o.seconds), headline(o.metrics)) for o in result.outcomes]
    if rows:
        print_stages(("stage", "status", "time", "metrics"), rows)
    for outcome in result.outcomes:
        tables = benchmark_tables(outcome.uses, outcome.artifact.path)
        if tables is not None:
            echo(f"\n{tables}")
    if result.report:
        echo(f"Report: {result.report}")
