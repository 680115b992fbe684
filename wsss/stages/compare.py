"""Comparison of the scores of a matrix: variants as rows, scores as columns, seeds averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from wsss.errors import InvalidInput, listing
from wsss.io.text.instance_ids import Point, read_instance_id
from wsss.pipeline.stage import Context, Input, Result, Stage, StageConfig
from wsss.validation import OptionName

if TYPE_CHECKING:
    from pathlib import Path

    from wsss.metrics.comparison import Cell
    from wsss.stages.common.scores.compare_columns import Column
    from wsss.viz.report.comparison_table import Comparison

TABLE, PAGE, PICTURE = "compare.csv", "compare.md", "precision_recall.svg"


class CompareConfig(StageConfig):
    """Config of `compare`."""

    rows: Annotated[str | None, OptionName("row-axis")] = Field(
        None, description="matrix axis whose values are the rows; by default the only axis besides average_over"
    )
    average_over: str = Field("seed", description="matrix axis to average over")
    reference: str | None = Field(None, description="reference row for differences")
    measures: tuple[str, ...] = Field(
        ("miou",), min_length=1, description="metrics of score stages, one column each; iou.cat is a nested metric"
    )
    titles: dict[str, str] = Field(default_factory=dict, description="score stage → column heading")
    resamples: int = Field(2000, ge=0, le=100_000, description="bootstrap resamples of the images; 0: no intervals")
    confidence: float = Field(0.95, gt=0, lt=1, description="confidence level of the bootstrap intervals")


def run(ctx: Context[CompareConfig]) -> Result:
    """Gather the columns, compare their rows, and write the table and the precision–recall plots."""
    from wsss.stages.common.scores.compare_columns import gather_columns
    from wsss.stages.common.scores.compare_curves import gather_curves
    from wsss.stages.common.scores.matrix_position import position_of
    from wsss.viz.report.comparison_table import Comparison

    config, scores = ctx.config, ctx.inputs["scores"]
    axis = rows_axis(config, [score.id for score in scores])
    positions = {score.id: position_of(score.id, axis, config.average_over) for score in scores}
    columns = gather_columns(scores, positions, config.measures, config.titles)
    rows = tuple(dict.fromkeys(position.row for position in positions.values()))
    tables = _compared(ctx, columns)
    comparison = Comparison(
        axis=axis or "",
        average_over=config.average_over,
        rows=rows,
        reference=config.reference,
        resamples=config.resamples,
        confidence=config.confidence,
        columns=tuple(column.shown(cells) for column, cells in zip(columns, tables, strict=True)),
        curves=gather_curves(scores, positions, config.titles, config.reference),
    )
    if ctx.ranks.rank == 0:
        _write(ctx.out, comparison)
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


def _compared(ctx: Context[CompareConfig], columns: Sequence[Column]) -> list[dict[str, Cell | None]]:
    """Return row → cell for each column."""
    from wsss.metrics.comparison import Bootstrap, compare

    bootstrap = Bootstrap(ctx.config.resamples, ctx.config.confidence, ctx.seed)
    advance = ctx.progress.track("bootstrap", len(columns))
    tables = []
    for column in columns:
        tables.append(compare(column.measured, column.statistic, ctx.config.reference, bootstrap))
        advance(1)
    return tables


def _write(out: Path, comparison: Comparison) -> None:
    from wsss.io.files.atomic import write_json, write_text
    from wsss.viz.drawing.curves import standalone
    from wsss.viz.report.comparison_table import as_csv, as_json, as_markdown
    from wsss.viz.report.run_overview import COMPARISON

    write_json(out / COMPARISON, as_json(comparison))
    write_text(out / TABLE, as_csv(comparison))
    write_text(out / PAGE, as_markdown(comparison))
    for number, chart in enumerate(comparison.curves, start=1):
        name = PICTURE if number == 1 else PICTURE.replace(".", f"_{number}.")
        write_text(out / name, standalone(chart))


def rows_axis(config: CompareConfig, ids: Sequence[str]) -> str | None:
    """Return the matrix axis of the rows, or ``None`` without one.

    Raises:
        InvalidInput: the axis of the rows is ambiguous, it or the axis to average over does not exist, a score does
            not vary along it, or the reference is not one of its values.
    """
    points = {id: read_instance_id(id)[1] for id in ids}
    axes = dict.fromkeys(axis for point in points.values() for axis in point if axis != config.average_over)
    allowed = list(axes) or "an axis of the matrix, but the scores have none"
    if "average_over" in config.model_fields_set and not any(config.average_over in point for point in points.values()):
        raise InvalidInput(
            "no score varies along this axis", subject="average_over", found=config.average_over, allowed=allowed
        )
    axis = config.rows
    if axis is None and len(axes) > 1:
        raise InvalidInput(
            f"the scores vary along several axes: {listing(axes)}",
            subject="rows",
            hint="Choose the axis of the rows: rows: AXIS (--row-axis AXIS).",
        )
    axis = axis or next(iter(axes), None)
    if axis is not None and axis not in axes:
        raise InvalidInput("no score varies along this axis", subject="rows", found=axis, allowed=allowed)
    rows = [] if axis is None else _rows_along(axis, points)
    if config.reference is not None and config.reference not in rows:
        raise InvalidInput(
            "no such row",
            subject="reference",
            found=config.reference,
            allowed=rows or "no reference, because the table has a single row",
            hint="Choose one of the rows, or disable the stage (enabled: false).",
        )
    return axis


def _rows_along(axis: str, points: Mapping[str, Point]) -> list[str]:
    """Return the values of the scores on the axis of the rows; every score needs one."""
    constant = [id for id, point in points.items() if axis not in point]
    if constant:
        raise InvalidInput(
            f"no value on the row axis {axis!r}",
            subject=listing(constant),
            hint="Remove it from the needs of the stage; the report shows it next to the table.",
        )
    return list(dict.fromkeys(point[axis] for point in points.values()))


def _check_inputs(config: CompareConfig, ids: Mapping[str, Sequence[str]]) -> None:
    rows_axis(config, ids["scores"])
    entries = sorted({read_instance_id(id)[0] for id in ids["scores"]})
    unknown = next((name for name in config.titles if name not in entries), None)
    if unknown is not None:
        raise InvalidInput("no such score stage", subject="titles", found=unknown, allowed=entries)
    headings = [config.titles.get(name, name) for name in entries]
    duplicate = next((title for title in headings if headings.count(title) > 1), None)
    if duplicate is not None:
        raise InvalidInput("duplicate column heading", subject="titles", found=duplicate)


def _warn(ctx: Context[CompareConfig], columns: Sequence[Column], rows: Sequence[str]) -> None:
    """Warn of columns whose rows have different numbers of seeds."""
    for column in columns:
        counts = {row: len(column.measured.get(row, {})) for row in rows}
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{row} {count}" for row, count in counts.items())
            ctx.log(f"warning: compare: {column.title}: unequal numbers of scores ({shown}).")


STAGE = Stage(
    name="compare",
    version=1,
    config=CompareConfig,
    run=run,
    provides="comparison",
    inputs={"scores": Input(("scores",), "score and sweep stages to compare, or a whole run", many=True)},
    check_inputs=_check_inputs,
)
