"""HTML report of a run: stages, settings, scores and pictures in one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.atomic import write_json, write_text
from wsss.io.files.json_files import read_json_object
from wsss.io.files.stage_files import RECORD
from wsss.pipeline.plan.external_inputs import changes_since
from wsss.pipeline.stage import ALL_SPLITS, Artifact, Context, Input, Kind, Read, Result, Stage, StageConfig
from wsss.pipeline.store.outdated import note_left_out, records_of_run
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.run_summary import status_in_run
from wsss.pipeline.store.stage_folder import read_record as read_stage
from wsss.validation import OptionName
from wsss.viz.report.run_overview import read_record

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset
    from wsss.viz.report.pictures.gallery import UnreadableImage
    from wsss.viz.report.run_overview import StageRecord

PAGE = "index.html"
COMPARED = "compared.json"
"""Lists the runs of a page that compares runs."""

KINDS = ("tiles", "classifier", "affinity", "cams", "masks", "segmenter", "scores", "comparison", "benchmark")


class ReportConfig(StageConfig):
    """Config of `report`."""

    title: str | None = Field(None, description="title of the page; by default the name of the run folder")
    images: Annotated[int, OptionName("gallery")] = Field(
        24, ge=0, le=5000, description="maximum number of images in the gallery"
    )
    splits: tuple[str, ...] = Field((), description="splits in the gallery; by default all splits with maps or masks")
    columns: Annotated[tuple[str, ...], OptionName("gallery-stages")] = Field(
        (),
        description="stages in the gallery (with maps, masks or sampling positions); `*` matches any text (*seed=0*); "
        "by default all",
    )
    sampling: int = Field(12, ge=0, le=200, description="maximum number of images with sampling positions")
    topology: int = Field(8, ge=0, le=200, description="maximum number of images with matched components and holes")
    seed: int | None = Field(None, description="seed of the image selection; by default the run's seed")
    max_megabytes: float = Field(
        9.5,
        gt=0,
        le=200,
        description="maximum size of the page in MB; pictures are downscaled first, then images are omitted",
    )


def run(ctx: Context[ReportConfig]) -> Result:
    """Write ``index.html``."""
    from wsss.benchmark.benchmark_view import read_view
    from wsss.viz.report.run_page import Options, build_report

    config = ctx.config
    run_dir = _run_of(ctx.inputs["stages"]) or ctx.run_dir  # the page may be written to another folder
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
            ctx.log("report: no gallery, because no dataset is set")
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
                f"report: {page.left_out} of {page.shown + page.left_out} images omitted to keep the page below "
                f"{config.max_megabytes:g} MB"
            )
        if page.unread:
            ctx.log(f"report: {unread_text(page.unread)}")
    ctx.ranks.barrier()
    return Result({"stages": len(records), "images_asked": config.images})


def _run_of(artifacts: Sequence[Artifact]) -> Path | None:
    """Return the common run directory of the stages; ``None`` without one."""
    folders = {artifact.path.parent for artifact in artifacts}
    return folders.pop() if len(folders) == 1 and read_run(artifacts[0].path.parent) is not None else None


def collect(run_dir: Path, log: Callable[[str], None] = lambda line: None) -> tuple[Artifact, ...]:
    """Return the finished stages of a run in pipeline order, without reports and outdated results.

    Stages that the pipeline no longer has are left out. Without ``run.json``, all folders of stages count.

    Args:
        run_dir: folder of the stages.
        log: receives a note on outdated results.

    Raises:
        InvalidInput: the folder has no finished stage, or a broken record.
    """
    run = read_run(run_dir)
    if run is None:
        folders = sorted(path.parent for path in run_dir.glob(f"*/{RECORD}"))
    else:
        stages = {id: one for id, one in records_of_run(run_dir, run).items() if one.get("uses") != STAGE.name}
        folders = [run_dir / id for id, stage in stages.items() if stage.get("status") == "done"]
        note_left_out(run_dir, stages, log)
    records = [record for record in map(read_record, folders) if record.status == "done" and record.uses != STAGE.name]
    if not records:
        hint = "Pass the folder of a run (created by wsss run)."
        raise InvalidInput("no finished stage in this folder", subject=run_dir, hint=hint)
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
        for record in _in_pipeline_order(records, run_dir)
    )


def unread_text(unread: Sequence[UnreadableImage]) -> str:
    """Return the log line on images that cannot be read."""
    images = listing(f"{image.id} ({image.why.rstrip('.')})" for image in unread)
    return f"{counted(len(unread), 'unreadable image')} omitted: {images}"


def as_records(artifacts: Iterable[Artifact], run_dir: Path) -> list[StageRecord]:
    """Read the records in the stage folders, updated from the artifacts; in pipeline order."""
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
    """Reject an output folder that is, or is inside, the folder of another stage.

    Raises:
        InvalidInput: ``out`` is such a folder.
    """
    for folder in (out.resolve(), *out.resolve().parents):
        record = read_stage(folder)
        if record is not None and record.get("uses") != STAGE.name:
            raise InvalidInput(
                f"{folder} is the folder of the stage {record.get('id')!r} ({record.get('uses')})",
                subject=f"--out {out}",
                hint="Choose another folder.",
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
    """Write a page that compares runs; return its path.

    Args:
        run_dirs: run directories; the first is the reference.
        data: the dataset of the runs; ``None`` for no pictures.
        config: config of the page; ``columns``, ``sampling`` and ``topology`` have no effect.
        seed: seed of the image selection.
        workers: number of threads for thumbnails.
        log: receives warnings.

    Raises:
        InvalidInput: a run has no finished stage.
    """
    from wsss.viz.report.compare_runs import Run, build_runs_page

    runs = []
    for name, folder in zip(_names(run_dirs), run_dirs, strict=True):
        record = read_run(folder) or {}
        settings = {"pipeline": record.get("name"), "seed": record.get("seed")}
        settings |= {"data": (record.get("pipeline") or {}).get("data") or {}}
        stages = collect(folder, log)
        for stage in stages:
            changes = changes_since(stage.path, (read_stage(stage.path) or {}).get("artifacts") or {})
            if changes:
                log(f"warning: report: {stage.path}: {changes}; they are used as they are.")
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
    """Return the runs that the page in a folder compares; ``None`` without such a page."""
    record = read_json_object(out / COMPARED) or {}
    return record.get("runs") if record.get("made_by") == "wsss report" else None


def _names(run_dirs: Sequence[Path]) -> list[str]:
    """Return the folder names of the runs, with as many parent folders as make them unique."""
    parts = [folder.resolve().parts for folder in run_dirs]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(path[-length:]) for path in parts]
        if len(set(names)) == len(names):
            return names
    raise InvalidInput("duplicate run", subject=run_dirs[0], hint="Pass different runs.")


def _others(records: Sequence[StageRecord]) -> list[StageRecord]:
    """Return the other stages of the run, without reports, to complete the pipeline graph.

    They failed, were interrupted, have not run yet, were deleted, or are finished and not part of the report.
    """
    run_dir = records[0].path.parent if records else Path()
    known = {record.id for record in records}
    others = []
    run = read_run(run_dir) or {}
    stages = records_of_run(run_dir, run)
    for stage in run.get("stages", []):
        if stage["id"] in known or stage["uses"] == STAGE.name:
            continue
        folder, record = run_dir / stage["id"], stages[stage["id"]]
        status = status_in_run(run, stage["id"], str(record.get("status", "pending")), record.get("finished"))
        needs = tuple(stage.get("needs") or ())
        others.append(read_record(folder, id=stage["id"], uses=stage["uses"], status=status, needs=needs))
    return others


def _in_pipeline_order(records: list[StageRecord], run_dir: Path) -> list[StageRecord]:
    """Sort records by the order of stages in the run; others keep their order at the end."""
    stages = (read_run(run_dir) or {}).get("stages", [])
    positions = {stage["id"]: position for position, stage in enumerate(stages)}
    return sorted(records, key=lambda record: positions.get(record.id, len(positions)))


def _reads(config: ReportConfig) -> list[Read]:
    kinds: tuple[Kind, ...] = ("images", "labels", "masks")
    return [Read(split, kind) for split in config.splits or (ALL_SPLITS,) for kind in kinds]


def _check(config: ReportConfig, data: Any) -> None:
    for split in config.splits:
        data.split(split)


STAGE = Stage(
    name="report",
    version=6,
    config=ReportConfig,
    run=run,
    provides="report",
    inputs={"stages": Input(KINDS, "folders of the stages to report on", many=True)},
    reads=_reads,
    check=_check,
)
