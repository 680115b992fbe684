"""The tables of a benchmark as text, for Markdown, a standalone page, and a section of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wsss.benchmark.compute_tables import (
    TITLES,
    Tables,
    cell_text,
    explain,
    explain_contrasts,
    explain_ranking,
    name_of,
    ranking_table,
    title_of,
)
from wsss.benchmark.paired_against import Arm, Contrast
from wsss.benchmark.score_set import METRICS, Case
from wsss.benchmark.table_cells import DECIMALS, DISTRIBUTIONS, Distribution, Row, table_of
from wsss.errors import InvalidInput
from wsss.io.files.recorded import check_recorded
from wsss.io.text.printable import markdown
from wsss.io.text.typed_json import typed
from wsss.viz.drawing.figures import EmbeddedPlot, embed_svg
from wsss.viz.drawing.formatting import NOT_DEFINED
from wsss.viz.report.page import environment, style_sheet
from wsss.viz.report.run_overview import BENCHMARK, read_object

FORMAT = 2
PLOTS = "plots"


@dataclass(frozen=True)
class CellView:
    """One cell: ``3.31 ± 6.6``, whether it is bold, p (``None`` if undefined), and a note shown below."""

    text: str
    bold: bool = False
    p: float | None = None
    note: str = ""

    @property
    def line(self) -> str:
        """Text and note in one line, bold as in Markdown."""
        text = f"**{self.text}**" if self.bold else self.text
        return f"{text} ({self.note})" if self.note else text


@dataclass(frozen=True)
class TableView:
    """One table: title, column headings, and rows, each with a name and one cell per remaining column."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[CellView, ...]], ...]


@dataclass(frozen=True)
class CaseView:
    """The tables of one case, one per distribution."""

    title: str
    tables: tuple[TableView, ...]


@dataclass(frozen=True)
class ContrastsView:
    """The comparison of all results with one reference: its name, an explanation, and a table per distribution."""

    title: str
    explanation: str
    tables: tuple[TableView, ...]


@dataclass(frozen=True)
class View:
    """A whole benchmark.

    Args:
        explanation: text that explains the numbers.
        cases: the tables of each case.
        ranking: the ranking of the losses; its title explains it.
        notes: remarks on missing or ignored results.
        contrasts: the comparison with one reference, if requested.
    """

    explanation: str
    cases: tuple[CaseView, ...]
    ranking: TableView
    notes: tuple[str, ...]
    contrasts: ContrastsView | None = None


def view_of(tables: Tables) -> View:
    """Return the view of computed tables."""
    cases = [CaseView(title_of(case), tuple(_case_tables(tables, case))) for case in tables.benchmark.cases]
    head, lines = ranking_table(tables)
    ranked = tuple((name, tuple(CellView(text) for text in cells)) for name, *cells in lines)
    ranking = TableView(explain_ranking(tables.ranking), tuple(head), ranked)
    return View(explain(tables), tuple(cases), ranking, tables.benchmark.notes, _contrasts(tables))


def as_markdown(view: View) -> str:
    """Return the view as Markdown."""
    lines = ["# Benchmark", "", markdown(view.explanation)]
    for case in view.cases:
        lines += ["", f"## {markdown(case.title)}", *_markdown_tables(case.tables)]
    if view.contrasts is not None:
        lines += ["", f"## Compared with {markdown(view.contrasts.title)}", "", markdown(view.contrasts.explanation)]
        lines += _markdown_tables(view.contrasts.tables)
    lines += ["", "## Ranking", "", markdown(view.ranking.title), "", *_markdown_rows(view.ranking)]
    if view.notes:
        lines += ["", "## Notes", "", *(f"- {markdown(note)}" for note in view.notes)]
    return "\n".join(lines) + "\n"


def as_page(view: View, plots: Mapping[str, bytes]) -> str:
    """Return a self-contained HTML page.

    Args:
        plots: name → SVG file, shown below the tables.
    """
    pictures = [embed_svg(name, svg.decode()) for name, svg in plots.items()]
    template = environment().get_template("benchmark_page.html.j2")
    return template.render(title="Benchmark", view=view, pictures=pictures, style=style_sheet()) + "\n"


def to_json(view: View) -> dict[str, Any]:
    """Return the view as a JSON object for `read_view`."""
    return {"format": FORMAT, **asdict(view)}


def read_view(folder: Path) -> tuple[View, list[EmbeddedPlot]]:
    """Read the tables of a bench stage, and its plots sorted by name.

    Raises:
        InvalidInput: the file has unexpected content.
    """
    path = folder / BENCHMARK
    value = read_object(path)
    if value.get("format") != FORMAT:
        raise InvalidInput(
            "unsupported format of benchmark tables", subject=path, allowed=str(FORMAT), found=value.get("format")
        )
    try:
        view = typed(View, {key: entry for key, entry in value.items() if key != "format"})
    except ValueError as error:
        raise InvalidInput(f"not the tables of a bench stage ({error})", subject=path) from error
    files = sorted((folder / PLOTS).glob("*.svg"))
    for file in files:
        check_recorded(file)
    return view, [embed_svg(file.stem, file.read_text(encoding="utf-8")) for file in files]


def _case_tables(tables: Tables, case: Case) -> Iterator[TableView]:
    for distribution in DISTRIBUTIONS:
        cells = table_of(tables.rows, case, distribution)
        metrics = [metric.name for metric in METRICS if any(name == metric.name for _, name in cells)]
        rows = tuple(
            (loss, tuple(_cell(cells.get((loss, metric))) for metric in metrics))
            for loss in tables.benchmark.cases[case]
        )
        if metrics:
            yield TableView(_heading(distribution), ("Loss", *metrics), rows)


def _contrasts(tables: Tables) -> ContrastsView | None:
    if tables.reference is None:
        return None
    shown = tuple(_contrast_tables(tables.contrasts, tables.reference))
    return ContrastsView(name_of(tables.reference), explain_contrasts(tables.reference, tables.seed), shown)


def _contrast_tables(contrasts: Sequence[Contrast], reference: Arm) -> Iterator[TableView]:
    for distribution in DISTRIBUTIONS:
        cells = {(row.arm, row.metric): row for row in contrasts if row.group == distribution}
        metrics = [metric.name for metric in METRICS if any(name == metric.name for _, name in cells)]
        rows = tuple(
            (name_of(arm), tuple(_contrast_cell(cells.get((arm, metric)), reference) for metric in metrics))
            for arm in dict.fromkeys(arm for arm, _ in cells)
        )
        if rows:
            yield TableView(_heading(distribution), ("Loss · labels", *metrics), rows)


def _heading(distribution: Distribution) -> str:
    return f"{TITLES[distribution].capitalize()} ({distribution})"


def _contrast_cell(row: Contrast | None, reference: Arm) -> CellView:
    """Return ``5.21`` with the note ``−1.90 [−3.10, −0.80]``; without a note for the reference."""
    if row is None:
        return CellView(NOT_DEFINED)
    # One more decimal for scores such as Dice, whose differences are small.
    decimals = DECIMALS if abs(row.mean) >= 1 else DECIMALS + 1
    mean = f"{row.mean:.{decimals}f}"
    if row.arm == reference:
        return CellView(mean)
    difference, low, high = (
        NOT_DEFINED if value is None else f"{value:+.{decimals}f}".replace("-", "−")
        for value in (row.difference, row.low, row.high)
    )
    worse = " ▼" if row.verdict == "worse" else ""
    return CellView(mean + worse, row.verdict == "better", row.p, f"{difference} [{low}, {high}]")


def _cell(row: Row | None) -> CellView:
    return CellView(cell_text(row), row is not None and row.bold, None if row is None else row.p)


def _markdown_tables(tables: Sequence[TableView]) -> list[str]:
    return [line for table in tables for line in ("", f"**{table.title}**", "", *_markdown_rows(table))]


def _markdown_rows(table: TableView) -> list[str]:
    rows = [[markdown(name), *(cell.line for cell in cells)] for name, cells in table.rows]
    lines: list[Sequence[str]] = [[markdown(name) for name in table.head], ["---"] * len(table.head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
