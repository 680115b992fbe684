"""The tables of a benchmark as rows, Markdown and HTML."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from resultfolders import draw_table, write_results, write_table

from wsss.benchmark.benchmark_view import PLOTS, as_markdown, as_page, read_view, to_json, view_of
from wsss.benchmark.compute_tables import (
    CONTRAST_COLUMNS,
    KEYS,
    Tables,
    as_csv,
    as_json,
    contrasts_as_json,
    make_tables,
)
from wsss.benchmark.result_files import Resources, find_groups, write_resources
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json, write_text
from wsss.viz.report.run_overview import BENCHMARK

LEVELS = {"CEDiceLoss": 1.0, "clDiceLoss": 0.3, "<b>&|": 2.0}
REFERENCE = "supervised/accurate/large/CEDice"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="90pt" height="60"><title>Ranks &lt;1&gt;</title></svg>'


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    results = write_results(tmp_path, LEVELS)
    return make_tables(results, find_groups(results), permutations=500)


def test_json_and_csv_have_a_row_per_cell_unrounded(tables: Tables) -> None:
    rows = as_json(tables.rows)
    assert len(rows) == 3 * 2 * 7 and {tuple(row) for row in rows} == {KEYS}
    for row, line in zip(rows, csv.DictReader(io.StringIO(as_csv(rows))), strict=True):
        assert float(line["mean"]) == row["mean"] and line["bold"] == str(row["bold"]).lower()
        assert line["p"] == ("" if row["p"] is None else str(row["p"]))
    assert any(row["mean"] != round(row["mean"], 2) for row in rows)


def test_markdown_has_the_authors_format(tables: Tables) -> None:
    lines = as_markdown(view_of(tables)).splitlines()
    assert "## supervised · accurate labels · large training set" in lines
    head = lines.index("**In-distribution (ID)**") + 2
    assert lines[head] == "| Loss | Betti0 | Betti1 | Dice | HD95 | clDice | Betti0Local | Betti1Local |"
    row = next(row for row in tables.rows if (row.loss, row.metric, row.group) == ("clDice", "Betti0", "ID"))
    assert lines[head + 3].startswith(f"| clDice | **{round(row.mean, 2)} ± {round(row.std, 2)}** |")
    assert "| &lt;b>&\\| |" in "\n".join(lines)


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.images, self.bold = "", [], 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.bold += tag == "b"
        assert tag not in ("script", "link")
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data):
        self.text += data


def test_the_page_is_self_contained_and_has_every_cell(tables: Tables) -> None:
    view = view_of(tables)
    page = Page(as_page(view, {"supervised_accurate_large_ranks": SVG.encode()}))
    for case in view.cases:
        for table in case.tables:
            assert all(cell.text in page.text for _, cells in table.rows for cell in cells)
    assert "<b>&|" in page.text, "names are escaped"
    assert page.bold == sum(row.bold for row in tables.rows)
    (image,) = page.images
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert (image["width"], image["height"], image["alt"]) == ("120", "60", "Ranks <1>")


def test_time_and_memory_are_shown_where_recorded(tmp_path: Path) -> None:
    results = write_results(tmp_path, LEVELS)
    assert "Training time" not in as_markdown(view_of(make_tables(results, find_groups(results), permutations=50)))
    folder = results / "supervised/accurate/large/clDiceLoss"
    write_resources(folder / "1.csv", Resources(3600.0, 2**30, "cuda"))
    write_resources(folder / "2.csv", Resources(7200.0, 2**31, "cuda"))
    view = view_of(make_tables(results, find_groups(results), permutations=50))
    assert view.ranking.head[-3:] == ("Training time", "Peak memory", "Runs")
    costs = {name: [cell.text for cell in cells[-3:]] for name, cells in view.ranking.rows}
    assert costs["clDice"] == ["1\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}30\N{NO-BREAK SPACE}min", "2.00 GiB", "2 (cuda)"]
    assert costs["CEDice"] == ["–", "–", "–"]


def test_a_view_round_trips(tables: Tables, tmp_path: Path) -> None:
    view = view_of(tables)
    write_json(tmp_path / BENCHMARK, to_json(view))
    write_text(tmp_path / PLOTS / "ranks.svg", SVG)
    read, plots = read_view(tmp_path)
    assert read == view and [(plot.name, plot.width) for plot in plots] == [("ranks", 120)]


@pytest.mark.parametrize("content", [{"format": 9}, {"format": 2, "explanation": "", "cases": [{}]}])
def test_other_content_is_no_view(tmp_path: Path, content: dict[str, object]) -> None:
    write_json(tmp_path / BENCHMARK, content)
    with pytest.raises(InvalidInput) as error:
        read_view(tmp_path)
    assert error.value.subject == str(tmp_path / BENCHMARK)


def test_a_comparison_across_labels(tmp_path: Path) -> None:
    write_results(tmp_path, {"CEDiceLoss": 1.0}, images=8)
    results = write_results(tmp_path, {"CEDiceLoss": 1.6, "clDiceLoss": 0.3}, case="supervised/weak/large", images=8)
    tables = make_tables(results, find_groups(results), permutations=500, reference=REFERENCE)
    view = view_of(tables)
    assert view.contrasts is not None and view.contrasts.title == "CEDice · accurate labels"
    names = [[name for name, _ in table.rows] for table in view.contrasts.tables]
    assert names == [["CEDice · accurate labels", "CEDice · weak labels", "clDice · weak labels"]] * 2
    reference, worse, better = (cells[0] for _, cells in view.contrasts.tables[0].rows)
    assert not reference.note and not reference.bold
    assert worse.text.endswith("▼") and not worse.bold and worse.note.startswith("+")
    assert better.bold and better.note.startswith("−") and better.p is not None and better.p < 0.05
    text, page = as_markdown(view), as_page(view, {})
    assert "## Compared with CEDice · accurate labels" in text and "Compared with CEDice · accurate labels" in page
    assert f"**{better.text}** ({better.note})" in text and better.note in page
    write_json(tmp_path / BENCHMARK, to_json(view))
    assert read_view(tmp_path)[0] == view
    rows = contrasts_as_json(tables.contrasts)
    assert {tuple(row) for row in rows} == {tuple(rows[0])} and set(rows[0]) == set(CONTRAST_COLUMNS)
    table = list(csv.DictReader(io.StringIO(as_csv(rows, CONTRAST_COLUMNS))))
    assert [float(row["difference"]) for row in table] == [row["difference"] for row in rows]
    assert table[0]["seeds"].startswith("1: ") and table[0]["verdict"] == ""


def test_partial_and_missing_comparisons_are_noted(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0})
    write_table(results / "supervised/weak/large/CEDiceLoss/1.csv", draw_table([1], 0.5, 1))
    tables = make_tables(results, find_groups(results), permutations=200, reference=REFERENCE)
    prefix = f"compared with {REFERENCE}: supervised/weak/large/CEDice:"
    assert f"{prefix} mean over 1 of 4 ID images in common" in tables.benchmark.notes
    assert f"{prefix} no OOD image in common" in tables.benchmark.notes
    view = view_of(tables)
    assert view.contrasts is not None and view.notes == tables.benchmark.notes
    weak = dict(view.contrasts.tables[0].rows)["CEDice · weak labels"]
    assert weak[0].note.endswith("[–, –]")
