"""``wsss data``: make synthetic datasets and check any dataset."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.errors import InvalidInput

if TYPE_CHECKING:
    from wsss.data.check import Finding, Report

SHOWN_EXAMPLES = 10
MANY_SPLITS = 4
"""More splits than this are shown as rows, not as columns."""


@click.group("data")
def data() -> None:
    """Make synthetic datasets, and check a dataset before you train on it."""


@data.group("synth")
def synth() -> None:
    """Write a synthetic dataset."""


@synth.command("shapes")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--train", type=int, help="Number of training images (240).")
@click.option("--val", type=int, help="Number of validation images (80).")
@click.option("--size", type=int, help="Side length of the images in pixels (96).")
@click.option("--classes", type=int, help="Number of classes, 1 to 5 (4).")
@click.option("--objects", type=int, help="Highest number of objects in an image, 1 to 3 (2).")
@click.option("--seed", type=int, help="Another seed gives other pictures (0).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def shapes(out: Path, as_json: bool, **given: int | None) -> None:
    """Write scenes of plain bodies with small emblems to the folder OUT.

    OUT becomes a plain folder: images/, masks/, labels.csv, classes.txt. The same options give the same bytes; an
    interrupted call is completed by calling it again.
    """
    from wsss.data.synthetic.shapes import Config, generate
    from wsss.validation import validate

    config = validate(Config, {key: value for key, value in given.items() if value is not None}, where="")
    with _progress("Drawing") as start:
        generate(config, out, advance=start(config.train + config.val))
    if as_json:
        click.echo(json.dumps({"out": str(out), **config.model_dump(exclude={"layout"})}))
    else:
        click.echo(f"{out}: {config.train} training and {config.val} validation images")


@data.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--layout", default="auto", show_default=True, help="voc, folder …; auto looks at what the folder holds.")
@click.option("--data", "pairs", multiple=True, metavar="KEY=VALUE", help="A key of data:, as in a pipeline file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(context: click.Context, path: Path, layout: str, pairs: tuple[str, ...], as_json: bool) -> None:
    """Check the dataset in the folder PATH.

    Reads every image, mask and label once. Exit code 2 when something is broken; notes are for information.
    Example: wsss data check VOC2012 --data 'classes=[cat, dog]'
    """
    from wsss.data.check import check_config

    config: dict[str, Any] = {"root": path, "layout": layout, **dict(_key_value(pair) for pair in pairs)}
    with tempfile.TemporaryDirectory(prefix="wsss-") as work, _progress("Checking") as start:
        report = check_config(config, work=Path(work), log=lambda line: click.echo(line, err=True), start=start)
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        _print(report)
    context.exit(2 if report.problems else 0)


def _key_value(pair: str) -> tuple[str, Any]:
    import yaml

    key, equals, text = pair.partition("=")
    key = key.removeprefix("data.")
    if not equals or not key or "." in key:
        raise InvalidInput(f"--data {pair!r}: expected KEY=VALUE, for example --data 'classes=[cat, dog]'.")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"--data {key}: the value {text!r} is not valid YAML.") from error


@contextmanager
def _progress(description: str) -> Iterator[Callable[[int], Callable[[int], None]]]:
    """Show a bar on stderr; yields a function that takes the number of steps and returns what advances the bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def start(total: int) -> Callable[[int], None]:
            task = bar.add_task(description, total=total)
            return lambda steps: bar.advance(task, steps)

        yield start


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report.name}: {len(report.classes)} classes")
    many = len(report.splits) > MANY_SPLITS
    lines = [*_split_rows(report)] if many else [*zip(*_split_columns(report), strict=True)]
    for place, title in enumerate(lines[0]):
        table.add_column(title, justify="right" if place else "left", no_wrap=not place)
    for line in lines[1:]:
        table.add_row(*line, end_section=line[0] == "with masks")
    if report.splits:
        Console().print(table)
    if report.sizes:
        (low, narrow), (high, wide) = report.sizes
        click.echo(f"Image sizes (width×height): {narrow}×{low} to {wide}×{high}")
    _print_findings("Note", report.notes)
    _print_findings("PROBLEM", report.problems)
    click.echo(f"{sum(finding.count for finding in report.problems)} problems." if report.problems else "No problem.")


def _split_rows(report: Report) -> Iterator[list[str]]:
    """Yield the rows of the table of counts: one of titles, then one per split."""
    pixels = (*report.classes, "ignore")
    classes = [f"{name}\nimages" for name in report.classes]
    yield ["", "all\nimages", "with\nlabels", "with\nmasks", *classes, *(f"{name}\npixels" for name in pixels)]
    for name, counts in report.splits.items():
        shares = [counts.class_pixels[kind] if counts.class_pixels else None for kind in pixels]
        numbers = [counts.images, counts.labelled, counts.masked, *(counts.class_images[one] for one in report.classes)]
        yield [name, *map(str, numbers), *("" if share is None else f"{share:.1%}" for share in shares)]


def _split_columns(report: Report) -> Iterator[list[str]]:
    """Yield the columns of the table of counts: one of titles, then one or two per split."""
    rows = ("all", "with labels", "with masks", "background", *report.classes, "ignore")
    yield ["", *rows]
    for name, counts in report.splits.items():
        totals = {"all": counts.images, "with labels": counts.labelled, "with masks": counts.masked}
        images = {**counts.class_images, **totals}
        yield [f"{name}\nimages", *(str(images.get(row, "")) for row in rows)]
        if counts.class_pixels:
            shares = [counts.class_pixels.get(row) for row in rows]
            yield [f"{name}\npixels", *("" if share is None else f"{share:.1%}" for share in shares)]


def _print_findings(title: str, findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        click.echo(f"{title}: {finding.kind}: {finding.count}")
        for example in finding.examples[:SHOWN_EXAMPLES]:
            click.echo("  " + example.replace("\n", "\n    "))
        if finding.count > SHOWN_EXAMPLES:
            click.echo(f"  … and {finding.count - SHOWN_EXAMPLES} more")
