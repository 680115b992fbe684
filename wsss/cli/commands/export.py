"""``wsss export``: masks of a run, or any folder of masks, in the formats of other tools."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.echo import echo
from wsss.cli.named_runs import NAMED, is_recorded, named_run
from wsss.cli.options.data_options import DataCommand, read_data_options
from wsss.cli.options.option_table import json_option, shared, workers_option
from wsss.cli.options.shared_options import print_json, worker_count
from wsss.errors import MOST_SHOWN, InvalidInput, RunFailed, counted, listing

if TYPE_CHECKING:
    from wsss.export.export_items import Masks

BYTES_PER_PIXEL = 20
"""Of the memory that a thread needs; measured for polygons, which need most."""

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
NAMES = ("voc", "coco", "cvat", "label-studio", "overlay", "sheet", "polygons")


@click.command("export", cls=DataCommand, renamed={"--split": "--splits", "--image-folder": "--images"})
@click.argument("run", type=NAMED)
@shared("--format", "format_name", type=click.Choice(NAMES), required=True, help="Output format.")
@shared("--out", type=FOLDER, required=True)
@click.option("--stage", metavar="ID", help="Stage whose masks are taken. [default: the last one that has masks]")
@shared("--splits", help="Only images of these splits.")
@click.option("--ids", metavar="A,B,…|@FILE", help="Only these images; @FILE holds one id per line.")
@click.option("--with-images", type=click.Choice(["copy", "link"]), help="Put the images beside the masks, too.")
@click.option("--min-area", type=click.IntRange(min=0), help="Smaller regions (pixels) become background. [default: 0]")
@click.option("--components", is_flag=True, default=None, help="One object per connected region, not one per class.")
@click.option(
    "--ignored",
    type=click.Choice(["keep", "drop"]),
    help="Uncertain pixels (255): a class of their own, or background. [default: keep]",
)
@click.option("--tolerance", type=click.FloatRange(0, 50), help="polygons: pixels they may differ. [default: 1]")
@click.option("--opacity", type=click.FloatRange(0, 1), help="overlay, sheet: of the colours. [default: 0.5]")
@click.option("--contours/--no-contours", default=None, help="overlay, sheet: lines round the regions. [default: yes]")
@click.option("--legend/--no-legend", default=None, help="overlay, sheet: the names of the classes. [default: yes]")
@click.option("--side-by-side", is_flag=True, default=None, help="overlay, sheet: the image beside its overlay.")
@click.option("--columns", type=click.IntRange(1, 50), help="sheet: images in a row. [default: 4]")
@click.option("--rows", type=click.IntRange(1, 200), help="sheet: rows on a page. [default: 6]")
@click.option("--pages", type=click.Choice(["png", "pdf"]), help="sheet: a PNG per page, or one PDF. [default: png]")
@click.option(
    "--as",
    "role",
    type=click.Choice(["predictions", "annotations"]),
    help="label-studio: what the masks are taken for. [default: predictions]",
)
@click.option(
    "--image-url", metavar="PREFIX", help="label-studio: before an image's name. [default: /data/local-files/?d=]"
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
    **given: Any,
) -> None:
    """Write the masks of RUN for other tools: a run, a stage's folder, or any folder of masks (ID.png).

    The dataset is that of the run; for other masks, or to change one of its keys, give --data.root DIR and
    --data.KEY VALUE, as for single stages.

    \b
    wsss export runs/quickstart --format coco --out coco
    wsss export masks --data.root VOC2012 --format cvat --out cvat --splits val
    """
    from wsss.export.export_folder import check_out
    from wsss.export.export_formats import check_options, export_masks, options_from
    from wsss.io.process.headroom import that_fit
    from wsss.pipeline.run.progress import Reporter
    from wsss.stages.common.mask_source import Request, find_masks

    if given["ignored"] is not None:
        given["keep_ignored"] = given["ignored"] == "keep"
    options = options_from(given)
    check_options(format_name, [name for name in vars(options) if given.get(name) is not None])
    request = Request(
        run=_run_or_masks(run),
        stage=given["stage"],
        data=read_data_options(context.meta["data"]),
        splits=_named(given["splits"], "--splits", "split"),
        ids=_ids(given["ids"]),
        classes=given["classes"],
        images=given["images"],
    )
    _check_apart(out, request.run)
    check_out(out, force=force)
    reporter = Reporter()
    with tempfile.TemporaryDirectory(prefix="wsss-export-") as work:
        masks = find_masks(request, work=Path(work), reporter=reporter)
        reporter.start("export", None)
        try:
            written = export_masks(
                masks,
                format_name,
                options,
                out,
                force=force,
                workers=that_fit(worker_count(workers), _bytes_each(masks), reporter.log, "export"),
                track=lambda total: reporter.track("export", total),
            )
        finally:
            reporter.stop()
    _print(written, masks.name, as_json=as_json)


def _print(written: dict[str, Any], name: str, *, as_json: bool) -> None:
    """Print what was written, and then which masks were left out.

    Raises:
        RunFailed: some were.
    """
    from wsss.export.export_items import WHERE

    failed, renamed = written.get("failed") or {}, written.get("renamed") or {}
    if as_json:
        print_json(written)
    else:
        echo(
            f"{written['out']}: {counted(written['images'], 'mask')} of {name} as {written['format']}, "
            f"{counted(written['files'], 'file')}"
        )
    if renamed:
        shown = listing((f"{one!r} is {other!r}" for one, other in renamed.items()), limit=3)
        echo(
            f"note: names that this format can't hold were changed (export.json lists them): {shown}. Name the images "
            "so, too; where the format takes images, --with-images copy does.",
            err=True,
        )
    if written.get("images_without_suffix"):
        echo(
            f"note: images that are not known have a file_name without suffix ({written['images_without_suffix']} of "
            f"{written['images']}); {WHERE}",
            err=True,
        )
    if failed:
        lines = [f"  {reason}" for reason in failed.values()][:MOST_SHOWN]
        more = [f"  and {len(failed) - MOST_SHOWN} more (see export.json)"] if len(failed) > MOST_SHOWN else []
        total = len(failed) + written["images"]
        raise RunFailed(
            "\n".join([f"{len(failed)} of {total} masks were left out; all others are exported:", *lines, *more]),
            hint="Repair them and export again with --force, or choose others with --ids.",
        )


def _bytes_each(masks: Masks) -> int:
    """Estimate the memory that a thread needs for the largest mask and its image."""
    from wsss.io.rasters.rgb_images import pixels_in

    return BYTES_PER_PIXEL * max((pixels_in(item.mask) for item in masks.items), default=0)


def _ids(text: str | None) -> tuple[str, ...]:
    """Return the ids of ``--ids``: separated by commas, or the lines of ``@FILE``."""
    if text is None or not text.startswith("@"):
        return _named(text, "--ids", "id")
    from wsss.io.text.text_files import read_lines

    found = tuple(line.text for line in read_lines(Path(text[1:])))
    if not found:
        raise InvalidInput(f"--ids {text}: the file names no id.", hint="Leave --ids out to export all there are.")
    return found


def _named(text: str | None, option: str, what: str) -> tuple[str, ...]:
    """Return the names in a list separated by commas; none where the option isn't given."""
    if text is None:
        return ()
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise InvalidInput(f"{option} {text}: no {what} is named; leave {option} out to export all there are.")
    return found


def _run_or_masks(run: str) -> Path:
    """Return the run, stage's folder or folder of masks that RUN names."""
    from wsss.stages.common.mask_folder import holds_masks, png_files

    return named_run(
        run,
        fits=lambda path: is_recorded(path) or holds_masks(path),
        otherwise=lambda path: bool(png_files(path)),
        wanted="a run, a stage's folder or a folder of masks (ID.png)",
    )


def _check_apart(out: Path, run: Path) -> None:
    """Refuse to write into the folder of a stage, or over what is read."""
    from wsss.io.files.stage_files import RECORD

    place, source = out.resolve(), run.resolve()
    within = next((folder for folder in (place, *place.parents) if (folder / RECORD).is_file()), None)
    if within is not None or source.is_relative_to(place):
        why = f"is the folder of a stage, or lies in one ({within})" if within is not None else f"holds {run}"
        raise InvalidInput(f"--out {out}: {why}.", hint="Name a folder of its own.")
