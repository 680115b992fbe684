"""``wsss bench``: the tables of TopoMortar, from any folder of per-image results."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.cli.options import print_json


@click.group("bench")
def bench() -> None:
    """Compare losses on TopoMortar: the paper's tables and statistics."""


@bench.command("tables")
@click.argument("results", metavar="RESULTS_DIR", type=click.Path(path_type=Path))
@click.option(
    "--groups",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="CSV with the columns ID and group. [default: dataset_types.txt in RESULTS_DIR, beside it, or in dataset/]",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["md", "csv", "json"]),
    default="md",
    show_default=True,
    help="md is a page for people; csv and json have a row per cell, unrounded.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the permutation tests.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def tables(results: Path, groups: Path | None, style: str, seed: int, debug: bool) -> None:
    """Make the tables of all results in RESULTS_DIR, which holds FRAMEWORK/LABELS/SIZE/LOSS/SEED.csv.

    Each file has a row per image, in the column names of TopoMortar's authors, so that their results and those of
    `wsss score` stand side by side. Bold is better than CEDice and p < .05 in a paired permutation test.
    """
    from wsss.io.results import find_groups
    from wsss.viz.benchmark import as_csv, as_json, as_markdown, make_tables

    made = make_tables(results, groups or find_groups(results), seed=seed)
    for note in made.benchmark.notes:
        click.echo(f"note: {note}", err=True)
    if style == "json":
        print_json(as_json(made.rows))
    else:
        click.echo(as_csv(made.rows) if style == "csv" else as_markdown(made), nl=False)
