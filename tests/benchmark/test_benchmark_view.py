"""What is shown of a benchmark: text, page, and plots."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from resultfolders import draw_table, write_results, write_table

from wsss.benchmark.benchmark_view import as_markdown, as_page, read_view, to_json, view_of
from wsss.benchmark.box_plots import box_of
from wsss.benchmark.compute_tables import (
    CONTRAST_COLUMNS,
    KEYS,
    Tables,
    as_csv,
    as_json,
    contrasts_as_json,
    make_tables,
)
from wsss.benchmark.plots import draw_plots, write_plots
from wsss.benchmark.result_files import Resources, find_groups, write_resources
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_json
from wsss.viz.report.run_overview import BENCHMARK

LEVELS = {"CEDiceLoss": 1.0, "clDiceLoss": 0.3, "<b>&|": 2.0}


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    results = write_results(tmp_path, LEVELS)
    return make_tables(results, find_groups(results), swaps=500)


def test_json_and_csv_have_a_row_per_cell_unrounded(tables):
    rows = as_json(tables.rows)
    assert len(rows) == 3 * 2 * 7 and {tuple(row) for row in rows} == {KEYS}
    table = list(csv.DictReader(io.StringIO(as_csv(rows))))
    for one, other in zip(rows, table, strict=True):
        assert float(other["mean"]) == one["mean"] and other["bold"] == str(one["bold"]).lower()
        assert other["p"] == ("" if one["p"] is None else str(one["p"]))
    assert any(row["mean"] != round(row["mean"], 2) for row in rows)


def test_markdown_prints_as_the_authors_do(tables):
    lines = as_markdown(view_of(tables)).splitlines()
    assert "## supervised · accurate labels · large training set" in lines
    head = lines.index("**In-distribution (ID)**") + 2
    assert lines[head] == "| Loss | Betti0 | Betti1 | Dice | HD95 | clDice | Betti0Local | Betti1Local |"
    row = next(one for one in tables.rows if (one.loss, one.metric, one.group) == ("clDice", "Betti0", "ID"))
    assert lines[head + 3].startswith(f"| clDice | **{round(row.mean, 2)} ± {round(row.std, 2)}** |")
    assert "| &lt;b>&\\| |" in "\n".join(lines)


def test_the_page_is_whole_and_says_what_the_tables_say(tables):
    view = view_of(tables)

    class Page(HTMLParser):
        text = ""
        sources: list[str] = []  # noqa: RUF012
        bold = 0

        def handle_starttag(self, tag, attrs):
            values = dict(attrs)
            self.bold += tag == "b"
            if tag in ("img", "script", "link"):
                self.sources.append(values.get("src") or tag)

        def handle_data(self, data):
            self.text += data

    page = Page()
    page.feed(as_page(view, draw_plots(tables.benchmark)))
    for case in view.cases:
        for table in case.tables:
            assert all(cell.text in page.text for _, cells in table.rows for cell in cells)
    assert "<b>&|" in page.text, "names are escaped"
    assert page.bold == sum(row.bold for row in tables.rows)
    assert len(page.sources) == 8 and all(one.startswith("data:image/svg+xml;base64,") for one in page.sources)


def test_plots_are_pictures_with_words(tables, tmp_path):
    written = write_plots(tables.benchmark, tmp_path / "plots")
    assert [path.name for path in written][:2] == [
        "supervised_accurate_large_ranks.svg",
        "supervised_accurate_large_Betti0.svg",
    ]
    for path in written:
        root = ElementTree.parse(path).getroot()
        assert root.attrib["role"] == "img" and "clDice" in root.attrib["aria-label"]
        texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "CEDice" in texts and "<b>&|" in texts
        xs = [float(one.attrib["x1"]) for one in root.iter("{http://www.w3.org/2000/svg}line")]
        assert all(0 <= x <= float(root.attrib["width"]) for x in xs)
    assert {path.read_bytes() for path in written} == {one.encode() for one in draw_plots(tables.benchmark).values()}


def test_plots_of_little(tmp_path):
    """One loss, one seed, one image, a constant score, and a group that one loss lacks."""
    results = write_results(tmp_path, {"clDiceLoss": 0.0}, seeds=(1,), images=1)
    write_table(results / "supervised/accurate/large/TopoLoss/1.csv", draw_table([1, 2], 0.0, 1))
    made = make_tables(results, find_groups(results))
    for svg in draw_plots(made.benchmark).values():
        assert "nan" not in svg.lower() and ElementTree.fromstring(svg) is not None


def test_a_picture_is_no_folder(tables, tmp_path):
    with pytest.raises(InvalidInput, match="several files, and SVG"):
        write_plots(tables.benchmark, tmp_path / "plots.png")


def test_boxes_are_tukeys() -> None:
    values = np.array([1, 2, 3, 4, 5, 6, 7, 8, 30, np.nan])
    box = box_of(values)
    assert box is not None and box.quartiles == (3, 5, 7) and (box.low, box.high) == (1, 8)
    assert box.mean == pytest.approx(66 / 9) and box.count == 9
    assert box_of(np.array([np.nan])) is None


def test_time_and_memory_are_shown_where_they_are_known(tmp_path):
    results = write_results(tmp_path, LEVELS)
    assert "Training time" not in as_markdown(view_of(make_tables(results, find_groups(results), swaps=50)))
    folder = results / "supervised/accurate/large/clDiceLoss"
    write_resources(folder / "1.csv", Resources(3600.0, 2**30, "cuda"))
    write_resources(folder / "2.csv", Resources(7200.0, 2**31, "cuda"))
    view = view_of(make_tables(results, find_groups(results), swaps=50))
    assert view.ranking.head[-3:] == ("Training time", "Peak memory", "Runs")
    costs = {name: [cell.text for cell in cells[-3:]] for name, cells in view.ranking.rows}
    assert costs["clDice"] == ["1\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}30\N{NO-BREAK SPACE}min", "2.00 GiB", "2 (cuda)"]
    assert costs["CEDice"] == ["–", "–", "–"]


def test_a_view_is_read_as_it_was_written(tables, tmp_path):
    view = view_of(tables)
    write_json(tmp_path / BENCHMARK, to_json(view))
    write_plots(tables.benchmark, tmp_path / "plots")
    found, pictures = read_view(tmp_path)
    assert found == view and len(pictures) == 8 and pictures[0].width > 300
    for broken in ({"format": 9}, {"format": 1, "explanation": "", "cases": [{}]}):
        write_json(tmp_path / BENCHMARK, broken)
        with pytest.raises(InvalidInput, match="not the tables of a bench stage"):
            read_view(tmp_path)


def test_a_comparison_across_labels_is_shown_everywhere(tmp_path):
    write_results(tmp_path, {"CEDiceLoss": 1.0}, images=8)
    results = write_results(tmp_path, {"CEDiceLoss": 1.6, "clDiceLoss": 0.3}, case="supervised/weak/large", images=8)
    made = make_tables(results, find_groups(results), swaps=500, against="supervised/accurate/large/CEDice")
    view = view_of(made)
    assert view.against is not None and view.against.title == "CEDice · accurate labels"
    names = [[name for name, _ in table.rows] for table in view.against.tables]
    assert names == [["CEDice · accurate labels", "CEDice · weak labels", "clDice · weak labels"]] * 2
    reference, worse, better = (cells[0] for _, cells in view.against.tables[0].rows)
    assert not reference.note and not reference.bold
    assert worse.text.endswith("▼") and not worse.bold and worse.note.startswith("+")
    assert better.bold and better.note.startswith("−") and better.p is not None and better.p < 0.05
    text, page = as_markdown(view), as_page(view, {})
    assert "## Against CEDice · accurate labels" in text
    assert (
        f"**{better.text}** ({better.note})" in text
        and better.note in page
        and "Against CEDice · accurate labels" in page
    )
    write_json(tmp_path / BENCHMARK, to_json(view))
    assert read_view(tmp_path)[0] == view
    rows = contrasts_as_json(made.contrasts)
    assert {tuple(row) for row in rows} == {tuple(rows[0])} and set(rows[0]) == set(CONTRAST_COLUMNS)
    table = list(csv.DictReader(io.StringIO(as_csv(rows, CONTRAST_COLUMNS))))
    assert [float(row["difference"]) for row in table] == [row["difference"] for row in rows]
    assert table[0]["seeds"].startswith("1: ") and table[0]["verdict"] == ""


def test_what_is_compared_in_part_or_not_at_all_is_noted(tmp_path):
    results = write_results(tmp_path, {"CEDiceLoss": 1.0})
    write_table(results / "supervised/weak/large/CEDiceLoss/1.csv", draw_table([1], 0.5, 1))
    made = make_tables(results, find_groups(results), swaps=200, against="supervised/accurate/large/CEDice")
    reference, arm = "against supervised/accurate/large/CEDice:", "supervised/weak/large/CEDice:"
    assert f"{reference} {arm} 1 of 4 ID images in common; its mean is over these" in made.benchmark.notes
    assert f"{reference} {arm} no OOD image in common" in made.benchmark.notes
    view = view_of(made)
    assert view.against is not None and view.notes == made.benchmark.notes
    weak = dict(view.against.tables[0].rows)["CEDice · weak labels"]
    assert weak[0].note.endswith("[–, –]")
