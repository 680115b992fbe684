"""The table of a compare stage: as JSON, CSV and Markdown, and read from JSON for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, counted
from wsss.io.text.printable import markdown
from wsss.io.text.tables import csv_text
from wsss.io.text.typed_json import typed
from wsss.metrics.comparison import Cell
from wsss.metrics.directions import direction
from wsss.viz.drawing.curves import CurveChart
from wsss.viz.drawing.formatting import NOT_DEFINED
from wsss.viz.report.run_overview import COMPARISON, read_object

FORMAT = 2
LOWER = "lower is better"


@dataclass(frozen=True)
class ShownColumn:
    """One column of the table.

    Args:
        name: unique among the columns.
        title: heading; begins with ORACLE if ``oracle`` is set.
        split: split of all its scores.
        images: number of images measured.
        oracle: whether the masks depend on the ground truth, for example through their threshold.
        facts: provenance of its scores: fact → all distinct values.
        cells: row → cell, ``None`` without a score.
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
        """Title and split, and a note if lower is better."""
        return f"{self.title} · {self.split}" + (f" ({LOWER})" if direction(self.measure) == "lower" else "")


@dataclass(frozen=True)
class Comparison:
    """The table of a matrix.

    Args:
        axis: axis of the matrix whose values are the rows, ``""`` for none.
        average_over: axis averaged over.
        rows: in order.
        resamples, confidence: number of bootstrap resamples, and confidence level of the intervals.
        columns: see `ShownColumn`.
        curves: the precision–recall charts.
    """

    axis: str
    average_over: str
    rows: tuple[str, ...]
    reference: str | None
    resamples: int
    confidence: float
    columns: tuple[ShownColumn, ...]
    curves: tuple[CurveChart, ...]

    @property
    def seeds(self) -> int:
        """Maximum number of values averaged in a cell."""
        return max((len(cell.seeds) for column in self.columns for cell in column.cells.values() if cell), default=0)

    @property
    def has_differences(self) -> bool:
        """Whether any cell has a difference from the reference."""
        return any(cell is not None and cell.difference for column in self.columns for cell in column.cells.values())


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as a JSON object, unrounded."""
    return {"format": FORMAT, **asdict(comparison)}


def from_json(value: Mapping[str, Any]) -> Comparison:
    """Read the output of `as_json`.

    Raises:
        ValueError: the file has unexpected content.
    """
    if value.get("format") != FORMAT:
        raise ValueError(f"expected format {FORMAT}, got {value.get('format')}")
    fields = {key: entry for key, entry in value.items() if key != "format"}
    comparison: Comparison = typed(Comparison, fields)
    curves = [curve for chart in comparison.curves for curve in chart.curves]
    if any(len({len(curve.levels), len(curve.recall), len(curve.precision)}) > 1 for curve in curves):
        raise ValueError("curves: levels, recall and precision have different lengths")
    return comparison


def read_comparison(folder: Path) -> Comparison:
    """Read the table of a compare stage.

    Raises:
        InvalidInput: the file has unexpected content.
    """
    path = folder / COMPARISON
    try:
        return from_json(read_object(path))
    except ValueError as error:
        raise InvalidInput(f"not the table of a compare stage ({error})", subject=path) from error


def as_csv(comparison: Comparison) -> str:
    """Return one line per row and column, unrounded; undefined values are empty."""
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
    """Return the table, the differences, and the provenance of each column."""
    lines = ["# Comparison", "", markdown(explain(comparison)), "", *_table(comparison, differences=False)]
    if comparison.has_differences:
        lines += ["", f"## Differences from {markdown(comparison.reference or '')}", ""]
        lines += [markdown(explain_differences(comparison)), "", *_table(comparison, differences=True)]
    lines += ["", "## Measurements", ""]
    lines += [f"- **{markdown(column.heading)}**: {markdown(describe(column))}" for column in comparison.columns]
    if any(column.oracle for column in comparison.columns):
        lines += [
            "",
            "ORACLE: chosen on the ground truth (thresholds, classes of segments). Not a weakly supervised result.",
        ]
    return "\n".join(lines) + "\n"


def explain(comparison: Comparison) -> str:
    """Explain the numbers of the table."""
    seeds = comparison.seeds
    text = (
        f"Mean over {seeds} {comparison.average_over}s ± sample standard deviation." if seeds > 1 else "One value each."
    )
    if _has_intervals(comparison):
        text += (
            f" In brackets: {_percent(comparison.confidence)} bootstrap interval over images "
            f"({comparison.resamples:,} resamples)."
        )
    return text


def explain_differences(comparison: Comparison) -> str:
    """Return a sentence on what the differences are, and how their intervals were computed."""
    text = f"Mean difference between runs with the same {comparison.average_over}"
    if _has_intervals(comparison):
        text += f", {_percent(comparison.confidence)} paired bootstrap interval over images"
    return f"{text}, and number of {comparison.average_over}s with a positive difference."


def describe(column: ShownColumn) -> str:
    """Return the provenance of a column, in one line."""
    way = direction(column.measure)
    better = f" ({way} is better)" if way else ""
    images = [] if column.images is None else [counted(column.images, "image")]
    facts = [", ".join([f"{column.measure}{better}", f"split {column.split}", *images])]
    return "; ".join([*facts, *(f"{name}: {' / '.join(values)}" for name, values in column.facts.items())])


def mean_text(cell: Cell | None, seeds: int) -> str:
    """Return ``0.465 ± 0.002``, with the number of values unless it is ``seeds``."""
    if cell is None:
        return NOT_DEFINED
    number = "" if len(cell.seeds) == seeds else f" (n = {len(cell.seeds)})"
    return f"{cell.mean:.3f}" + ("" if cell.std is None else f" ± {cell.std:.3f}") + number


def interval_text(interval: tuple[float, float] | None, *, signed: bool = False) -> str:
    """Return ``[0.431, 0.498]``, or an empty string without an interval."""
    if interval is None:
        return ""
    low, high = (signed_text(bound) if signed else f"{bound:.3f}" for bound in interval)
    return f"[{low}, {high}]"


def signed_text(value: float) -> str:
    """Return a number with its sign: ``+0.030`` or ``−0.004``."""
    return f"{value:+.3f}".replace("-", "−")


def _table(comparison: Comparison, *, differences: bool) -> list[str]:
    rows = [row for row in comparison.rows if not (differences and row == comparison.reference)]
    lines = [
        "| "
        + " | ".join([markdown(comparison.axis), *(markdown(column.heading) for column in comparison.columns)])
        + " |",
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
    difference = cell.difference
    parts = [
        signed_text(difference.mean),
        interval_text(difference.interval, signed=True),
        f"{difference.positive}/{difference.seeds}",
    ]
    return " ".join(part for part in parts if part)


def _has_intervals(comparison: Comparison) -> bool:
    return any(cell and cell.interval for column in comparison.columns for cell in column.cells.values())


def _percent(confidence: float) -> str:
    return f"{100 * confidence:g} %"
