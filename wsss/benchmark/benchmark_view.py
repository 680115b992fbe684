"""What is shown of a benchmark, as plain text in tables: Markdown, a page of its own, and a section of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from wsss.benchmark.score_set import METRICS
from wsss.benchmark.table_cells import DECIMALS, DISTRIBUTIONS, Row, table_of
from wsss.errors import InvalidInput
from wsss.io.files.recorded import check_recorded
from wsss.io.text.printable import markdown
from wsss.viz.drawing.formatting import NOT_DEFINED
from wsss.viz.report.page import environment
from wsss.viz.report.run_overview import BENCHMARK, read_object

FORMAT = 1
PLOTS = "plots"


@dataclass(frozen=True)
class CellView:
    """``3.31 ± 6.6``, whether it is bold, p (``None`` where there is none), and what else stands below it."""

    text: str
    bold: bool = False
    p: float | None = None
    note: str = ""

    @property
    def line(self) -> str:
        """Return text and note in one line, bold as in Markdown."""
        text = f"**{self.text}**" if self.bold else self.text
        return f"{text} ({self.note})" if self.note else text


@dataclass(frozen=True)
class TableView:
    """One table: its title, the headings of its columns, and a name and a cell per column in each row."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[CellView, ...]], ...]


@dataclass(frozen=True)
class CaseView:
    """The tables of one case, in-distribution and out of distribution apart."""

    title: str
    tables: tuple[TableView, ...]


@dataclass(frozen=True)
class AgainstView:
    """All losses of all cases against one of them: its name, what the numbers are, and a table per distribution."""

    title: str
    explanation: str
    tables: tuple[TableView, ...]


@dataclass(frozen=True)
class View:
    """A whole benchmark.

    Args:
        explanation: what the numbers are.
        cases: their tables.
        ranking: the order of the losses, with its own explanation as the title.
        notes: what was left out or looks incomplete.
        against: the comparison of all with one loss, if one was asked for.
    """

    explanation: str
    cases: tuple[CaseView, ...]
    ranking: TableView
    notes: tuple[str, ...]
    against: AgainstView | None = None


def view_of(tables: Tables) -> View:
    """Return what is shown of the tables."""
    cases = []
    for case, losses in tables.benchmark.cases.items():
        shown = []
        for distribution in DISTRIBUTIONS:
            cells = table_of(tables.rows, case, distribution)
            metrics = tuple(metric.name for metric in METRICS if any(name == metric.name for _, name in cells))
            rows = tuple((loss, tuple(_cell(cells.get((loss, metric))) for metric in metrics)) for loss in losses)
            if metrics:
                title = f"{TITLES[distribution].capitalize()} ({distribution})"
                shown.append(TableView(title, ("Loss", *metrics), rows))
        cases.append(CaseView(title_of(case), tuple(shown)))
    head, lines = ranking_table(tables)
    ranked = tuple((name, tuple(CellView(text) for text in cells)) for name, *cells in lines)
    ranking = TableView(explain_ranking(tables.ranking), tuple(head), ranked)
    return View(explain(tables), tuple(cases), ranking, tables.benchmark.notes, _against(tables))


def as_markdown(view: View) -> str:
    """Return the view as Markdown; bold cells are bold."""
    lines = ["# Benchmark", "", markdown(view.explanation)]
    for case in view.cases:
        lines += ["", f"## {markdown(case.title)}"]
        for table in case.tables:
            lines += ["", f"**{table.title}**", "", *_markdown(table)]
    if view.against is not None:
        lines += ["", f"## Against {markdown(view.against.title)}", "", markdown(view.against.explanation)]
        for table in view.against.tables:
            lines += ["", f"**{table.title}**", "", *_markdown(table)]
    lines += ["", "## Ranking", "", markdown(view.ranking.title), "", *_markdown(view.ranking)]
    if view.notes:
        lines += ["", "## Notes", "", *(f"- {markdown(note)}" for note in view.notes)]
    return "\n".join(lines) + "\n"


def as_page(view: View, plots: Mapping[str, str], *, title: str = "Benchmark") -> str:
    """Return one HTML page that needs nothing else.

    Args:
        view: the tables.
        plots: name → SVG, shown below the tables.
        title: heading.
    """
    from importlib import resources

    from markupsafe import Markup

    style = (resources.files("wsss.viz.report") / "templates" / "report.css").read_text(encoding="utf-8")
    pictures = [picture_of(name, svg) for name, svg in plots.items()]
    template = environment().get_template("benchmark_page.html.j2")
    return template.render(title=title, view=view, pictures=pictures, style=Markup(style)) + "\n"


@dataclass(frozen=True)
class Picture:
    """A plot for a page: its name, what it shows in words, its size in pixels, and the SVG as a data URI."""

    name: str
    alt: str
    width: int
    height: int
    source: str


def picture_of(name: str, svg: str) -> Picture:
    """Return an SVG file of ours as a picture of a page.

    Raises:
        InvalidInput: it is no SVG, or not one of ours.
    """
    import base64
    import xml.etree.ElementTree as ElementTree

    try:
        root = ElementTree.fromstring(svg)
        width, height = (int(root.attrib[key]) for key in ("width", "height"))
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise InvalidInput(f"{name}: not a plot of ours ({type(error).__name__}: {error}).") from error
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
    return Picture(name, root.attrib.get("aria-label", name), width, height, source)


def to_json(view: View) -> dict[str, Any]:
    """Return the view as a JSON object, which `read_view` reads again."""
    return {"format": FORMAT, **asdict(view)}


def read_view(folder: Path) -> tuple[View, list[Picture]]:
    """Read what a bench stage wrote: its tables, and its plots in the order of their names.

    Raises:
        InvalidInput: it is something else.
    """
    path = folder / BENCHMARK
    value = read_object(path)
    if value.get("format") != FORMAT:
        raise InvalidInput(f"{path}: not the tables of a bench stage that this version can read.")
    try:
        view = View(
            str(value["explanation"]),
            tuple(CaseView(one["title"], tuple(map(_table, one["tables"]))) for one in value["cases"]),
            _table(value["ranking"]),
            tuple(map(str, value["notes"])),
            None if (one := value.get("against")) is None else _read_against(one),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path}: not the tables of a bench stage ({type(error).__name__}: {error}).") from error
    files = sorted((folder / PLOTS).glob("*.svg"))
    for file in files:
        check_recorded(file)
    return view, [picture_of(file.stem, file.read_text(encoding="utf-8")) for file in files]


def _against(tables: Tables) -> AgainstView | None:
    if tables.against is None:
        return None
    shown = []
    for distribution in DISTRIBUTIONS:
        cells = {(row.arm, row.metric): row for row in tables.contrasts if row.group == distribution}
        metrics = [metric.name for metric in METRICS if any(name == metric.name for _, name in cells)]
        rows = [
            (name_of(arm), tuple(_contrast_cell(cells.get((arm, metric)), tables.against) for metric in metrics))
            for arm in dict.fromkeys(arm for arm, _ in cells)
        ]
        if rows:
            title = f"{TITLES[distribution].capitalize()} ({distribution})"
            shown.append(TableView(title, ("Loss · labels", *metrics), tuple(rows)))
    return AgainstView(name_of(tables.against), explain_contrasts(tables.against, tables.seed), tuple(shown))


def _contrast_cell(row: Contrast | None, reference: Arm) -> CellView:
    """Return ``5.21`` with the note ``−1.90 [−3.10, −0.80]``; the reference has a mean alone."""
    if row is None:
        return CellView(NOT_DEFINED)
    # Dice and its like get a third decimal: their differences are small.
    decimals = DECIMALS if abs(row.mean) >= 1 else DECIMALS + 1
    mean = f"{row.mean:.{decimals}f}"
    if row.arm == reference:
        return CellView(mean)
    difference, low, high = (
        NOT_DEFINED if one is None else f"{one:+.{decimals}f}".replace("-", "−")
        for one in (row.difference, row.low, row.high)
    )
    worse = " ▼" if row.verdict == "worse" else ""
    return CellView(mean + worse, row.verdict == "better", row.p, f"{difference} [{low}, {high}]")


def _cell(row: Row | None) -> CellView:
    return CellView(cell_text(row), row is not None and row.bold, None if row is None else row.p)


def _table(value: Mapping[str, Any]) -> TableView:
    rows = tuple((str(name), tuple(CellView(**cell) for cell in cells)) for name, cells in value["rows"])
    return TableView(str(value["title"]), tuple(map(str, value["head"])), rows)


def _read_against(value: Mapping[str, Any]) -> AgainstView:
    return AgainstView(str(value["title"]), str(value["explanation"]), tuple(map(_table, value["tables"])))


def _markdown(table: TableView) -> list[str]:
    rows = [[markdown(name), *(cell.line for cell in cells)] for name, cells in table.rows]
    lines: list[Sequence[str]] = [[markdown(name) for name in table.head], ["---"] * len(table.head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
