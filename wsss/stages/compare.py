"""The table of a matrix: variants as rows, scores as columns, seeds averaged, differences to a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from wsss.errors import InvalidInput, closest, listing
from wsss.pipeline.config.matrix import read_instance_id
from wsss.pipeline.stage import Context, Input, Result, Stage, StageConfig
from wsss.validation import OptionName

if TYPE_CHECKING:
    from wsss.stages.common.compare_table import Column

TABLE, PAGE, PICTURE = "compare.csv", "compare.md", "precision_recall.svg"


class CompareConfig(StageConfig):
    """Config of `compare`."""

    rows: Annotated[str | None, OptionName("row-axis")] = Field(
        None, description="axis of the matrix whose values are the rows; by default the only axis besides `over`"
    )
    over: str = Field("seed", description="axis of the matrix to average over")
    reference: str | None = Field(None, description="reference row for differences")
    measures: tuple[str, ...] = Field(
        ("miou",), min_length=1, description="metrics of score stages, one column each (iou.cat: a nested metric)"
    )
    titles: dict[str, str] = Field(default_factory=dict, description="score stage → column heading")
    resamples: int = Field(2000, ge=0, le=100_000, description="bootstrap resamples of the images; 0: no intervals")
    confidence: float = Field(0.95, gt=0, lt=1, description="confidence level of the bootstrap intervals")


def run(ctx: Context[CompareConfig]) -> Result:
    """Gather the columns, compare the rows of each, and write table and precision–recall plot."""
    from wsss.io.files.atomic import write_json, write_text
    from wsss.metrics.comparison import Bootstrap, compare
    from wsss.stages.common.compare_table import gather_columns, gather_curves, place_of
    from wsss.viz.drawing.curves import standalone
    from wsss.viz.report.comparison_table import Comparison, as_csv, as_json, as_markdown
    from wsss.viz.report.run_overview import COMPARISON

    config, scores = ctx.config, ctx.inputs["scores"]
    axis = rows_axis(config, [one.id for one in scores])
    places = {one.id: place_of(one.id, axis, config.over) for one in scores}
    columns = gather_columns(scores, places, config.measures, config.titles)
    rows = tuple(dict.fromkeys(place.row for place in places.values()))
    bootstrap = Bootstrap(config.resamples, config.confidence, ctx.seed)
    advance = ctx.progress.track("bootstrap", len(columns))
    tables = []
    for column in columns:
        tables.append(compare(column.measured, column.statistic, config.reference, bootstrap))
        advance(1)
    comparison = Comparison(
        axis=axis or "",
        over=config.over,
        rows=rows,
        reference=config.reference,
        resamples=config.resamples,
        confidence=config.confidence,
        columns=tuple(column.shown(cells) for column, cells in zip(columns, tables, strict=True)),
        curves=gather_curves(scores, places, config.titles, config.reference),
    )
    if ctx.ranks.rank == 0:
        write_json(ctx.out / COMPARISON, as_json(comparison))
        write_text(ctx.out / TABLE, as_csv(comparison))
        write_text(ctx.out / PAGE, as_markdown(comparison))
        for place, chart in enumerate(comparison.curves):
            name = PICTURE if not place else PICTURE.replace(".", f"_{place + 1}.")
            write_text(ctx.out / name, standalone(chart))
    _warn(ctx, columns, rows)
    shown = {column.title: cells for column, cells in zip(columns, tables, strict=True)}
    return Result(
        {
            "rows": list(rows),
            "mean": {title: {row: cell and cell.mean for row, cell in cells.items()} for title, cells in shown.items()},
            "difference": {
                title: {row: cell.difference.mean for row, cell in cells.items() if cell and cell.difference}
                for title, cells in shown.items()
            },
        }
    )


def rows_axis(config: CompareConfig, ids: Sequence[str]) -> str | None:
    """Return the axis whose values are the rows, ``None`` where there is none to take.

    Raises:
        InvalidInput: several would do and none is named, the one named (or the one to average over) doesn't exist,
            some score lies on no place of it, or the reference is none of its values.
    """
    points = {id: read_instance_id(id)[1] for id in ids}
    axes = dict.fromkeys(axis for point in points.values() for axis in point if axis != config.over)
    if "over" in config.model_fields_set and not any(config.over in point for point in points.values()):
        found = listing(axes) or "no axis"
        raise InvalidInput(f"over: no score fans out over {config.over!r}; found {found}{closest(config.over, axes)}")
    axis = config.rows
    if axis is None and len(axes) > 1:
        raise InvalidInput(
            f"the scores fan out over {listing(axes)}; one of these axes makes the rows.",
            hint="Name it: rows: AXIS (--row-axis AXIS).",
        )
    axis = axis or next(iter(axes), None)
    if axis is not None and axis not in axes:
        raise InvalidInput(
            f"rows: no score fans out over {axis!r}; found {listing(axes) or 'no axis'}{closest(axis, axes)}"
        )
    lost = [id for id, point in points.items() if axis is not None and axis not in point]
    if lost:
        raise InvalidInput(
            f"{listing(lost)} has no place on the axis {axis!r} that makes the rows.",
            hint="Leave it out of needs; the report shows it beside the table.",
        )
    rows = list(dict.fromkeys(point[axis] for point in points.values())) if axis is not None else []
    if config.reference is not None and config.reference not in rows:
        raise InvalidInput(
            f"reference: no row {config.reference!r}; the rows are {listing(rows, limit=40) or 'only one'}"
            f"{closest(config.reference, rows)}",
            hint="Name one of these, or leave the stage out (enabled: false).",
        )
    return axis


def _check_inputs(config: CompareConfig, ids: Mapping[str, Sequence[str]]) -> None:
    rows_axis(config, ids["scores"])
    entries = {read_instance_id(id)[0] for id in ids["scores"]}
    unknown = [name for name in config.titles if name not in entries]
    if unknown:
        raise InvalidInput(
            f"titles: no score is called {unknown[0]!r}; there are {listing(sorted(entries), limit=20)}"
            f"{closest(unknown[0], entries)}"
        )
    shown = [config.titles.get(name, name) for name in sorted(entries)]
    twice = next((title for title in shown if shown.count(title) > 1), None)
    if twice is not None:
        raise InvalidInput(f"titles: two scores are called {twice!r}; headings of columns have to differ.")


def _warn(ctx: Context[CompareConfig], columns: Sequence[Column], rows: Sequence[str]) -> None:
    """Say which rows a column lacks, and where rows stand on unequal numbers of seeds."""
    for column in columns:
        found = {row: len(column.measured.get(row, {})) for row in rows}
        if len(set(found.values())) > 1:
            told = ", ".join(f"{row} {count}" for row, count in found.items())
            ctx.log(f"warning: compare: {column.title}: unequal numbers of scores ({told}).")


STAGE = Stage(
    name="compare",
    version=1,
    config=CompareConfig,
    run=run,
    provides="comparison",
    inputs={"scores": Input(("scores",), "score and sweep stages to compare, or a whole run", many=True)},
    check_inputs=_check_inputs,
)
