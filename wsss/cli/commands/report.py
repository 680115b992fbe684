"""``wsss report``: an HTML page about a run, or a comparison of runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from wsss.cli.commands.stages import config_source, run_single, stage_command
from wsss.cli.echo import echo, log
from wsss.cli.named_runs import NAMED, is_run, named_run
from wsss.cli.options.data_options import read_data_options
from wsss.cli.options.shared_options import open_incomplete
from wsss.cli.report_paths import comparison_folder, own_report, settings_of
from wsss.cli.stage_command import StageCommand
from wsss.errors import InvalidInput
from wsss.io.utf8 import require_utf8
from wsss.pipeline.config.source import Source
from wsss.stages import STAGES

DEFAULT_OUT = "report"
EXPECTED = "a run directory (for single stages: --stages DIR --out DIR)"


class ReportCommand(StageCommand):
    """The command of the stage ``report``, which also takes run directories as arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set stages and output folder from a run directory."""
        rest = super().parse_args(ctx, args)
        runs = [named_run(run, fits=is_run, expected=EXPECTED) for run in ctx.params.pop("runs")]
        values = ctx.params
        stages, out = values["key_stages"], values["out"]
        if not runs and not stages:
            raise click.UsageError("Missing argument 'RUN...': a run directory, or several to compare.")
        if runs and stages:
            raise click.UsageError("RUN and --stages are mutually exclusive.")
        if not runs and out is None:
            raise click.UsageError("Missing option '--out'.")
        ctx.meta["runs"], ctx.meta["default_out"] = runs, out is None
        if len(runs) == 1:
            _take_from_run(ctx, runs[0])
        elif runs and out is None:
            values["out"] = comparison_folder(runs)
        return rest


def _take_from_run(ctx: click.Context, run: Path) -> None:
    """Set stages, settings, seed and folder from the run's own report stage."""
    values = ctx.params
    values["key_stages"], out = (run,), run / DEFAULT_OUT
    own = own_report(run)
    if own is not None:
        job, folders = own
        values["key_stages"], out = folders or (run,), run / job.id
        ctx.meta["settings"] = settings_of(job)
        if ctx.get_parameter_source("seed") is click.core.ParameterSource.DEFAULT:
            values["seed"] = job.seed
    values["out"] = values["out"] or out


def command() -> click.Command:
    """Return the command, with the options of the stage."""
    base = stage_command(STAGES["report"])
    for param in base.params:
        if param.name in ("key_stages", "out"):
            param.required = False
    runs = click.Argument(["runs"], nargs=-1, type=NAMED)
    return ReportCommand(
        base.name,
        stage=STAGES["report"],
        callback=_call,
        help="Write an HTML page about a run: images, scores, curves, settings. For several runs: a comparison of "
        "their settings, scores and masks.\n\nRUN is a run directory, or its name under runs/. The dataset is that of "
        "the run; --data.KEY VALUE changes a dataset setting. If the pipeline has a report stage, its settings are the "
        "defaults. The page is written to RUN/report/index.html, comparison-of-A-and-B/index.html in the current "
        "folder for several runs, or index.html in --out.",
        short_help=base.short_help,
        params=[runs, *base.params],
    )


@click.pass_context
def _call(context: click.Context, **values: Any) -> None:
    from wsss.cli.report_overwrite import require_dataset, requiring_images

    runs, options = context.meta["runs"], context.meta["data"]
    if len(runs) > 1:
        _compare(runs, options, values)
        return
    data = [*(_data_of(runs[0], options) if runs else []), *options]
    generated = _generated(runs[0]) if runs else None
    settings = context.meta.get("settings")
    if settings is not None and not data:
        settings = settings.without("splits")  # needs a dataset
    opener = open_incomplete
    if runs and context.meta["default_out"] and not values["force"]:
        if not data:
            require_dataset(values["out"], runs[0])
        opener = requiring_images(open_incomplete, values["out"])
    run_single(STAGES["report"], data, values, generated=generated, opener=opener, base=settings)


def _data_of(run: Path, options: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the dataset of a run as ``--data.…`` options; none if the dataset is missing.

    Individual images may be missing; the page lists them.

    Args:
        options: the command's options, which override the result; with another layout, the result is empty.
    """
    from wsss.data.readers.registry import why_unavailable
    from wsss.io.text.yaml_text import yaml_text
    from wsss.pipeline.store.run_folder import data_of_run, read_run
    from wsss.stages.common.run_dataset import log_root

    record = read_run(run)
    data, own = data_of_run(record), dict(options)
    if own.get("data.layout", data.get("layout")) != data.get("layout"):
        return []
    reason = None if own.keys() & {"data.root", "data.layout"} else why_unavailable(data)
    if reason is not None:
        echo(
            f"note: no images, since the dataset of {run} is missing: {reason}. Set it with --data.root DIR.", err=True
        )
        return []
    log_root(record, read_data_options(options), log)
    return [(f"data.{key}", yaml_text(value)) for key, value in data.items()]


def _generated(run: Path) -> Path | None:
    """Return the folder of a run's generated dataset; ``None`` if it is missing or not writable."""
    import os

    from wsss.pipeline.store.run_folder import DATA

    folder = run / DATA
    return folder if folder.is_dir() and os.access(folder, os.W_OK) else None


def _check_effect(source: Source) -> None:
    """Refuse settings of the sections that a comparison of runs does not have."""
    for key in ("columns", "sampling", "topology"):
        if key in source.value:
            raise InvalidInput(
                "no effect on a comparison of runs",
                subject=source.locate((key,)) or key,
                hint="Omit it, or write a report of each run.",
            )


def _compare(runs: list[Path], options: list[tuple[str, str]], values: Mapping[str, Any]) -> None:
    """Write the page of a comparison of runs."""
    import tempfile

    from wsss.cli.options.shared_options import print_json
    from wsss.io.process.cores import worker_count
    from wsss.pipeline.run.progress import Reporter
    from wsss.stages.common.compared_runs import check_page_folder, compare_runs
    from wsss.validation import validate

    stage = STAGES["report"]
    for run in runs:
        require_utf8(run.resolve(), f"RUN {run}")  # a link may lead to a name that the page's record cannot hold
    check_page_folder(values["out"])
    source = config_source(stage, values)
    config: Any = validate(stage.config, source.value, where="", locate=source.locate)
    _check_effect(source)
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
            config.options("", values["seed"]),
            out=values["out"],
            workers=worker_count(values["workers"]),
            log=reporter.log,
        )
    if values["as_json"]:
        print_json({"out": str(page)})
    else:
        echo(f"report: {page}")


report = command()
