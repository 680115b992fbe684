"""A comparison as JSON, CSV and Markdown, and back from JSON for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from wsss.errors import InvalidInput, counted
from wsss.io.text.printable import markdown
from wsss.io.text.tables import csv_text
from wsss.metrics.comparison import Cell
from wsss.metrics.directions import direction
from wsss.viz.drawing.curves import CurveChart
from wsss.viz.drawing.formatting import NOT_DEFINED
from wsss.viz.report.run_overview import COMPARISON, read_object

FORMAT = 1
LOWER = "lower is better"


@dataclass(frozen=True)
class ShownColumn:
    """One column of the table.

    Args:
        name: unique among the columns.
        title: its heading; begins with ORACLE where ground truth chose a threshold.
        measure: key of the metric.
        split: of all its scores.
        images: how many images they were measured on.
        oracle: ground truth took part.
        facts: what its scores say of themselves: fact → all values found.
        cells: row → cell, ``None`` where there is no score.
    """

    name: str
    title: str
    measure: str
    split: str
    images: int | None
    oracle: bool
    facts: Mapping[str, tuple[str, ...]]
    cells: Mapping[str, Cell | None]

    @property
    def heading(self) -> str:
        """Title and split, for the head of a column, and whether less of the measure is better."""
        return f"{self.title} · {self.split}" + (f" ({LOWER})" if direction(self.measure) == "lower" else "")


@dataclass(frozen=True)
class Comparison:
    """The table of a matrix.

    Args:
        axis: axis of the matrix that makes the rows, ``""`` for none.
        over: axis that is averaged over.
        rows: in order.
        reference: the row that the others are compared with.
        resamples, confidence: of the bootstrap intervals.
        columns: see `ShownColumn`.
        curves: the precision–recall charts.
    """

    axis: str
    over: str
    rows: tuple[str, ...]
    reference: str | None
    resamples: int
    confidence: float
    columns: tuple[ShownColumn, ...]
    curves: tuple[CurveChart, ...]

    @property
    def seeds(self) -> int:
        """How many values a cell is the mean of, at most."""
        return max((len(cell.seeds) for one in self.columns for cell in one.cells.values() if cell), default=0)

    @property
    def has_differences(self) -> bool:
        """Whether some cell is compared with the reference."""
        return any(cell is not None and cell.difference for one in self.columns for cell in one.cells.values())


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as a JSON object; numbers are not rounded."""
    return {"format": FORMAT, **asdict(comparison)}


def from_json(value: Mapping[str, Any]) -> Comparison:
    """Read what `as_json` made.

    Raises:
        ValueError: it is something else.
    """
    if value.get("format") != FORMAT:
        raise ValueError(f"format {value.get('format')}; this version reads {FORMAT}")
    fields = {key: one for key, one in value.items() if key != "format"}
    comparison = TypeAdapter(Comparison).validate_python(fields)
    lengths = [{len(one.levels), len(one.recall), len(one.precision)} for c in comparison.curves for one in c.curves]
    if any(len(several) > 1 for several in lengths):
        raise ValueError("curves: levels, recall and precision have different lengths")
    return comparison


def read_comparison(folder: Path) -> Comparison:
    """Read the table that a compare stage wrote.

    Raises:
        InvalidInput: it is not such a file.
    """
    path = folder / COMPARISON
    try:
        return from_json(read_object(path))
    except ValueError as error:
        raise InvalidInput(f"{path}: not the table of a compare stage ({error}).") from error


def as_csv(comparison: Comparison) -> str:
    """Return one line per row and column, unrounded; empty where something is not defined."""
    table: list[list[Any]] = [
        [
            *("row", "column", "measure", "split", "images", "oracle", "seeds", "mean", "std", "low", "high"),
            *("reference", "difference", "difference_std", "difference_low", "difference_high"),
            *("positive_seeds", "compared_seeds"),
        ]
    ]
    for column in comparison.columns:
        for row in comparison.rows:
            cell = column.cells.get(row)
            if cell is None:
                continue
            line: list[Any] = [row, column.title, column.measure, column.split, column.images]
            line += ["yes" if column.oracle else "no", len(cell.seeds), cell.mean, cell.std]
            line += list(cell.interval or (None, None))
            compared = cell.difference
            if compared:
                line += [comparison.reference, compared.mean, compared.std, *(compared.interval or (None, None))]
                line += [compared.positive, compared.seeds]
            else:
                line += [None] * 7
            table.append(line)
    return csv_text(table)


def as_markdown(comparison: Comparison) -> str:
    """Return the table, the differences, and what each column was measured on and with."""
    lines = ["# Comparison", "", markdown(explain(comparison)), "", *_table(comparison, differences=False)]
    if comparison.has_differences:
        lines += ["", f"## Differences to {markdown(comparison.reference or '')}", ""]
        lines += [markdown(explain_differences(comparison)), "", *_table(comparison, differences=True)]
    lines += ["", "## What was measured", ""]
    lines += [f"- **{markdown(column.heading)}**: {markdown(describe(column))}" for column in comparison.columns]
    if any(column.oracle for column in comparison.columns):
        lines += ["", "ORACLE: the ground truth chose the threshold. Not a result of weak supervision."]
    return "\n".join(lines) + "\n"


def explain(comparison: Comparison) -> str:
    """Return what the numbers of the table are, in a sentence."""
    most = comparison.seeds
    text = f"Mean over {most} {comparison.over}s ± sample standard deviation." if most > 1 else "One value each."
    if _has_intervals(comparison):
        text += (
            f" In brackets: {_percent(comparison.confidence)} bootstrap interval over the images "
            f"({comparison.resamples:,} resamples)."
        )
    return text


def explain_differences(comparison: Comparison) -> str:
    """Return what the differences are, in a sentence."""
    text = f"Mean difference of runs with the same {comparison.over}"
    if _has_intervals(comparison):
        text += f", {_percent(comparison.confidence)} interval from images resampled in pairs"
    return f"{text}, and in how many of the {comparison.over}s it is positive."


def describe(column: ShownColumn) -> str:
    """Return what a column was measured on and with, in one line."""
    way = direction(column.measure)
    better = f" ({way} is better)" if way else ""
    images = [] if column.images is None else [counted(column.images, "image")]
    facts = [", ".join([f"{column.measure}{better}", f"split {column.split}", *images])]
    return "; ".join([*facts, *(f"{name}: {' / '.join(values)}" for name, values in column.facts.items())])


def mean_text(cell: Cell | None, seeds: int) -> str:
    """Return ``0.465 ± 0.002``, and the number of values where it isn't ``seeds``."""
    if cell is None:
        return NOT_DEFINED
    number = "" if len(cell.seeds) == seeds else f" (n = {len(cell.seeds)})"
    return f"{cell.mean:.3f}" + ("" if cell.std is None else f" ± {cell.std:.3f}") + number


def interval_text(interval: tuple[float, float] | None, *, signed: bool = False) -> str:
    """Return ``[0.431, 0.498]``, or nothing where there is no interval."""
    if interval is None:
        return ""
    low, high = (signed_text(one) if signed else f"{one:.3f}" for one in interval)
    return f"[{low}, {high}]"


def signed_text(value: float) -> str:
    """Return ``+0.030`` or ``−0.004``."""
    return f"{value:+.3f}".replace("-", "−")


def _table(comparison: Comparison, *, differences: bool) -> list[str]:
    rows = [row for row in comparison.rows if not (differences and row == comparison.reference)]
    lines = [
        "| " + " | ".join([markdown(comparison.axis), *(markdown(one.heading) for one in comparison.columns)]) + " |",
        "|---" * (len(comparison.columns) + 1) + "|",
    ]
    for row in rows:
        cells = [column.cells.get(row) for column in comparison.columns]
        shown = [_difference(cell) if differences else _mean(cell, comparison.seeds) for cell in cells]
        lines.append("| " + " | ".join([markdown(row), *shown]) + " |")
    return lines


def _mean(cell: Cell | None, seeds: int) -> str:
    return mean_text(cell, seeds) + ("" if cell is None else f" {interval_text(cell.interval)}".rstrip())


def _difference(cell: Cell | None) -> str:
    if cell is None or cell.difference is None:
        return NOT_DEFINED
    one = cell.difference
    parts = [signed_text(one.mean), interval_text(one.interval, signed=True), f"{one.positive}/{one.seeds}"]
    return " ".join(part for part in parts if part)


def _has_intervals(comparison: Comparison) -> bool:
    return any(cell and cell.interval for one in comparison.columns for cell in one.cells.values())


def _percent(confidence: float) -> str:
    return f"{100 * confidence:g} %"
