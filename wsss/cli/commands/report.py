"""``wsss report``: one HTML page about a run, or about several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from wsss.cli.commands.stages import StageCommand, config_source, run_single, stage_command
from wsss.cli.echo import echo
from wsss.cli.named_runs import NAMED, is_run, named_run
from wsss.cli.options.data_options import read_data_options
from wsss.cli.options.shared_options import open_incomplete
from wsss.cli.report_paths import comparison_folder, own_report, settings_of
from wsss.io.text.utf8 import require_utf8
from wsss.stages import STAGES

DEFAULT_OUT = "report"
WANTED = "a run directory (single stages: --stages DIR --out DIR)"


class ReportCommand(StageCommand):
    """The command of the stage ``report``, which also takes run directories as plain arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Fill in what a run directory tells: its stages, where its report goes."""
        rest = super().parse_args(ctx, args)
        runs = [named_run(run, fits=is_run, wanted=WANTED) for run in ctx.params.pop("runs")]
        given = ctx.params
        stages, out = given["key_stages"], given["out"]
        if not runs and not stages:
            raise click.UsageError("Missing argument 'RUN...': the run directory to report on, or several to compare.")
        if runs and stages:
            raise click.UsageError("Give run directories, or --stages; not both.")
        if not runs and out is None:
            raise click.UsageError("Missing option '--out'.")
        ctx.meta["runs"], ctx.meta["own_place"] = runs, out is None
        if len(runs) == 1:
            _take_from_run(ctx, runs[0])
        elif runs and out is None:
            given["out"] = comparison_folder(runs)
        return rest


def _take_from_run(ctx: click.Context, run: Path) -> None:
    """Fill in what the run's own report stage says: stages, settings, seed, folder."""
    given = ctx.params
    given["key_stages"], place = (run,), run / DEFAULT_OUT
    own = own_report(run)
    if own is not None:
        job, folders = own
        given["key_stages"], place = folders or (run,), run / job.id
        ctx.meta["settings"] = settings_of(job)
        if ctx.get_parameter_source("seed") is click.core.ParameterSource.DEFAULT:
            given["seed"] = job.seed
    given["out"] = given["out"] or place


def command() -> click.Command:
    """Return the command; its options are those of the stage."""
    base = stage_command(STAGES["report"])
    params: list[click.Parameter] = []
    for param in base.params:
        if param.name in ("key_stages", "out"):
            param.required = False
        params.append(param)
    runs = click.Argument(["runs"], nargs=-1, type=NAMED)
    return ReportCommand(
        base.name,
        stage=STAGES["report"],
        callback=_call,
        help="Make an HTML page of a run: pictures, scores, curves, settings. Of several runs: their differences in "
        "settings and scores, and their masks side by side.\n\nRUN is a run directory, or its name below runs/. The "
        "dataset is that of the run; --data.root DIR, or another --data.KEY VALUE, changes a key of it. If the "
        "pipeline has a report stage, that report is made again with its settings, and options change them. The page "
        "is RUN/report/index.html, for several runs comparison-of-A-and-B/index.html in the current folder, or "
        "index.html in --out.",
        short_help=base.short_help,
        params=[runs, *params],
    )


@click.pass_context
def _call(context: click.Context, **given: Any) -> None:
    from wsss.cli.report_overwrite import check_dataset, checked

    runs, options = context.meta["runs"], context.meta["data"]
    if len(runs) > 1:
        _compare(runs, options, given)
        return
    data = [*(_data_of(runs[0], options) if runs else []), *options]
    generated = _generated(runs[0]) if runs else None
    settings = context.meta.get("settings")
    if settings is not None and not data:
        settings = settings.without("splits")  # without a dataset there are none
    opener = open_incomplete
    if runs and context.meta["own_place"] and not given["force"]:
        if not data:
            check_dataset(given["out"], runs[0])
        opener = checked(open_incomplete, given["out"])
    run_single(STAGES["report"], data, given, generated=generated, opener=opener, base=settings)


def _data_of(run: Path, given: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the dataset that a run worked on as ``--data.…`` options; none where it isn't there any more.

    Single images may be missing: the page says so.

    Args:
        run: the run directory.
        given: options of the command, which come after these; another layout has none of the run's keys.
    """
    import json

    from wsss.data.readers.registry import why_gone
    from wsss.pipeline.store.run_folder import data_of_run, read_run

    data, own = data_of_run(read_run(run)), dict(given)
    if own.get("data.layout", data.get("layout")) != data.get("layout"):
        return []
    gone = None if own.keys() & {"data.root", "data.layout"} else why_gone(data)
    if gone is not None:
        echo(f"The dataset of {run}: {gone}: no pictures. Name it with --data.root DIR.", err=True)
        return []
    return [(f"data.{key}", json.dumps(value)) for key, value in data.items()]


def _generated(run: Path) -> Path | None:
    """Return where a run keeps the dataset that it generated; ``None`` without one, or where we may not write."""
    import os

    from wsss.pipeline.store.run_folder import DATA

    folder = run / DATA
    return folder if folder.is_dir() and os.access(folder, os.W_OK) else None


def _compare(runs: list[Path], options: list[tuple[str, str]], given: Mapping[str, Any]) -> None:
    """Write the page that sets runs side by side."""
    import tempfile

    from wsss.cli.options.shared_options import print_json, worker_count
    from wsss.pipeline.run.progress import Reporter
    from wsss.stages.report import check_page_folder, compare_runs
    from wsss.validation import validate

    stage = STAGES["report"]
    for run in runs:
        require_utf8(run.resolve(), f"RUN {run}")  # which the page's record holds: a link may lead anywhere
    check_page_folder(given["out"])
    source = config_source(stage, given)
    config = validate(stage.config, source.value, where="", locate=source.locate)
    reporter = Reporter()
    data_source = read_data_options([*_data_of(runs[0], options), *options])
    with tempfile.TemporaryDirectory(prefix="wsss-report-") as scratch:
        data = None
        if data_source.value:
            work = _generated(runs[0]) or Path(scratch)
            data = open_incomplete(data_source.value, work=work, log=reporter.log, locate=data_source.locate)
        page = compare_runs(
            runs,
            data,
            config,
            out=given["out"],
            seed=given["seed"],
            workers=worker_count(given["workers"]),
            log=reporter.log,
        )
    if given["as_json"]:
        print_json({"out": str(page)})
    else:
        echo(f"report: {page}")


report = command()
