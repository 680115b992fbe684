"""Benchmark tables: losses compared on TopoMortar, with the statistics of the paper, from a matrix of scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from wsss.errors import InvalidInput, listing
from wsss.io.text.instance_ids import read_instance_id
from wsss.pipeline.stage import ALL_SPLITS, Artifact, Context, Input, Read, Result, Stage, StageConfig
from wsss.validation import OptionName

if TYPE_CHECKING:
    from wsss.benchmark.compute_tables import Tables
    from wsss.benchmark.result_files import Resources

RESULTS, GROUPS_FILE = "results", "dataset_types.txt"
PAGE, TABLE, ROWS = "tables.md", "tables.csv", "tables.json"
CONTRAST_TABLE, CONTRAST_ROWS = "contrasts.csv", "contrasts.json"
GROUP_PREFIX = "test-"
_FOLDER = re.compile(r"[\w+-][\w.+-]*")
Level = Literal["framework", "labels", "size", "loss", "seed"]
LEVELS: tuple[Level, ...] = ("framework", "labels", "size", "loss", "seed")


class BenchConfig(StageConfig):
    """Config of `bench`."""

    framework: str = Field("supervised", description="framework of the scores, unless the matrix has a framework axis")
    labels: Annotated[str, OptionName("label-kind")] = Field(
        "accurate",
        description="training labels of the scores (accurate, noisy, weak …), unless the matrix has a labels axis",
    )
    size: Annotated[str, OptionName("train-size")] = Field(
        "large", description="training set size of the scores, unless the matrix has a size axis"
    )
    loss: str | None = Field(
        None, description="loss of the scores, unless the matrix has a loss axis; by default the training loss"
    )
    per_score: dict[str, dict[Level, str | int]] = Field(
        default_factory=dict,
        description="score stage → its framework, labels, size, loss or seed, unless the matrix has such an axis",
    )
    groups: Path | None = Field(
        None, description="CSV with the columns ID and group; by default the splits test-indistr, test-angles and so on"
    )
    reference: str | None = Field(
        None,
        pattern=r"^[^/]+/[^/]+/[^/]+/[^/]+$",
        description="configuration FRAMEWORK/LABELS/SIZE/LOSS to compare all others with, even across training labels",
    )
    permutations: int = Field(10_000, ge=100, le=1_000_000, description="random sign flips per permutation test")


def run(ctx: Context[BenchConfig]) -> Result:
    """Write the scores as result files, and their tables and plots, as ``wsss bench tables`` does."""
    if ctx.ranks.rank == 0:
        _gather(ctx)
        tables = _tables(ctx)
        for note in tables.benchmark.notes:
            ctx.log(f"note: bench: {note}")
        metrics = _metrics(tables)
    else:
        metrics = {}
    ctx.ranks.barrier()
    return Result(metrics)


def _gather(ctx: Context[BenchConfig]) -> None:
    """Write ``results/framework/labels/size/loss/seed.csv`` with time and memory of each training run, and groups."""
    from wsss.benchmark.result_files import write_groups, write_resources
    from wsss.benchmark.score_set import folder_name
    from wsss.benchmark.topomortar_columns import FILE
    from wsss.io.files.atomic import write_bytes
    from wsss.io.files.recorded import check_recorded

    _check_one_cldice(ctx.inputs["scores"])
    names: dict[Path, str] = {}
    for score in ctx.inputs["scores"]:
        source = score.path / FILE
        if not source.is_file():
            hint = "Score with the preset score/topomortar (topomortar: true)."
            raise InvalidInput(f"no {FILE} in {score.path}", subject=score.id, hint=hint)
        levels = levels_of(ctx.config, score)
        target = Path(*(levels[level] for level in LEVELS[:3]), folder_name(levels["loss"]), f"{levels['seed']}.csv")
        if target in names:
            raise InvalidInput(
                f"{names[target]} and {score.id} would both be written to {target.with_suffix('')}",
                subject="bench",
                hint="Remove one from needs, or distinguish them (per_score: {STAGE: {labels: …}}).",
            )
        names[target] = str(score.id)
        path = ctx.out / RESULTS / target
        check_recorded(source)
        write_bytes(path, source.read_bytes())
        resources = _resources(score, ctx.inputs["segmenters"])
        if resources is not None:
            write_resources(path, resources)
    write_groups(ctx.out / GROUPS_FILE, _groups(ctx))


def _check_one_cldice(scores: Sequence[Artifact]) -> None:
    """Require the same clDice definition in all scores."""
    swapped = [str(score.id) for score in scores if score.config.get("transposed")]
    if swapped and len(swapped) < len(scores):
        raise InvalidInput(
            f"{len(swapped)} of {len(scores)} scores have clDice of transposed masks ({listing(swapped)}), which "
            "is not comparable with that of the others",
            subject="bench",
            hint="Set transposed to the same value in all score stages.",
        )


def levels_of(config: BenchConfig, score: Artifact) -> dict[Level, str]:
    """Return framework, labels, size, loss and seed of a score, from the matrix or else from the config.

    Raises:
        InvalidInput: the loss is unknown, the seed is not an integer, or a name is not a valid folder name.
    """
    values = _configured(config, score.id or score.path.name)
    values["loss"] = values["loss"] or score.provenance.get("loss")
    if values["loss"] is None:
        entry, _ = read_instance_id(score.id or score.path.name)
        raise InvalidInput(
            "unknown training loss: not in the matrix, and not recorded during training",
            subject=score.id,
            hint="Set loss: NAME, or per_score: {" + entry + ": {loss: NAME}}.",
        )
    levels = {level: str(values[level]) for level in LEVELS}
    if not levels["seed"].isdecimal():
        raise InvalidInput(subject=f"{score.id}: seed", found=levels["seed"], allowed="a non-negative integer")
    invalid = next((level for level in LEVELS if _FOLDER.fullmatch(levels[level]) is None), None)
    if invalid is not None:
        raise InvalidInput(subject=f"{score.id}: {invalid}", found=levels[invalid], allowed="a valid folder name")
    return levels


def _configured(config: BenchConfig, id: str) -> dict[Level, Any]:
    """Return the position of a score by matrix and config; the loss is ``None`` if only training recorded it."""
    entry, point = read_instance_id(id)
    defaults: dict[Level, Any] = {
        "framework": config.framework,
        "labels": config.labels,
        "size": config.size,
        "loss": config.loss,
        "seed": "0",
    }
    return {**defaults, **config.per_score.get(entry, {}), **{key: point[key] for key in LEVELS if key in point}}


def _groups(ctx: Context[BenchConfig]) -> dict[str, str]:
    from wsss.benchmark.result_files import read_groups

    if ctx.config.groups is not None:
        return read_groups(ctx.config.groups)
    splits = {name: samples for name, samples in ctx.data.splits.items() if name.startswith(GROUP_PREFIX) and samples}
    return {sample.id: name.removeprefix(GROUP_PREFIX) for name, samples in splits.items() for sample in samples}


def _resources(score: Artifact, segmenters: Sequence[Artifact]) -> Resources | None:
    """Return time and memory of training: of all segmenters upstream of the score.

    If the records do not list them (external stages), of those whose matrix values are a subset of the score's.
    """
    from wsss.benchmark.result_files import Resources

    _, point = read_instance_id(score.id or score.path.name)
    upstream = _upstream(score)
    trained = [segmenter for segmenter in segmenters if segmenter.id in upstream] or [
        segmenter for segmenter in segmenters if read_instance_id(segmenter.id or "")[1].items() <= point.items()
    ]
    records = [_original_record(segmenter.path) for segmenter in trained]
    records = [record for record in records if isinstance(record.get("seconds"), int | float)]
    if not records:
        return None
    memory = [peak for record in records if isinstance(peak := record.get("peak_memory_bytes"), int)]
    seconds = sum(float(record["seconds"]) for record in records)
    return Resources(seconds, max(memory, default=None), str(records[-1].get("device")))


def _original_record(folder: Path) -> Mapping[str, Any]:
    """Return the record of a stage; for a copy that of the original."""
    from wsss.pipeline.store.stage_folder import read_record

    record = read_record(folder) or {}
    name = record.get("same_as")
    original = read_record(folder.parent / name) if isinstance(name, str) else None
    return original if original is not None and original["identity"] == record.get("identity") else record


def _upstream(score: Artifact) -> set[str]:
    """Return the ids of all stages upstream of a score whose records are in the same run."""
    from wsss.pipeline.store.stage_folder import read_record

    upstream: set[str] = set()
    pending = [score.path.name]
    while pending:
        inputs = (read_record(score.path.parent / pending.pop()) or {}).get("inputs") or {}
        needs = [id for value in inputs.values() for id in (value if isinstance(value, list) else [value])]
        new = [id for id in needs if isinstance(id, str) and "/" not in id and id not in upstream]
        upstream.update(new)
        pending += new
    return upstream


def _tables(ctx: Context[BenchConfig]) -> Tables:
    from wsss.benchmark.benchmark_view import PLOTS, as_markdown, to_json, view_of
    from wsss.benchmark.compute_tables import CONTRAST_COLUMNS, as_csv, as_json, contrasts_as_json, make_tables
    from wsss.benchmark.figures.plots import write_plots
    from wsss.io.files.atomic import write_json, write_text
    from wsss.viz.report.run_overview import BENCHMARK

    config = ctx.config
    tables = make_tables(
        ctx.out / RESULTS,
        ctx.out / GROUPS_FILE,
        permutations=config.permutations,
        seed=ctx.seed,
        reference=config.reference,
    )
    view = view_of(tables)
    write_json(ctx.out / BENCHMARK, to_json(view))
    write_text(ctx.out / PAGE, as_markdown(view))
    rows = as_json(tables.rows)
    write_text(ctx.out / TABLE, as_csv(rows))
    write_json(ctx.out / ROWS, rows)
    if tables.reference is not None:
        compared = contrasts_as_json(tables.contrasts)
        write_text(ctx.out / CONTRAST_TABLE, as_csv(compared, CONTRAST_COLUMNS))
        write_json(ctx.out / CONTRAST_ROWS, compared)
    write_plots(tables.benchmark, ctx.out / PLOTS)
    return tables


def _metrics(tables: Tables) -> dict[str, Any]:
    """Return the means, one row per case, group and loss, and the significantly better ones."""
    means: dict[tuple[str, str, str], dict[str, Any]] = {}
    better = []
    for row in tables.rows:
        case = f"{row.framework}/{row.labels}/{row.size}"
        cells = means.setdefault((case, row.group, row.loss), {"case": case, "group": row.group, "loss": row.loss})
        cells[row.metric] = row.mean
        better += [f"{case}: {row.group}: {row.loss}: {row.metric}"] if row.bold else []
    return {"tables": len(tables.benchmark.cases), "mean": list(means.values()), "better": better}


def _check(config: BenchConfig, data: Any) -> None:
    if config.groups is None and not any(name.startswith(GROUP_PREFIX) for name in getattr(data, "splits", {})):
        why = f"its splits are {listing(data.splits, limit=20)}" if data is not None else "no dataset is given"
        raise InvalidInput(
            f"unknown image groups: the dataset has no split {GROUP_PREFIX}GROUP ({why})",
            subject="bench",
            hint="Use the layout topomortar or bricks, or a CSV with the columns ID and group: groups: FILE.",
        )


def _check_inputs(config: BenchConfig, ids: Mapping[str, Sequence[str]]) -> None:
    entries = {read_instance_id(id)[0] for id in ids["scores"]}
    unknown = next((name for name in config.per_score if name not in entries), None)
    if unknown is not None:
        raise InvalidInput("no such score stage", subject="per_score", found=unknown, allowed=sorted(entries))
    if config.reference is not None:
        _check_reference(config, config.reference, ids["scores"])


def _check_reference(config: BenchConfig, reference: str, ids: Sequence[str]) -> None:
    """Reject a reference that no score can match; some losses are unknown until training has finished."""
    from wsss.benchmark.score_set import short_name

    *case, loss = reference.split("/")
    matches = {}
    for values in (_configured(config, id) for id in ids):
        known = None if values["loss"] is None else short_name(str(values["loss"]))
        levels = [str(values[level]) for level in LEVELS[:3]]
        matches["/".join([*levels, known or "LOSS"])] = levels == case and known in (None, short_name(loss))
    if not any(matches.values()):
        raise InvalidInput("no such score", subject="reference", found=reference, allowed=matches)


STAGE = Stage(
    name="bench",
    version=2,
    config=BenchConfig,
    run=run,
    provides="benchmark",
    inputs={
        "scores": Input(("scores",), "score stages with topomortar: true, or a whole run", many=True),
        "segmenters": Input(("segmenter",), "segment stages, for training time and memory", many=True, optional=True),
    },
    reads=lambda config: () if config.groups is not None else [Read(ALL_SPLITS, "labels")],
    check=_check,
    check_inputs=_check_inputs,
)
