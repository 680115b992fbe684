"""HTML report of a run: stages, settings, scores and pictures in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from wsss.io.files.atomic import write_text
from wsss.io.files.stage_files import PAGE
from wsss.pipeline.stage import ALL_SPLITS, Artifact, Context, Input, Result, Stage, StageConfig, reads_of
from wsss.pipeline.store.outdated import records_of_run
from wsss.pipeline.store.run_folder import read_run
from wsss.pipeline.store.run_summary import status_in_run
from wsss.stages.common.finished_stages import REPORT, as_records
from wsss.validation import OptionName
from wsss.viz.report.run_overview import read_record

if TYPE_CHECKING:
    from wsss.viz.report.run_overview import StageRecord
    from wsss.viz.report.run_page import Options

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

    def options(self, title: str, seed: int) -> Options:
        """Return the options of the page; ``title`` and ``seed`` are defaults."""
        from wsss.viz.report.run_page import Options

        return Options(
            title=self.title or title,
            images=self.images,
            splits=self.splits,
            columns=self.columns,
            sampling=self.sampling,
            topology=self.topology,
            seed=seed if self.seed is None else self.seed,
            max_bytes=int(self.max_megabytes * 1e6),
        )


def run(ctx: Context[ReportConfig]) -> Result:
    """Write ``index.html``."""
    from wsss.benchmark.benchmark_view import read_view
    from wsss.viz.report.pictures.gallery_layout import unread_text
    from wsss.viz.report.run_page import build_report

    config = ctx.config
    run_dir = _run_of(ctx.inputs["stages"]) or ctx.run_dir  # the page may be written to another folder
    records = as_records(ctx.inputs["stages"], run_dir)
    if ctx.ranks.rank == 0:
        if ctx.data is None:
            ctx.log("report: no gallery, because no dataset is set")
        page = build_report(
            records,
            ctx.data,
            config.options(run_dir.resolve().name, ctx.seed),
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
        if stage["id"] in known or stage["uses"] == REPORT:
            continue
        folder, record = run_dir / stage["id"], stages[stage["id"]]
        status = status_in_run(run, stage["id"], str(record.get("status", "pending")), record.get("finished"))
        needs = tuple(stage.get("needs") or ())
        others.append(read_record(folder, id=stage["id"], uses=stage["uses"], status=status, needs=needs))
    return others


def _check(config: ReportConfig, data: Any) -> None:
    for split in config.splits:
        data.split(split)


STAGE = Stage(
    name=REPORT,
    version=6,
    config=ReportConfig,
    run=run,
    provides="report",
    inputs={"stages": Input(KINDS, "folders of the stages to report on", many=True)},
    reads=lambda config: reads_of(config.splits or (ALL_SPLITS,), "images", "labels", "masks"),
    check=_check,
)
