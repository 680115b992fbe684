"""Plots of a benchmark: box plots of each group, and rank diagrams, an SVG file each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsss.benchmark.box_plots import BoxChart, Panel, box_of, draw_boxes
from wsss.benchmark.compute_tables import TITLES, title_of
from wsss.benchmark.rank_diagram import RankChart, RankPanel, draw_ranks
from wsss.benchmark.ranking import SHOWN, rank_over_images
from wsss.benchmark.score_set import ID_GROUP, METRICS, REFERENCE, Benchmark, Case, Metric
from wsss.benchmark.table_cells import DISTRIBUTIONS
from wsss.errors import InvalidInput
from wsss.io.files.atomic import write_text

SUFFIX = ".svg"
PICTURES = (".svg", ".png", ".pdf", ".jpg", ".jpeg")


def write_plots(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Write all plots into ``folder`` as SVG files; return their paths.

    Raises:
        InvalidInput: ``folder`` is called like a picture: the plots are many files, and SVG.
    """
    if folder.suffix.lower() in PICTURES:
        raise InvalidInput(
            f"{folder}: this is a folder's place; the plots are several files, and SVG.",
            hint=f"Name a folder: {folder.with_suffix('')}. Any browser shows SVG and can print it as PDF.",
        )
    written = []
    for name, picture in draw_plots(benchmark).items():
        written.append(folder / f"{name}{SUFFIX}")
        write_text(written[-1], picture)
    return written


def draw_plots(benchmark: Benchmark) -> dict[str, str]:
    """Return name → SVG: per case ``<case>_ranks``, and ``<case>_<metric>`` for each metric with numbers."""
    pictures = {}
    for case, losses in benchmark.cases.items():
        place = "_".join(case)
        pictures[f"{place}_ranks"] = draw_ranks(_ranks(benchmark, case))
        for metric in METRICS:
            if any(metric.name in one.values for one in losses.values()):
                pictures[f"{place}_{metric.name}"] = draw_boxes(_boxes(benchmark, case, metric))
    return pictures


def _boxes(benchmark: Benchmark, case: Case, metric: Metric) -> BoxChart:
    losses = benchmark.cases[case]
    panels = []
    for group in benchmark.groups:
        boxes = []
        for one in losses.values():
            values = one.values.get(metric.name, np.full(len(one.groups), np.nan))
            boxes.append(box_of(values[np.array(one.groups) == group]))
        panels.append(Panel(TITLES["ID"] if group == ID_GROUP else group, tuple(boxes)))
    unit = " in pixels" if metric.name == "HD95" else ""
    subtitle = f"{title_of(case)}. Each value is an image and a seed{unit}; {metric.better} is better; circle: mean."
    return BoxChart(metric.name, subtitle, tuple(losses), REFERENCE, tuple(panels))


def _ranks(benchmark: Benchmark, case: Case) -> RankChart:
    panels = [
        RankPanel(f"{metric.name}, {TITLES[one]}", rank_over_images(benchmark.cases[case], metric, one))
        for metric in SHOWN
        for one in DISTRIBUTIONS
    ]
    return RankChart(title_of(case), REFERENCE, tuple(panels))
