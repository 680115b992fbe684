"""The report: what a run did, what came out, and pictures to judge it by, as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.stage_files import RECORD
from wsss.io.text.json_files import read_json
from wsss.pipeline.plan.external_inputs import changes_since
from wsss.pipeline.stage import ALL_SPLITS, Artifact, Context, Input, Kind, Read, Result, Stage, StageConfig
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.run_summary import status_in_run
from wsss.pipeline.store.stage_folder import read_record as read_stage
from wsss.validation import OptionName

if TYPE_CHECKING:
    from wsss.data.sample import Dataset
    from wsss.viz.report.gallery import Unread
    from wsss.viz.report.run_overview import StageRecord

PAGE = "index.html"
COMPARED = "compared.json"
"""Beside the page that sets runs side by side: which runs they are."""

KINDS = ("tiles", "classifier", "cams", "masks", "segmenter", "scores", "comparison", "benchmark")


class ReportConfig(StageConfig):
    """Config of `report`."""

    title: str | None = Field(None, description="title of the page; by default the name of the run's folder")
    images: Annotated[int, OptionName("gallery")] = Field(
        24, ge=0, le=5000, description="maximum number of images in the gallery"
    )
    splits: tuple[str, ...] = Field((), description="splits in the gallery; by default all that have maps or masks")
    columns: Annotated[tuple[str, ...], OptionName("gallery-stages")] = Field(
        (),
        description="stages with pictures (maps, masks, samplings), `*` matches any text (*seed=0*); by default all",
    )
    sampling: int = Field(12, ge=0, le=200, description="maximum number of images with sampling positions")
    topology: int = Field(8, ge=0, le=200, description="maximum number of images with matched components and holes")
    seed: int | None = Field(None, description="seed of the image selection; by default the run's seed")
    max_megabytes: float = Field(
        9.5, gt=0, le=200, description="maximum size of the page; pictures shrink first, then images are omitted"
    )


def run(ctx: Context[ReportConfig]) -> Result:
    """Write ``index.html``."""
    from wsss.benchmark.benchmark_view import read_view
    from wsss.io.files.atomic import write_text
    from wsss.viz.report.run_page import Options, build_report

    config = ctx.config
    run_dir = _run_of(ctx.inputs["stages"]) or ctx.run_dir  # the page may go elsewhere
    options = Options(
        title=config.title or run_dir.resolve().name,
        images=config.images,
        splits=config.splits,
        columns=config.columns,
        sampling=config.sampling,
        topology=config.topology,
        seed=ctx.seed if config.seed is None else config.seed,
        max_bytes=int(config.max_megabytes * 1e6),
    )
    records = as_records(ctx.inputs["stages"], run_dir)
    if ctx.ranks.rank == 0:
        if ctx.data is None:
            ctx.log("report: no dataset given: no gallery")
        page = build_report(
            records,
            ctx.data,
            options,
            others=_others(records),
            benchmarks=[(record, *read_view(record.path)) for record in records if record.has_benchmark],
            workers=ctx.workers,
            track=ctx.progress.track,
        )
        write_text(ctx.out / PAGE, page.html)
        if page.left_out:
            ctx.log(
                f"report: {page.left_out} of {page.shown + page.left_out} images left out to keep the page below "
                f"{config.max_megabytes:g} MB"
            )
        if page.unread:
            ctx.log(f"report: {unread_text(page.unread)}")
    ctx.ranks.barrier()
    return Result({"stages": len(records), "images_asked": config.images})


def _run_of(artifacts: Sequence[Artifact]) -> Path | None:
    """Return the run directory that all of the stages lie in, or ``None`` where there is none."""
    folders = {artifact.path.parent for artifact in artifacts}
    return folders.pop() if len(folders) == 1 and read_run(artifacts[0].path.parent) is not None else None


def collect(run_dir: Path) -> tuple[Artifact, ...]:
    """Return the finished stages of a run in pipeline order, reports left out.

    Raises:
        InvalidInput: the folder holds no finished stage, or a broken record.
    """
    from wsss.viz.report.run_overview import read_record

    folders = sorted(path.parent for path in run_dir.glob(f"*/{RECORD}"))
    found = [record for record in map(read_record, folders) if record.status == "done" and record.uses != STAGE.name]
    if not found:
        raise InvalidInput(f"{run_dir}: no finished stage here.", hint="Name the folder of a run (wsss run makes one).")
    return tuple(
        Artifact(
            record.path,
            id=record.id,
            uses=record.uses,
            identity=record.identity,
            config=record.config,
            metrics=record.metrics,
            provenance=record.provenance,
        )
        for record in _in_pipeline_order(found, run_dir)
    )


def unread_text(unread: Sequence[Unread]) -> str:
    """Say which images a page leaves out since they can't be read."""
    shown = listing(f"{one.id} ({one.why.rstrip('.')})" for one in unread)
    subject = "it" if len(unread) == 1 else "they"
    return f"{counted(len(unread), 'image')} left out, since {subject} can't be read: {shown}"


def as_records(artifacts: Iterable[Artifact], run_dir: Path) -> list[StageRecord]:
    """Read what each stage's folder says, beside what the engine already knows of it; in pipeline order."""
    from wsss.viz.report.run_overview import read_record

    records = [
        read_record(
            artifact.path,
            id=artifact.id,
            uses=artifact.uses,
            config=artifact.config,
            metrics=artifact.metrics,
            provenance=artifact.provenance,
        )
        for artifact in artifacts
    ]
    return _in_pipeline_order(records, run_dir)


def check_page_folder(out: Path) -> None:
    """Refuse to write a page into the folder of another stage.

    Raises:
        InvalidInput: ``out`` is one, or lies in one.
    """
    for folder in (out.resolve(), *out.resolve().parents):
        record = read_stage(folder)
        if record is not None and record.get("uses") != STAGE.name:
            raise InvalidInput(
                f"--out {out}: {folder} is the folder of the stage {record.get('id')!r} ({record.get('uses')}).",
                hint="Name a folder of its own.",
            )


def compare_runs(
    run_dirs: Sequence[Path],
    data: Dataset | None,
    config: ReportConfig,
    *,
    out: Path,
    seed: int,
    workers: int,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write a page that sets runs side by side; return its path.

    Args:
        run_dirs: run directories; the first is what the others are compared with.
        data: the dataset they worked on, or ``None`` for no pictures.
        config: of the page; its ``columns`` and ``sampling`` have no use here.
        out: folder of the page.
        seed: of the draw of images.
        workers: threads that make thumbnails.
        log: prints one line for the user.

    Raises:
        InvalidInput: a run has no finished stage.
    """
    from wsss.io.files.atomic import write_json, write_text
    from wsss.viz.report.compare_runs import Run, build_runs_page

    runs = []
    for name, folder in zip(_names(run_dirs), run_dirs, strict=True):
        record = read_run(folder) or {}
        settings = {"pipeline": record.get("name"), "seed": record.get("seed")}
        settings |= {"data": (record.get("pipeline") or {}).get("data") or {}}
        stages = collect(folder)
        for stage in stages:
            changes = changes_since(stage.path, (read_stage(stage.path) or {}).get("artifacts") or {})
            if changes:
                log(f"warning: report: {stage.path}: {changes}; taken as they are.")
        runs.append(Run(name, tuple(as_records(stages, folder)), settings))
    page = build_runs_page(
        runs,
        data,
        title=config.title or " | ".join(run.name for run in runs),
        splits=config.splits,
        images=config.images,
        seed=seed if config.seed is None else config.seed,
        max_bytes=int(config.max_megabytes * 1e6),
        workers=workers,
        tell_unread=lambda unread: log(f"report: {unread_text(unread)}"),
    )
    write_text(out / PAGE, page)
    write_json(out / COMPARED, {"made_by": "wsss report", "runs": [str(run.resolve()) for run in run_dirs]})
    return out / PAGE


def compared_runs(out: Path) -> list[str] | None:
    """Return the runs that the page in a folder compares, or ``None`` where it holds no such page."""
    try:
        record = read_json(out / COMPARED)
    except (OSError, ValueError):
        return None
    return record.get("runs") if isinstance(record, dict) and record.get("made_by") == "wsss report" else None


def _names(run_dirs: Sequence[Path]) -> list[str]:
    """Call each run by its folder; folders of one name get as much of their path as tells them apart."""
    parts = [folder.resolve().parts for folder in run_dirs]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(one[-length:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    raise InvalidInput(f"{run_dirs[0]}: the same run is named twice.", hint="Name different runs.")


def _others(records: Sequence[StageRecord]) -> list[StageRecord]:
    """Return the other stages of the records' run, as it lists them; reports left out.

    They failed, were interrupted, haven't run yet, were deleted since, or are finished and not reported on: without
    them the picture of the pipeline would lack its joints.
    """
    from wsss.viz.report.run_overview import read_record

    run_dir = records[0].path.parent if records else Path()
    known = {record.id for record in records}
    found = []
    run = read_run(run_dir) or {}
    for stage in run.get("stages", []):
        if stage["id"] in known or stage["uses"] == STAGE.name:
            continue
        folder = run_dir / stage["id"]
        record = read_stage(folder) or {}
        status = status_in_run(run, stage["id"], str(record.get("status", "pending")), record.get("finished"))
        needs = tuple(stage.get("needs") or ())
        found.append(read_record(folder, id=stage["id"], uses=stage["uses"], status=status, needs=needs))
    return found


def _in_pipeline_order(records: list[StageRecord], run_dir: Path) -> list[StageRecord]:
    """Sort records as the run lists its stages; what it doesn't list comes last, as it came."""
    stages = (read_run(run_dir) or {}).get("stages", [])
    places = {stage["id"]: place for place, stage in enumerate(stages)}
    return sorted(records, key=lambda record: places.get(record.id, len(places)))


def _reads(config: ReportConfig) -> list[Read]:
    kinds: tuple[Kind, ...] = ("images", "labels", "masks")
    return [Read(split, kind) for split in config.splits or (ALL_SPLITS,) for kind in kinds]


def _check(config: ReportConfig, data: Any) -> None:
    for split in config.splits:
        data.split(split)


STAGE = Stage(
    name="report",
    version=5,
    config=ReportConfig,
    run=run,
    provides="report",
    inputs={"stages": Input(KINDS, "folders of the stages to report on", many=True)},
    reads=_reads,
    check=_check,
)
