"""``wsss init``: a ready pipeline for the user's own images and labels."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from wsss.cli.command import Command
from wsss.cli.option_table import json_option, shared
from wsss.cli.options import print_json
from wsss.errors import InvalidInput

FORMATS = ("auto", "csv", "json", "npy", "coco", "label-studio", "folders")
"""Those of `wsss.data.importing.formats`, which isn't imported for ``--help``."""


@click.command("init", cls=Command)
@shared("--images", required=True, type=click.Path(path_type=Path), help="Folder of images; it is read, never changed.")
@shared("--labels", type=click.Path(path_type=Path), help="Label file; without one, --images has a folder per class.")
@shared("--out", type=click.Path(path_type=Path), more=". [default: wsss-NAME]")
@click.option("--name", metavar="NAME", help="Name of the pipeline. [default: name of the image folder]")
@click.option(
    "--val-share",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the labelled images held out for validation, if the labels name no splits.",
)
@shared("--seed", type=click.IntRange(0), default=0, show_default=True, more=" of the held-out images")
@shared(
    "--weights",
    default="imagenet",
    show_default=True,
    help="Initial weights: imagenet (torchvision's, downloaded at the first run), none (random), or a file for "
    "MobileNetV2.",
)
@shared(
    "--format", type=click.Choice(FORMATS), default="auto", show_default=True, help="File format of the label file."
)
@click.option(
    "--separator", help="Separator of labels inside one CSV cell or one JSON string. [default: as in the file]"
)
@shared(
    "--classes",
    type=click.Path(path_type=Path),
    help="Class list, one name per line; for npy, in the order of the vector. [default for 20 elements: VOC's]",
)
@click.option(
    "--label-key", help="Key or column of the labels, in JSON records and CSV tables. [default: as in the file]"
)
@shared("--force", is_flag=True, more=", OUT/splits/*.txt included")
@json_option
def init(
    images: Path,
    labels: Path | None,
    out: Path | None,
    name: str | None,
    val_share: float,
    seed: int,
    weights: str,
    format: str,
    separator: str | None,
    classes: Path | None,
    label_key: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a pipeline for images with image-level labels, after checking both.

    \b
    Labels are read from
      CSV            image,labels (one or several per row), or a column of 0 and 1 per class
      JSON           {image: [names]}, or a list of records with image and labels
      cls_labels.npy a pickled dict image → 0/1 vector; only arrays, strings and numbers are read
      COCO           instances_*.json; only the classes of each image are used, not their masks
      Label Studio   choices, exported as JSON, JSON-MIN or CSV
      folders        without --labels: cat/1.jpg, dog/2.jpg, or train/cat/1.jpg, val/dog/2.jpg

    Findings are printed on stderr, the command that runs the pipeline on stdout. Images are not copied. Labels without
    an image and images that can't be read are listed and skipped.
    """
    from wsss.cli.findings import print_report, progress
    from wsss.data.importing.formats import How
    from wsss.data.importing.gather import gather
    from wsss.data.importing.project import default_name, plan_project, write_project
    from wsss.pipeline.spec import NAME

    name = name or default_name(images)
    if not NAME.match(name):
        raise InvalidInput(f"--name: found {name!r}; a name has letters, digits, '.', '_' and '-' and names a folder.")
    folder = out or Path(f"wsss-{name}")
    with progress("Checking") as start:
        gathered = gather(images, labels, How(format, separator, classes, label_key), start=start)
        initial = weights if weights in ("imagenet", "none") else Path(weights)
        project = plan_project(gathered, folder, name=name, val_share=val_share, seed=seed, weights=initial)
    click.echo(f"Labels: {gathered.format}.", err=True)
    print_report(project.report, err=True)
    keep = [path for path in (labels, classes) if path is not None]
    pipeline = write_project(project, force=force, keep=keep)
    command = shlex.join(["wsss", "run", str(pipeline)])
    if as_json:
        print_json({"pipeline": str(pipeline), "command": command, "report": project.report.to_json()})
        return
    click.echo(f"Written: {pipeline}. Look through it, then run:", err=True)
    click.echo(command)
