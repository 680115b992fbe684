"""``wsss rank``: which masks to correct next."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.echo import echo
from wsss.cli.named_runs import NAMED, is_run, named_run
from wsss.cli.options.data_options import DataCommand, read_data_options
from wsss.cli.options.option_table import json_option, shared, workers_option
from wsss.cli.options.shared_options import print_json
from wsss.errors import InvalidInput, counted
from wsss.io.process.cores import worker_count

if TYPE_CHECKING:
    from wsss.pipeline.config.source import Source
    from wsss.pipeline.run.progress import Reporter
    from wsss.stages.common.expected_gain import Ranked

RANKING = "ranking.csv"
SHEET = "sheet"


@click.command("rank", cls=DataCommand, renamed={"--splits": "--split", "--number": "--count", "--format": "--tasks"})
@click.argument("run", type=NAMED)
@shared("--split", default="train", show_default=True, help="Split of the images to rank.")
@shared("--count", type=click.IntRange(min=1), default=20, show_default=True, help="Number of images to correct.")
@shared("--stage", help="Stage whose masks are corrected. [default: the last stage with masks for all images]")
@click.option(
    "--tasks",
    type=click.Choice(["label-studio", "cvat"]),
    help="Also write the images to correct as tasks of this tool, starting from the current masks; requires --out.",
)
@shared("--out", type=click.Path(path_type=Path), more=f" for {RANKING}, the tasks and a contact sheet")
@shared("--force", is_flag=True)
@workers_option
@json_option
@click.pass_context
def rank(
    context: click.Context,
    run: str,
    split: str,
    count: int,
    stage: str | None,
    tasks: str | None,
    out: Path | None,
    force: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """List the images of RUN by the expected gain of correcting their masks, without any ground truth.

    The expected gain is the number of boundary pixels of the mask times the mean of two values: the disagreement
    between all masks of the image (pseudo masks, CRF, networks), and the entropy (of class probabilities if a stage
    saved them, otherwise of maps). Images with corrected masks are left out.

    \b
    wsss rank quickstart --count 20 --tasks label-studio --out correct
    wsss import-masks corrected.json --run quickstart
    """
    from wsss.export.export_folder import check_out
    from wsss.pipeline.run.progress import Reporter
    from wsss.stages.common.expected_gain import find_sources, rank_images, uncorrected
    from wsss.stages.common.run_dataset import open_run_dataset

    run_dir = named_run(run, fits=is_run, expected="a run directory")
    if tasks is not None and out is None:
        raise InvalidInput("requires --out DIR, the folder of the tasks", subject=f"--tasks {tasks}")
    if out is not None:
        check_out(out, force=force, kind="ranking")
    threads, reporter = worker_count(workers), Reporter()
    pairs = read_data_options(context.meta["data"])
    with tempfile.TemporaryDirectory(prefix="wsss-rank-") as work:
        data = open_run_dataset(run_dir, pairs, work=Path(work), log=reporter.log)
        samples, corrected = uncorrected(data.split(split), run_dir, data)
        if not samples:
            raise InvalidInput(f"all images of split {split!r} have corrected masks", subject=run_dir)
        sources = find_sources(run_dir, samples, stage, reporter.log)
        with reporter.working("rank"):
            advance = reporter.track("rank", len(samples))
            ranked = rank_images(samples, data.classes, sources, workers=threads, advance=advance)
        if out is not None:
            corrected_stage = sources.masks[-1].name
            _write(out, ranked, count, tasks, (run_dir, corrected_stage, pairs), threads=threads, reporter=reporter)
    used = {
        "masks": [folder.name for folder in sources.masks],
        "entropy": None if sources.entropy is None else sources.entropy.name,
    }
    if as_json:
        images = [{"rank": number, **asdict(image)} for number, image in enumerate(ranked, start=1)]
        print_json({"run": str(run_dir), "split": split, "corrected": corrected, **used, "images": images})
        return
    _print(ranked[:count], len(ranked), corrected, used)
    if out is not None:
        written = [RANKING, SHEET, *([f"{tasks} (starting from masks of {sources.masks[-1].name})"] if tasks else [])]
        echo(f"{out}: {', '.join(written)}", err=True)


def _print(shown: list[Ranked], total: int, corrected: int, used: dict[str, Any]) -> None:
    from wsss.cli.stage_table import print_stages
    from wsss.stages.common.expected_gain import COLUMNS

    rows = [[str(number), *_cells(image)] for number, image in enumerate(shown, start=1)]
    print_stages(COLUMNS, rows, status=-1)
    also = f"; {counted(corrected, 'image')} with corrected masks left out" if corrected else ""
    entropy = f", entropy of {used['entropy']}" if used["entropy"] else ""
    echo(f"{len(shown)} of {counted(total, 'image')} (masks of {', '.join(used['masks'])}{entropy}){also}", err=True)


def _cells(image: Ranked) -> list[str]:
    fractions = ("" if value is None else f"{value:.3f}" for value in (image.disagreement, image.entropy))
    return [image.id, f"{image.gain:.1f}", str(image.pixels), str(image.boundary), *fractions]


def _write(
    out: Path,
    ranked: list[Ranked],
    count: int,
    tasks: str | None,
    masks: tuple[Path, str, Source],
    *,
    threads: int,
    reporter: Reporter,
) -> None:
    """Write the ranking of all images, and of the first ones a contact sheet and tasks with their images and masks."""
    from wsss.export.export_folder import new_folder
    from wsss.export.export_formats import export_masks
    from wsss.export.export_items import Options
    from wsss.io.files.atomic import write_text
    from wsss.io.text.tables import csv_text
    from wsss.stages.common.expected_gain import COLUMNS
    from wsss.stages.common.input_masks.mask_source import Request, find_masks

    run_dir, stage, data = masks
    ids = tuple(image.id for image in ranked[:count])
    with tempfile.TemporaryDirectory(prefix="wsss-rank-") as work:
        found = find_masks(Request(run_dir, stage, data, ids=ids), work=Path(work), reporter=reporter)
        with new_folder(out, {"format": "ranking", "masks": found.name, "images": len(ids)}) as folder:
            rows = [(number, *vars(image).values()) for number, image in enumerate(ranked, start=1)]
            write_text(folder / RANKING, csv_text([COLUMNS, *rows]))
            export_masks(found, "sheet", Options(side_by_side=True), folder / SHEET, workers=threads)
            if tasks is not None:
                export_masks(found, tasks, Options(with_images="copy"), folder / tasks, workers=threads)
