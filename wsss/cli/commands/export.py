"""``wsss export``: masks of a run or folder, in the formats of other tools."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.echo import echo
from wsss.cli.named_runs import NAMED, is_recorded, named_run
from wsss.cli.options.data_options import DataCommand, read_data_options
from wsss.cli.options.name_lists import ids_in, names_in
from wsss.cli.options.option_table import FILE, FOLDER, json_option, shared, workers_option
from wsss.cli.options.shared_options import print_json
from wsss.errors import MAX_SHOWN, RunFailed, counted, listing
from wsss.io.process.cores import worker_count

if TYPE_CHECKING:
    from wsss.export.export_items import Masks

BYTES_PER_PIXEL = 20
"""Memory of a thread, measured for polygons, the format that needs most."""

NAMES = ("voc", "coco", "cvat", "label-studio", "overlay", "sheet", "polygons", "geotiff", "geojson")


@click.command("export", cls=DataCommand, renamed={"--split": "--splits", "--image-folder": "--images"})
@click.argument("run", type=NAMED)
@shared("--format", "format_name", type=click.Choice(NAMES), required=True, help="Output format.")
@shared("--out", type=FOLDER, required=True)
@shared("--stage", help="Stage to export. [default: the last stage with masks]")
@shared("--splits", help="Export only these splits.")
@shared("--ids", help="Export only these images; @FILE lists one id per line.")
@click.option("--with-images", type=click.Choice(["copy", "link"]), help="Also copy or link the images.")
@click.option(
    "--min-area",
    type=click.IntRange(min=0),
    help="Turn regions of fewer pixels than this into background. [default: 0]",
)
@click.option(
    "--components", is_flag=True, default=None, help="Export one object per connected region instead of one per class."
)
@click.option(
    "--ignored",
    type=click.Choice(["keep", "drop"]),
    help="Ignored pixels (255): keep as a separate class, or turn into background. [default: keep]",
)
@click.option(
    "--tolerance", type=click.FloatRange(0, 50), help="polygons, geojson: maximum deviation in pixels. [default: 1]"
)
@click.option("--opacity", type=click.FloatRange(0, 1), help="overlay, sheet: opacity of the colours. [default: 0.5]")
@click.option(
    "--contours/--no-contours", default=None, help="overlay, sheet: draw the outlines of regions. [default: yes]"
)
@click.option("--legend/--no-legend", default=None, help="overlay, sheet: draw a legend of the classes. [default: yes]")
@click.option("--side-by-side", is_flag=True, default=None, help="overlay, sheet: show the image beside its overlay.")
@click.option("--columns", type=click.IntRange(1, 50), help="sheet: images per row. [default: 4]")
@click.option("--rows", type=click.IntRange(1, 200), help="sheet: rows per page. [default: 6]")
@click.option("--pages", type=click.Choice(["png", "pdf"]), help="sheet: one PNG per page, or one PDF. [default: png]")
@click.option(
    "--as",
    "role",
    type=click.Choice(["predictions", "annotations"]),
    help="label-studio: import masks as predictions or annotations. [default: predictions]",
)
@click.option(
    "--image-url", metavar="PREFIX", help="label-studio: URL prefix of image names. [default: /data/local-files/?d=]"
)
@shared("--classes", type=FILE, help="Class list (id name), for masks without a dataset.")
@shared("--images", type=FOLDER, help="Folder of the images, for masks without a dataset.")
@shared("--force", is_flag=True)
@workers_option
@json_option
@click.pass_context
def export(
    context: click.Context,
    run: str,
    format_name: str,
    out: Path,
    force: bool,
    workers: int | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Export the masks of RUN (a run, a stage's folder, or any folder of ID.png files) for other tools.

    The run determines the dataset. For other masks, or to change a dataset setting, use --data.root DIR and
    --data.KEY VALUE as for single stages.

    \b
    wsss export runs/quickstart --format coco --out coco
    wsss export masks --data.root VOC2012 --format cvat --out cvat --splits val
    """
    from wsss.export.export_folder import check_apart, check_out
    from wsss.export.export_formats import check_options, export_masks, options_from
    from wsss.io.process.memory_budget import workers_that_fit
    from wsss.pipeline.run.progress import Reporter
    from wsss.stages.common.input_masks.mask_source import Request, find_masks

    if values["ignored"] is not None:
        values["keep_ignored"] = values["ignored"] == "keep"
    options = options_from(values)
    check_options(format_name, [name for name in vars(options) if values.get(name) is not None])
    request = Request(
        run=_run_or_masks(run),
        stage=values["stage"],
        data=read_data_options(context.meta["data"]),
        splits=names_in(values["splits"], "--splits", "split"),
        ids=ids_in(values["ids"]),
        classes=values["classes"],
        images=values["images"],
    )
    check_apart(out, request.run)
    check_out(out, force=force)
    reporter = Reporter()
    with tempfile.TemporaryDirectory(prefix="wsss-export-") as work:
        masks = find_masks(request, work=Path(work), reporter=reporter)
        with reporter.working("export"):
            written = export_masks(
                masks,
                format_name,
                options,
                out,
                force=force,
                workers=workers_that_fit(worker_count(workers), _bytes_each(masks), reporter.log, "export"),
                track=lambda total: reporter.track("export", total),
            )
    _print(written, masks.name, as_json=as_json)


def _print(written: dict[str, Any], name: str, *, as_json: bool) -> None:
    """Print a summary, and notes on renamed and failed masks.

    Raises:
        RunFailed: some masks were not exported.
    """
    from wsss.export.export_items import UNKNOWN_IMAGES

    failed, renamed = written.get("failed") or {}, written.get("renamed") or {}
    if as_json:
        print_json(written)
    else:
        echo(
            f"{written['out']}: {counted(written['images'], 'mask')} of {name} as {written['format']}, "
            f"{counted(written['files'], 'file')}"
        )
    if renamed:
        shown = listing((f"{old!r} to {new!r}" for old, new in renamed.items()), limit=3)
        echo(
            f"note: names that the format does not support were changed (see export.json): {shown}. Rename the images "
            "accordingly; --with-images copy does so, for formats that can include images.",
            err=True,
        )
    if written.get("dropped"):
        echo(_dropped(written), err=True)
    if written.get("images_without_suffix"):
        echo(
            f"note: unknown images have a file_name without suffix ({written['images_without_suffix']} of "
            f"{written['images']}); {UNKNOWN_IMAGES}",
            err=True,
        )
    if failed:
        lines = [f"  {reason}" for reason in failed.values()][:MAX_SHOWN]
        more = [f"  and {len(failed) - MAX_SHOWN} more (see export.json)"] if len(failed) > MAX_SHOWN else []
        total = len(failed) + written["images"]
        raise RunFailed(
            "\n".join([f"{len(failed)} of {total} masks were skipped; all others are exported:", *lines, *more]),
            hint="Repair them and export again with --force, or select other masks with --ids.",
        )


def _dropped(written: dict[str, Any]) -> str:
    """Return how many regions --min-area dropped: a warning where masks have none left."""
    emptied, least = written["dropped"]["emptied"], written["options"]["min_area"]
    regions = f"--min-area {least} dropped {counted(written['dropped']['regions'], 'region')}"
    if not emptied:
        return f"note: {regions}."
    count = f"{len(emptied)} of {counted(written['images'], 'mask')}"
    whose = "its" if len(emptied) == 1 else "their"
    return f"warning: {regions}; {count} lost all {whose} regions: {listing(emptied)}. Lower --min-area to keep them."


def _bytes_each(masks: Masks) -> int:
    """Return the estimated memory of a thread for the largest mask and its image."""
    from wsss.io.rasters.rgb_images import pixels_in

    return BYTES_PER_PIXEL * max((pixels_in(item.mask) for item in masks.items), default=0)


def _run_or_masks(run: str) -> Path:
    """Return the run, stage's folder or folder of masks of the argument RUN."""
    from wsss.stages.common.input_masks.mask_folder import holds_masks, png_files

    return named_run(
        run,
        fits=lambda path: is_recorded(path) or holds_masks(path),
        otherwise=lambda path: bool(png_files(path)),
        expected="a run, a stage's folder or a folder of masks (ID.png)",
    )
