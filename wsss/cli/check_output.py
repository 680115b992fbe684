"""Output of dataset checks: a progress bar, then counts, notes and problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wsss.cli.echo import echo

if TYPE_CHECKING:
    from wsss.data.checks.check_report import Finding, Report

SHOWN_EXAMPLES = 10
MANY_SPLITS = 4
"""More splits than this are shown as rows instead of columns."""

TOTALS = ("all", "with labels", "with masks")


@contextmanager
def progress(description: str) -> Iterator[Callable[[int], Callable[[int], None]]]:
    """Show a progress bar on stderr; yield a function that takes the number of steps and returns an ``advance``."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def start(total: int) -> Callable[[int], None]:
            task = bar.add_task(description, total=total)
            return lambda steps: bar.advance(task, steps)

        yield start


def print_report(report: Report, *, err: bool = False) -> None:
    """Print the result of a check on stdout or stderr."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from wsss.data.checks.inspection import UNREADABLE, UNREADABLE_HINT
    from wsss.errors import counted
    from wsss.io.rasters.label_masks import ignored_name
    from wsss.io.text.printable import printable

    # As plain strings, "[red]" or ":cat:" in names would be interpreted as markup.
    table = Table(title=Text(printable(f"{report.name}: {counted(len(report.classes), 'class', 'classes')}")))
    split_rows = len(report.splits) > MANY_SPLITS
    ignored = ignored_name(report.classes)
    lines = [*_split_rows(report, ignored)] if split_rows else [*zip(*_split_columns(report, ignored), strict=True)]
    for index, title in enumerate(lines[0]):
        table.add_column(Text(printable(title)), justify="right" if index else "left", no_wrap=not index)
    for index, line in enumerate(lines[1:], start=1):
        table.add_row(*map(Text, map(printable, line)), end_section=not split_rows and index == len(TOTALS))
    if report.splits:
        Console(stderr=err).print(table)
    if report.sizes:
        (low, narrow), (high, wide) = report.sizes
        echo(f"Image sizes (width×height): {narrow}×{low} to {wide}×{high}", err=err)
    _print_findings("Note", report.notes, err=err)
    _print_findings("PROBLEM", report.problems, err=err)
    if any(finding.kind == UNREADABLE for finding in report.problems):
        echo(UNREADABLE_HINT, err=err)
    count = sum(finding.count for finding in report.problems)
    echo(f"{counted(count, 'problem')}." if count else "No problems found.", err=err)


def _split_rows(report: Report, ignored: str) -> Iterator[list[str]]:
    """Yield the rows of the table of counts: the titles, then one row per split."""
    pixels = (*report.classes, ignored)
    classes = [f"{name}\nimages" for name in report.classes]
    yield ["", "all\nimages", "with\nlabels", "with\nmasks", *classes, *(f"{name}\npixels" for name in pixels)]
    for name, counts in report.splits.items():
        shares = [counts.class_pixels[kind] if counts.class_pixels else None for kind in pixels]
        numbers = [
            counts.images,
            counts.labelled,
            counts.masked,
            *(counts.class_images[name] for name in report.classes),
        ]
        yield [name, *map(str, numbers), *("" if share is None else f"{share:.1%}" for share in shares)]


def _split_columns(report: Report, ignored: str) -> Iterator[list[str]]:
    """Yield the columns of the table of counts: the titles, then one or two columns per split."""
    pixels = ("background", *report.classes, ignored)
    yield ["", *TOTALS, *pixels]
    for name, counts in report.splits.items():
        classes = [counts.class_images[name] for name in report.classes]
        numbers = [counts.images, counts.labelled, counts.masked, "", *classes, ""]
        yield [f"{name}\nimages", *map(str, numbers)]
        if counts.class_pixels:
            shares = [f"{counts.class_pixels[kind]:.1%}" for kind in pixels]
            yield [f"{name}\npixels", *("" for _ in TOTALS), *shares]


def _print_findings(title: str, findings: tuple[Finding, ...], *, err: bool) -> None:
    for finding in findings:
        echo(f"{title}: {finding.kind}: {finding.count}", err=err)
        for example in finding.examples[:SHOWN_EXAMPLES]:
            echo("  " + example.replace("\n", "\n    "), err=err)
        if finding.count > SHOWN_EXAMPLES:
            echo(f"  … and {finding.count - SHOWN_EXAMPLES} more", err=err)
