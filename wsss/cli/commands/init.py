"""``wsss init``: a ready pipeline for the user's own images and labels."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from wsss.cli.command import Command
from wsss.cli.echo import echo
from wsss.cli.options.option_table import json_option, shared
from wsss.cli.options.shared_options import print_json
from wsss.errors import InvalidInput, listing
from wsss.io.text.utf8 import require_utf8

if TYPE_CHECKING:
    from wsss.data.importers.gather import Gathered

FORMATS = ("auto", "csv", "json", "jsonl", "npy", "coco", "label-studio", "cvat", "folders")
"""Those of `wsss.data.importers.importer_registry`, which isn't imported for ``--help``."""


@click.command("init", cls=Command, positional="--images")
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
    help="Class list, one name per line; for npy, in the order of the vector, or with ids from 1. [default for 20 "
    "elements: VOC's]",
)
@click.option(
    "--label-key",
    help="Column, key or control of the labels, in CSV, JSON and Label Studio; in COCO of the class in a category. "
    "[default: as in the file]",
)
@click.option(
    "--image-key", help="Column or key of the images, in CSV, JSON and Label Studio. [default: as in the file]"
)
@click.option(
    "--use-predictions", is_flag=True, help="Label Studio: take a model's predictions where nobody has answered."
)
@click.option(
    "--negative",
    "negatives",
    multiple=True,
    metavar="WORD",
    help="Label of images that show no class (several times). [default: ok, good, normal, none, negative, healthy …]",
)
@click.option(
    "--no-negatives",
    is_flag=True,
    help="Every label is a class, no, 0 and unknown included; none means that an image shows no class.",
)
@click.option(
    "--unknown",
    multiple=True,
    metavar="WORD|empty",
    help="Label or cell that leaves open which classes an image shows (several times), besides ?, unknown, todo …",
)
@click.option(
    "--soft-threshold",
    metavar="P|LOW,HIGH",
    help="For labels between 0 and 1: present from P on (from HIGH on, absent up to LOW, unknown in between).",
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
    image_key: str | None,
    use_predictions: bool,
    negatives: tuple[str, ...],
    no_negatives: bool,
    unknown: tuple[str, ...],
    soft_threshold: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a pipeline for images with image-level labels, after checking both.

    \b
    Labels are read from
      CSV            image,labels (one or several per row), or a column of 0 and 1 per class
      JSON           {image: [names]}, or a list of records with image and labels; JSON Lines
      cls_labels.npy a pickled dict image → 0/1 vector; only arrays, strings and numbers are read
      COCO           instances_*.json; only the classes of each image are used, not their masks
      Label Studio   choices, or labels of boxes, exported as JSON, JSON-MIN or CSV
      CVAT           tags, or labels of shapes, exported as CVAT for images 1.1 (XML)
      folders        without --labels: cat/1.jpg, dog/2.jpg, or train/cat/1.jpg, val/dog/2.jpg

    Findings are printed on stderr, the command that runs the pipeline on stdout. Images are not copied. Labels without
    an image and images that can't be read are listed and skipped. Exit code 2 means that nothing was written, or that
    problems remain in what was written, such as equal images in train and val (wsss data check PIPELINE lists them).
    """
    from wsss.cli.check_output import print_report, progress
    from wsss.data.importers.gather import gather
    from wsss.data.importers.importer_registry import How
    from wsss.data.importers.project import default_name, plan_project, write_project
    from wsss.data.readers.label_rules import Rules, parse_soft
    from wsss.pipeline.config.spec import NAME

    if negatives and no_negatives:
        raise InvalidInput("--negative and --no-negatives: give one of the two.")
    rules = Rules(
        negative=negatives or (() if no_negatives else None),
        unknown=unknown,
        soft=None if soft_threshold is None else parse_soft(soft_threshold),
    )
    name = name or default_name(images)
    if not NAME.match(name):
        raise InvalidInput(f"--name: found {name!r}; a name has letters, digits, '.', '_' and '-' and names a folder.")
    folder = out or Path(f"wsss-{name}")
    for option, path in (("--images", images), ("--out", folder), ("--weights", Path(weights))):
        require_utf8(path.resolve(), option)  # which the pipeline holds: a link may lead anywhere
    with progress("Checking") as start:
        how = How(format, separator, classes, label_key, rules, image_key, use_predictions)
        gathered = gather(images, labels, how, start=start)
        _refuse_without_effect(gathered)
        initial = weights if weights in ("imagenet", "none") else Path(weights)
        project = plan_project(gathered, folder, name=name, val_share=val_share, seed=seed, weights=initial)
    echo(f"Labels: {gathered.format}.", err=True)
    print_report(project.report, err=True)
    _warn_of_other_run(name, folder)
    keep = [path for path in (labels, classes) if path is not None]
    pipeline = write_project(project, force=force, keep=keep)
    command = shlex.join(["wsss", "run", str(pipeline)])
    if as_json:
        print_json({"pipeline": str(pipeline), "command": command, "report": project.report.to_json()})
    else:
        first = "Solve the problems above first; then" if project.unfit else "Look through it, then"
        echo(f"Written: {pipeline}. {first} run:", err=True)
        echo(command)
    if project.unfit:
        click.get_current_context().exit(InvalidInput.exit_code)


def _warn_of_other_run(name: str, folder: Path) -> None:
    """Warn where the pipeline's run directory holds a run of another dataset, whose results would be replaced."""
    from wsss.io.files.stage_files import RUNS
    from wsss.pipeline.store.run_folder import read_run

    run_dir = RUNS / name
    try:
        run = read_run(run_dir)
    except InvalidInput:
        return  # wsss run explains a damaged record
    data = (run or {}).get("pipeline", {}).get("data") or {}
    root = data.get("root")
    if root is not None and Path(str(root)).resolve() != folder.resolve():
        echo(
            f"{run_dir} is a run on {root}: wsss run would replace its results. Another name: --name NAME",
            err=True,
            label="warning",
        )


def _refuse_without_effect(gathered: Gathered) -> None:
    """Refuse options of the division into train and val where the labels name the splits.

    Raises:
        InvalidInput: one of them is given.
    """
    splits = sorted({picture.split for picture in gathered.labelled if picture.split is not None})
    source = click.get_current_context().get_parameter_source
    for name in ("val_share", "seed"):
        if splits and source(name) is ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise InvalidInput(
                f"{option}: the labels name the splits ({listing(splits)}), so no images are held out.",
                hint=f"Leave {option} out, or remove the splits from the labels.",
            )
