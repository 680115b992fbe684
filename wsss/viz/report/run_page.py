"""The HTML report of a run: one self-contained file for any browser, readable offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from wsss.io.files.stage_files import HISTORY
from wsss.viz.drawing.charts import Chart, read_history
from wsss.viz.drawing.formatting import number, plain, words
from wsss.viz.report.comparison_table import read_comparison
from wsss.viz.report.dag import draw
from wsss.viz.report.page import render
from wsss.viz.report.pictures.gallery import make_gallery
from wsss.viz.report.pictures.gallery_layout import Gallery, UnreadableImage, heat_scale, legend, reasons
from wsss.viz.report.pictures.sampling_view import sampling_sections
from wsss.viz.report.pictures.selection import distinct
from wsss.viz.report.pictures.thumbnails import DETAILS
from wsss.viz.report.pictures.topology_view import TopologyView, topology_view
from wsss.viz.report.report_scores import Score, class_table, scores_of
from wsss.viz.report.run_overview import StageRecord, by_entry, fold, in_order
from wsss.viz.report.supervision_ratios import ratios

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset

PAGE = "report.html.j2"


@dataclass(frozen=True)
class Options:
    """Options of a report.

    Args:
        images: maximum number of images in the gallery.
        splits: their splits; empty for every split with maps or masks.
        seed: random seed of the draw among them.
        columns: patterns (``*`` for any text) of the stages with pictures; empty for all.
        sampling: maximum number of images with sampling positions.
        topology: maximum number of images in the topology view.
        max_bytes: size limit of the file; thumbnails shrink first, then images are omitted.
    """

    title: str
    images: int = 24
    splits: tuple[str, ...] = ()
    seed: int = 0
    columns: tuple[str, ...] = ()
    sampling: int = 12
    topology: int = 8
    max_bytes: int = 9_500_000


@dataclass(frozen=True)
class Page:
    """A finished report.

    Args:
        shown: number of images in the gallery.
        left_out: number of images omitted to keep the size limit.
        unread: images omitted since their photograph is missing or broken.
    """

    html: str
    shown: int
    left_out: int
    unread: tuple[UnreadableImage, ...] = ()


@dataclass(frozen=True)
class Group:
    """A table of nested metrics (such as one value per class), collapsed below the metrics of a stage."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def build_report(
    records: Sequence[StageRecord],
    data: Dataset | None,
    options: Options,
    *,
    others: Sequence[StageRecord] = (),
    benchmarks: Sequence[tuple[StageRecord, object, Sequence[object]]] = (),
    workers: int = 1,
    track: Callable[[str, int], Callable[[int], None]] = lambda what, total: lambda steps: None,
) -> Page:
    """Build the report of a run.

    Args:
        records: its stages, in any order, with or without the report itself.
        data: its dataset; ``None`` for no gallery.
        options: see `Options`.
        others: the rest of the pipeline (failed, pending or excluded stages), for the pipeline graph.
        benchmarks: record, tables and plots of each bench stage, for `benchmark.html.j2`.
        workers: number of threads; the page does not depend on it.
        track: name and number of items → progress callback.

    Raises:
        InvalidInput: an unreadable table, or an unknown split.
    """
    records = in_order(records)
    scores = scores_of(records, data)
    pictured = [record for record in records if _matches(record.id, options.columns)]
    sampling = sampling_sections(data, pictured, count=options.sampling, detail=DETAILS[1]) if data else ()
    values = {
        **_score_values(records, scores),
        **_stage_values(records, others),
        "title": options.title,
        "data": data,
        "splits": {} if data is None else distinct(data.splits),
        "benchmarks": benchmarks,
        "legend": legend(data),
        "scale": heat_scale() if any(record.has_cams for record in pictured) else None,
        "asked": options.images,
        "topology": topology_view(
            data,
            records,
            count=options.topology,
            detail=DETAILS[1],
            budget=options.max_bytes // 3,
            workers=workers,
            track=partial(track, "topology"),
        )
        if data
        else TopologyView(),
        "gallery": Gallery((), 0),
        "sampling": [section for section in sampling if section.rows],
        "unread": (),
        "reasons": (),
        "limit": options.max_bytes / 1e6,
    }
    if data is None:
        return Page(render(PAGE, values), 0, 0)
    gallery = make_gallery(
        data,
        records,
        scores,
        splits=options.splits,
        count=options.images,
        seed=options.seed,
        budget=max(0, options.max_bytes - len(render(PAGE, values).encode()) - 20_000),
        only=[record.id for record in pictured],
        workers=workers,
        track=partial(track, "thumbnails"),
    )
    several = (*gallery.unread, *(picture for section in sampling for picture in section.unread))
    unread = tuple({picture.id: picture for picture in several}.values())
    html = render(PAGE, {**values, "gallery": gallery, "reasons": reasons(gallery), "unread": unread})
    return Page(html, gallery.shown, gallery.left_out, unread)


def _score_values(records: Sequence[StageRecord], scores: Sequence[Score]) -> dict[str, Any]:
    """Return the template values of scores; those in a table of their own are not listed again."""
    compared = {need for record in records if record.has_comparison or record.has_benchmark for need in record.needs}
    alone = [score for score in scores if score.id not in compared]
    return {
        "comparisons": [(record, read_comparison(record.path)) for record in records if record.has_comparison],
        "scores": alone,
        "compared": [score for score in scores if score.id in compared],
        "oracles": {score.id for score in scores if score.oracle},
        "ratios": ratios(scores),
        "classes": class_table(alone),
    }


def _stage_values(records: Sequence[StageRecord], others: Sequence[StageRecord]) -> dict[str, Any]:
    """Return the template values of stages and of the pipeline graph."""
    pipeline = in_order(fold(in_order([*records, *others])))
    return {
        "records": records,
        "stage_numbers": stage_numbers,
        "dag": [draw(pipeline, "right"), draw(pipeline, "down")] if pipeline else [],
        "stages": by_entry(records),
        "curves": _curves(records),
    }


def stage_numbers(metrics: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[Group]]:
    """Split the metrics of a stage into scalars and tables of nested metrics, without the provenance."""
    scalars: list[tuple[str, str]] = []
    groups: list[Group] = []
    for key, value in metrics.items():
        if key == "provenance":
            continue
        if isinstance(value, Mapping):
            pairs = tuple((str(name), _cell(entry)) for name, entry in value.items())
            groups.append(Group(words(key), ("", words(key)), pairs))
        elif isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            head = tuple(dict.fromkeys(str(name) for row in value for name in row))
            table = tuple(tuple(_cell(row.get(name)) for name in head) for row in value)
            groups.append(Group(words(key), tuple(words(name) for name in head), table))
        else:
            scalars.append((words(key), _cell(value)))
    return scalars, groups


def _cell(value: Any) -> str:
    return plain(value) if isinstance(value, Mapping | list) else number(value)


def _curves(records: Sequence[StageRecord]) -> list[tuple[str, list[tuple[StageRecord, tuple[Chart, ...]]]]]:
    """Return the learning curves of each stage of the pipeline file, by instance."""
    curves: dict[str, list[tuple[StageRecord, tuple[Chart, ...]]]] = {}
    for record in records:
        charts = read_history(record.path / HISTORY) if (record.path / HISTORY).is_file() else ()
        if charts:
            curves.setdefault(record.entry, []).append((record, charts))
    return list(curves.items())


def _matches(id: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(id, pattern) for pattern in patterns)
