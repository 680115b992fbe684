"""Box plots and rank diagrams: their content, and their files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from resultfolders import draw_table, write_results, write_table

from wsss.benchmark.figures import box_plots, rank_diagram
from wsss.benchmark.figures.box_plots import BoxChart, Panel
from wsss.benchmark.figures.plots import draw_plots, write_plots
from wsss.benchmark.figures.rank_diagram import RankChart, RankPanel
from wsss.benchmark.ranking import ImageRanks
from wsss.benchmark.read_results import read_benchmark
from wsss.benchmark.result_files import find_groups
from wsss.benchmark.score_set import Benchmark
from wsss.errors import InvalidInput

SVG = "{http://www.w3.org/2000/svg}"


def read(results: Path) -> Benchmark:
    """Read results; only the local Betti-0 error, to draw few plots."""
    for path in results.rglob("*.csv"):
        lines = [line.split(",")[:2] for line in path.read_text().splitlines()]
        path.write_text("".join(",".join(cells) + "\n" for cells in lines))
    return read_benchmark(results, find_groups(results))


def test_a_file_per_metric_and_case_with_equal_bytes_for_equal_results(tmp_path: Path) -> None:
    benchmark = read(write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 0.3, "<b>&|$\x1b": 2.0}))
    written = write_plots(benchmark, tmp_path / "plots")
    names = [path.name for path in written]
    assert names == ["supervised_accurate_large_ranks.svg", "supervised_accurate_large_Betti0Local.svg"]
    for path in written:
        root = ElementTree.parse(path).getroot()
        assert (root.findtext(f"{SVG}title") or "").startswith(("Betti0Local", "supervised"))
        texts = {text.text for text in root.iter(f"{SVG}text")}
        assert "ranks" in path.name or texts >= {"CEDice", "clDice", "<b>&|$\\x1b"}
    assert [path.read_bytes() for path in written] == list(draw_plots(benchmark).values())
    again = write_plots(benchmark, tmp_path / "again", drawn={"one": b"<svg/>"})
    assert [(path.name, path.read_bytes()) for path in again] == [("one.svg", b"<svg/>")]


@pytest.mark.slow
def test_plots_as_pdf(tmp_path: Path) -> None:
    benchmark = read(write_results(tmp_path, {"CEDiceLoss": 1.0}, seeds=(1,)))
    first, second = (write_plots(benchmark, tmp_path / name, "pdf") for name in ("one", "two"))
    assert [path.suffix for path in first] == [".pdf"] * 2
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes().startswith(b"%PDF") and one.read_bytes() == other.read_bytes()


def test_plots_of_minimal_results(tmp_path: Path) -> None:
    """One seed, one image, constant scores, and a group that one loss lacks."""
    results = write_results(tmp_path, {"clDiceLoss": 0.0}, seeds=(1,), images=1)
    write_table(results / "supervised/accurate/large/TopoLoss/1.csv", draw_table([1, 2], 0.0, 1))
    for svg in draw_plots(read(results)).values():
        assert b"nan" not in svg.lower() and ElementTree.fromstring(svg) is not None


def test_the_folder_may_not_have_the_name_of_a_picture(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0}, seeds=(1,), images=1)
    with pytest.raises(InvalidInput) as error:
        write_plots(read(results), tmp_path / "plots.png")
    assert error.value.subject == str(tmp_path / "plots.png")


def test_boxes_are_tukeys() -> None:
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 30])
    chart = BoxChart("Betti0", "", ("CEDice", "clDice"), "CEDice", (Panel("ID", (values, np.array([]))),))
    (ax,) = box_plots.draw_boxes(chart).axes
    (box,) = ax.patches
    assert box.get_path().get_extents().intervalx.tolist() == [3, 7]
    lines = [line.get_xdata() for line in ax.lines]
    assert sorted(sorted(map(float, line)) for line in lines) == [[1, 3], [5, 5], [7, 8], [66 / 9]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["CEDice", "clDice"]
    assert box_plots.describe(chart).endswith("ID: CEDice 5")


def test_bars_are_as_long_as_the_critical_difference() -> None:
    ranks = ImageRanks({"CEDice": 2.5, "clDice": 1.25}, 40, 0.5)
    chart = RankChart("case", "CEDice", (RankPanel("Dice", ranks), RankPanel("HD95", None)))
    ax, empty = rank_diagram.draw_ranks(chart).axes
    bars = [bar.get_segments()[0][:, 0].tolist() for bar in ax.collections]
    assert bars == [[1.0, 1.5], [2.25, 2.75]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["clDice", "CEDice"]
    assert [text.get_text() for text in empty.texts] == ["nothing to rank"]
    assert "Dice: clDice 1.25, CEDice 2.50; critical difference 0.50" in rank_diagram.describe(chart)
