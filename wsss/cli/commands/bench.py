"""``wsss bench``: the TopoMortar benchmark, from any folder of per-image results."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from wsss.cli.commands.stages import stage_command
from wsss.cli.echo import echo
from wsss.cli.options.command import Group
from wsss.cli.options.option_table import FOLDER, shared
from wsss.cli.options.shared_options import print_json
from wsss.stages import STAGES


@click.group("bench", cls=Group)
def bench() -> None:
    """Compare losses on TopoMortar: the paper's tables and statistics.

    \b
    From result files: wsss bench tables results/
    From a run:        wsss bench gather --scores RUN --out tables
    """


@bench.command("tables", short_help="Print tables of result files.")
@click.argument("results", metavar="RESULTS_DIR", type=click.Path(path_type=Path))
@shared(
    "--groups",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    more=". [default: dataset_types.txt in RESULTS_DIR, beside it, or in dataset/]",
)
@shared(
    "--format",
    "style",
    type=click.Choice(["md", "csv", "json", "html"]),
    default="md",
    show_default=True,
    help="Output format: md and html are formatted tables; csv and json have one unrounded row per cell.",
)
@shared(
    "--reference",
    help="Compare all other configurations with FRAMEWORK/LABELS/SIZE/LOSS; csv and json then contain only these "
    "comparisons.",
)
@click.option("--plots", type=FOLDER, metavar="DIR", help="Also write plots to this folder.")
@click.option(
    "--plot-format",
    type=click.Choice(["svg", "pdf"]),
    default="svg",
    show_default=True,
    help="File format of the plots.",
)
@shared("--seed", type=click.IntRange(min=0), default=0, show_default=True, more=" of the permutation tests")
@click.pass_context
def tables(
    context: click.Context,
    results: Path,
    groups: Path | None,
    style: str,
    reference: str | None,
    plots: Path | None,
    plot_format: Literal["svg", "pdf"],
    seed: int,
) -> None:
    """Print tables of the result files RESULTS_DIR/FRAMEWORK/LABELS/SIZE/LOSS/SEED.csv.

    Each file has one row per image, with the column names of TopoMortar's authors, so that their results and those of
    `wsss score` can be compared. Bold: better than CEDice with p < .05 in a paired permutation test.
    """
    from wsss.benchmark.benchmark_view import as_markdown, as_page, view_of
    from wsss.benchmark.compute_tables import CONTRAST_COLUMNS, KEYS, as_csv, as_json, contrasts_as_json, make_tables
    from wsss.benchmark.figures.plots import draw_plots, write_plots
    from wsss.benchmark.result_files import find_groups
    from wsss.benchmark.result_folder import find_results

    if plots is None and context.get_parameter_source("plot_format") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--plot-format has no effect without --plots DIR.")
    find_results(results)  # without results, a missing file of groups is not the problem
    made = make_tables(results, groups or find_groups(results), seed=seed, reference=reference)
    for note in made.benchmark.notes:
        echo(f"note: {note}", err=True)
    of_page = draw_plots(made.benchmark) if style == "html" else None
    if plots is not None:
        written = write_plots(made.benchmark, plots, plot_format, drawn=of_page if plot_format == "svg" else None)
        echo(f"{plots}: {len(written)} plots", err=True)
    rows = as_json(made.rows) if reference is None else contrasts_as_json(made.contrasts)
    if style == "json":
        print_json(rows)
    elif style == "csv":
        echo(as_csv(rows, KEYS if reference is None else CONTRAST_COLUMNS), nl=False)
    elif style == "md":
        echo(as_markdown(view_of(made)), nl=False)
    else:
        echo(as_page(view_of(made), of_page or {}), nl=False)


bench.add_command(stage_command(STAGES["bench"]), "gather")
