"""``wsss import-masks``: corrected masks from other tools, for a run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.echo import echo
from wsss.cli.named_runs import NAMED, is_run, named_run
from wsss.cli.options.data_options import DataCommand, read_data_options
from wsss.cli.options.name_lists import ids_in
from wsss.cli.options.option_table import json_option, shared
from wsss.cli.options.shared_options import print_json
from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.stage_files import CORRECTIONS

if TYPE_CHECKING:
    from wsss.data.corrections.import_masks import Imported

NAMES = ("folder", "voc", "coco", "cvat", "cvat-images", "label-studio", "labelme", "polygons")


@click.command("import-masks", cls=DataCommand, renamed={"--id": "--ids", "--run-dir": "--run"})
@click.argument("source", type=click.Path(path_type=Path))
@shared("--run", type=NAMED, help="Run that the images belong to: a path, or a name under runs/.")
@shared("--out", type=click.Path(path_type=Path), more=" of the corrected masks. [default: RUN/corrections]")
@shared("--format", "format_name", type=click.Choice(NAMES), help="Format of SOURCE. [default: detected]")
@click.option(
    "--outside",
    type=click.Choice(["background", "unlabelled"]),
    help="Label of pixels outside all regions. [default: unlabelled in images with lines or points, else background]",
)
@click.option(
    "--boxes",
    type=click.Choice(["bound", "fill"]),
    default="bound",
    show_default=True,
    help="bound: a box bounds an object (unlabelled inside, background outside); fill: all its pixels have the class.",
)
@click.option(
    "--brush", type=click.FloatRange(1, 1000), default=5, show_default=True, help="Width of lines and points in pixels."
)
@click.option(
    "--empty",
    type=click.Choice(["skip", "background"]),
    default="skip",
    show_default=True,
    help="Images without any region: skip them, or import them as background.",
)
@shared("--ids", help="Import only these images; @FILE lists one id per line.")
@shared("--force", is_flag=True, more=": corrected masks of the same images")
@json_option
@click.pass_context
def import_masks(
    context: click.Context, source: Path, run: str | None, out: Path | None, as_json: bool, **values: Any
) -> None:
    """Import corrected masks from SOURCE: a file, a zip archive or a folder, as exported by another tool.

    SOURCE is a folder of masks (ID.png), COCO, CVAT ("Segmentation mask" or "CVAT for images"), Label Studio, labelme,
    or polygons from wsss export. Full masks, polygons, lines, points and boxes are accepted; 255 means unlabelled. The
    masks are added to the corrections of the run; set supervision.corrections to use them in a pipeline. If any mask is
    invalid, nothing is written.

    \b
    wsss import-masks annotations.json --run quickstart
    wsss run quickstart --set supervision.corrections=runs/quickstart/corrections
    """
    from wsss.data.corrections.drawing_rules import DrawingRules
    from wsss.data.corrections.import_masks import ImportOptions
    from wsss.data.corrections.import_masks import import_masks as imported_from
    from wsss.pipeline.run.progress import Reporter
    from wsss.stages.common.run_dataset import open_run_dataset

    run_dir = None if run is None else named_run(run, fits=is_run, expected="a run directory", option="--run")
    folder = out or (None if run_dir is None else run_dir / CORRECTIONS)
    if folder is None:
        raise InvalidInput("no output folder", subject="--out", hint="Pass --run RUN or --out DIR.")
    rules = DrawingRules(values["outside"], values["boxes"], values["brush"], values["empty"])
    options = ImportOptions(values["format_name"], rules, ids_in(values["ids"]), values["force"])
    reporter = Reporter()
    with tempfile.TemporaryDirectory(prefix="wsss-import-") as work:
        pairs = read_data_options(context.meta["data"])
        data = open_run_dataset(run_dir, pairs, work=Path(work), log=reporter.log)
        with reporter.working("import-masks"):
            result = imported_from(source, data, folder, options, start=lambda n: reporter.track("reading masks", n))
    _print(result, folder, as_json=as_json)


def _print(result: Imported, out: Path, *, as_json: bool) -> None:
    records = {id: result.corrections.images[id] for id in result.ids}
    from wsss.data.corrections.import_masks import AS_BACKGROUND

    partial = sum(record.kind == "partial" for record in records.values())
    total = len(result.corrections.images)
    if as_json:
        images = {id: record.model_dump() for id, record in records.items()}
        print_json(
            {
                "out": str(out),
                "format": result.format,
                "imported": images,
                "corrected_images": total,
                "skipped": result.skipped,
                "invisible": result.invisible,
                "damaged": result.damaged,
                "several_annotations": result.several,
                "show_an_absent_class": result.excluded,
            }
        )
        return
    also = f" ({partial} of them partial)" if partial else ""
    all_corrected = f"{counted(total, 'image')} with corrected masks"
    echo(f"{out}: {counted(len(records), 'mask')} imported from {result.format}{also}; {all_corrected}")
    if result.several:
        several = f"{counted(len(result.several), 'image has', 'images have')} several annotations"
        echo(f"note: {several}; only one was imported for each: {listing(result.several)}", err=True)
    if result.excluded:
        wrong = counted(len(result.excluded), "mask shows", "masks show")
        echo(f"note: {wrong} a class that the labels of the image exclude: {listing(result.excluded)}", err=True)
    if result.skipped:
        skipped = f"skipped {counted(len(result.skipped), 'image')} without regions: {listing(result.skipped)}"
        echo(f"{skipped}. To import them as background: {AS_BACKGROUND}", err=True)
    if result.invisible:
        regions = f"{counted(len(result.invisible), 'region')} without any pixel: {listing(result.invisible)}"
        echo(f"warning: ignored {regions}", err=True)
    if result.damaged:
        masks = f"{counted(len(result.damaged), 'earlier mask')} missing or changed: {listing(result.damaged)}"
        echo(f"warning: {masks}. Import them again with --force.", err=True)
    echo(f"Use them in a pipeline: wsss run PIPELINE --set supervision.corrections={out}", err=True)
