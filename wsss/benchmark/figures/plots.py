"""Plots of a benchmark: box plots of each metric, and rank diagrams, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsss.benchmark.compute_tables import TITLES, title_of
from wsss.benchmark.figures import box_plots, rank_diagram
from wsss.benchmark.figures.box_plots import BoxChart, Panel
from wsss.benchmark.figures.rank_diagram import RankChart, RankPanel
from wsss.benchmark.ranking import SHOWN, rank_over_images
from wsss.benchmark.score_set import ID_GROUP, METRICS, REFERENCE, Benchmark, Case, Metric
from wsss.benchmark.table_cells import DISTRIBUTIONS
from wsss.errors import InvalidInput, Verbatim
from wsss.io.files.atomic import write_bytes
from wsss.viz.drawing.figures import Format, render

IMAGE_SUFFIXES = (".svg", ".png", ".pdf", ".jpg", ".jpeg")


def write_plots(
    benchmark: Benchmark, folder: Path, kind: Format = "svg", *, drawn: Mapping[str, bytes] | None = None
) -> list[Path]:
    """Write all plots into ``folder``, one file each; return their paths.

    Args:
        folder: created if necessary.
        drawn: result of `draw_plots` for this benchmark and format; ``None``: draw them.

    Raises:
        InvalidInput: ``folder`` has the name of an image file.
    """
    if folder.suffix.lower() in IMAGE_SUFFIXES:
        raise InvalidInput(
            subject=folder,
            allowed="a folder",
            found=Verbatim("the name of an image file"),
            hint=f"Pass {folder.with_suffix('')}.",
        )
    written = []
    for name, content in (draw_plots(benchmark, kind) if drawn is None else drawn).items():
        written.append(folder / f"{name}.{kind}")
        write_bytes(written[-1], content)
    return written


def draw_plots(benchmark: Benchmark, kind: Format = "svg") -> dict[str, bytes]:
    """Return name → file content: per case ``<case>_ranks``, and ``<case>_<metric>`` for each metric with scores."""
    plots = {}
    for case, losses in benchmark.cases.items():
        prefix = "_".join(case)
        ranks = _ranks(benchmark, case)
        plots[f"{prefix}_ranks"] = render(rank_diagram.draw_ranks(ranks), rank_diagram.describe(ranks), kind)
        for metric in METRICS:
            if any(metric.name in scores.values for scores in losses.values()):
                boxes = _boxes(benchmark, case, metric)
                plots[f"{prefix}_{metric.name}"] = render(box_plots.draw_boxes(boxes), box_plots.describe(boxes), kind)
    return plots


def _boxes(benchmark: Benchmark, case: Case, metric: Metric) -> BoxChart:
    losses = benchmark.cases[case]
    panels = []
    for group in benchmark.groups:
        values = []
        for scores in losses.values():
            column = scores.values.get(metric.name, np.full(len(scores.groups), np.nan))
            values.append(column[(np.array(scores.groups) == group) & ~np.isnan(column)])
        panels.append(Panel(TITLES["ID"] if group == ID_GROUP else group, tuple(values)))
    unit = ", pixels" if metric.name == "HD95" else ""
    subtitle = (
        f"{title_of(case)}. One value per image and seed{unit}; {metric.better} is better. "
        "Box: quartiles; circle: mean."
    )
    return BoxChart(metric.name, subtitle, tuple(losses), REFERENCE, tuple(panels))


def _ranks(benchmark: Benchmark, case: Case) -> RankChart:
    panels = [
        RankPanel(
            f"{metric.name}, {TITLES[distribution]}", rank_over_images(benchmark.cases[case], metric, distribution)
        )
        for metric in SHOWN
        for distribution in DISTRIBUTIONS
    ]
    return RankChart(title_of(case), REFERENCE, tuple(panels))
