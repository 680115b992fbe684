"""``wsss data``: check datasets and image folders, generate synthetic datasets, extract tiles."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.check_output import print_report, progress
from wsss.cli.commands.data_synth import synth
from wsss.cli.echo import echo, log
from wsss.cli.options.command import Group
from wsss.cli.options.config_options import config_of
from wsss.cli.options.data_options import DataCommand
from wsss.cli.options.option_table import FOLDER, json_option, shared, workers_option
from wsss.cli.options.shared_options import print_json
from wsss.errors import counted
from wsss.io.files.home_paths import expand_home
from wsss.io.process.cores import worker_count

if TYPE_CHECKING:
    from wsss.cli.dataset_argument import NamedDataset
    from wsss.data.checks.check_report import Report
    from wsss.data.importers.photographs import Photographs


@click.group("data", cls=Group)
def data() -> None:
    """Check datasets and image folders, generate synthetic datasets, or extract tiles.

    \b
    Your images:           wsss data check photos
    A public dataset:      wsss data check VOCdevkit/VOC2012
    A pipeline's dataset:  wsss data check wsss-photos/pipeline.yaml
    Synthetic data:        wsss data synth shapes shapes
    """


@data.command("check", cls=DataCommand, short_help="Check a dataset, a pipeline's dataset or an image folder.")
@click.argument("path")
@workers_option
@json_option
@click.pass_context
def check(context: click.Context, path: str, workers: int | None, as_json: bool) -> None:
    """Check PATH: a dataset folder, an image folder, a pipeline file, or the name of a bundled pipeline.

    Reads every image, mask and label once. Problems result in exit code 2; notes are informational. In an image folder,
    unreadable images are problems, although wsss init skips them.

    \b
    wsss data check photos
    wsss data check VOC2012 --data.classes '[cat, dog]'
    """
    from wsss.cli.dataset_argument import named_dataset

    named = named_dataset(path, context.meta["data"], log)
    # Dataset keys do not apply to a folder of photographs: with any key, PATH is a dataset.
    is_plain = named.is_folder and not named.has_layout and not context.meta["data"]
    report = _report(named, workers) if not is_plain or _fits_layout(path) else None
    if is_plain and (report is None or _is_unread_table(path, report)):
        photographs = _photographs(path, workers)
        if photographs is not None:
            _print_photographs(path, photographs, report, as_json)
            context.exit(2 if photographs.report.problems else 0)
    report = report or _report(named, workers)
    following = None if named.pipeline is None or report.problems else _run_command(named.pipeline, context)
    if as_json:
        print_json({**report.to_json(), "pipeline": named.pipeline, "next": following})
    else:
        print_report(report)
        _print_next(following)
    context.exit(2 if report.problems else 0)


def _run_command(pipeline: str, context: click.Context) -> str:
    """Return the command that runs a pipeline with the same dataset."""
    settings = [word for key, value in context.meta["data"] for word in ("--set", f"{key}={value}")]
    return shlex.join(["wsss", "run", pipeline, *settings])


def _fits_layout(path: str) -> bool:
    from wsss.data.readers.registry import fitting_layouts

    return bool(fitting_layouts(expand_home(path)))


def _is_unread_table(path: str, report: Report) -> bool:
    """Return whether a folder cannot be opened as a dataset, and contains no files of a layout except labels."""
    from wsss.data.checks.check import UNOPENED

    folder = expand_home(path)
    is_dataset = any((folder / name).exists() for name in ("classes.txt", "masks", "JPEGImages", "dataset"))
    return not is_dataset and any(problem.kind == UNOPENED for problem in report.problems)


def _photographs(path: str, workers: int | None) -> Photographs | None:
    from wsss.data.importers.mask_folder_check import refuse_masks
    from wsss.data.importers.photographs import check_photographs, has_images

    if has_images(expand_home(path)):
        refuse_masks(expand_home(path))
    with progress("Checking") as start:
        return check_photographs(expand_home(path), workers=worker_count(workers), start=start)


def _print_photographs(path: str, photographs: Photographs, report: Report | None, as_json: bool) -> None:
    if as_json:
        print_json(photographs.to_json())
        return
    echo(f"{path}: {photographs.description}.")
    print_report(photographs.report)
    if report is not None:
        echo(
            f"Not usable as a dataset ({report.problems[0].examples[0].partition(chr(10))[0]}); wsss init writes the "
            "missing files."
        )
    _print_next(photographs.next)


def _report(named: NamedDataset, workers: int | None) -> Report:
    from wsss.data.checks.check import check_config

    with tempfile.TemporaryDirectory(prefix="wsss-") as work, progress("Checking") as start:
        return check_config(
            named.config,
            work=Path(work),
            log=log,
            start=start,
            locate=named.source.locate,
            workers=worker_count(workers),
        )


def _print_next(command: str | None) -> None:
    if command is not None:
        echo(f"Next: {command}")


@data.command("tiles", cls=DataCommand, short_help="Extract labelled tiles from the images of a dataset.")
@click.argument("path")
@click.argument("out", type=FOLDER)
@shared("--split", default="train", show_default=True, help="Split to extract tiles from.")
@click.option("--count", type=int, help="Number of tiles. [default: 1000]")
@click.option("--size", type=int, help="Side length of a tile in pixels. [default: 18]")
@click.option("--negative-fraction", type=float, help="Fraction of tiles without any class. [default: 0.5]")
@click.option(
    "--min-class-fraction",
    type=float,
    help="Minimum fraction of a tile that a class must cover to be labelled; tiles with a smaller, nonzero fraction "
    "are not drawn. [default: 0.05]",
)
@click.option(
    "--label-noise", type=float, help="Fraction of the labels to invert, to simulate wrong answers. [default: 0]"
)
@shared(
    "--answers",
    type=click.Path(path_type=Path),
    help="Table of answers written by wsss ask; its tiles and labels are used instead of masks.",
)
@click.option(
    "--disagreement",
    type=click.Choice(["majority", "exclude"]),
    help="Tiles about which people disagree: label by majority (ties are excluded), or exclude all of them. [default: "
    "majority]",
)
@shared("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@json_option
@click.pass_context
def tiles(context: click.Context, path: str, out: Path, split: str, seed: int, as_json: bool, **values: Any) -> None:
    """Extract tiles from the images of the dataset PATH, and write them to the folder OUT.

    The image-level labels of the tiles are people's answers (--answers), or are simulated from the masks of the split;
    masks are not copied. OUT is a dataset with the layout folder: images/, labels.csv, classes.txt;
    tiles.csv lists the position of each tile, tiles.json the settings. The same options give the same bytes; an
    output folder with tiles of other settings, images or masks is refused.

    \b
    wsss data tiles TopoMortar tiles --count 200
    wsss data tiles photos tiles --answers answers.csv
    """
    from wsss.cli.dataset_argument import named_dataset
    from wsss.cli.plain_images import asked_classes, with_plain_images
    from wsss.data.readers.registry import open_dataset
    from wsss.data.tiles.tile_folder import draw_tile_folder
    from wsss.data.tiles.tiling import TilesConfig

    config = config_of(TilesConfig, values)
    named = named_dataset(path, context.meta["data"], log)
    named = with_plain_images(named, asked_classes(config.answers) if config.answers is not None else ())
    with tempfile.TemporaryDirectory(prefix="wsss-") as work, progress("Drawing") as start:
        dataset = open_dataset(named.config, work=Path(work), log=log, locate=named.source.locate)
        drawn = draw_tile_folder(out, dataset, config=config, split=split, seed=seed, start=start)
    if as_json:
        print_json({"out": str(out), **drawn})
    else:
        noise = f", {drawn['label_noise']:.0%} of the labels wrong" if drawn["label_noise"] else ""
        echo(
            f"{out}: {counted(drawn['tiles'], 'tile')} of {counted(drawn['tile_size'], 'pixel')} from "
            f"{counted(drawn['images'], 'image')}, {drawn['without_any_class']} without any class{noise}"
        )
        if config.answers is not None:
            echo(_answers_text(drawn))


def _answers_text(drawn: Mapping[str, Any]) -> str:
    from wsss.data.tiles.answered_tiles import LEFT_OUT, left_out_text

    left_out = left_out_text({key: drawn[f"left_out_{key}"] for key in LEFT_OUT}) or "none"
    return (
        f"{counted(drawn['answers_given'], 'answer')} by {counted(drawn['annotators'], 'person', 'people')}, "
        f"disagreement on {counted(drawn['disagreements'], 'tile')}; left out: {left_out}"
    )


data.add_command(synth)
