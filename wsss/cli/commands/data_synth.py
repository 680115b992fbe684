"""``wsss data synth``: synthetic datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wsss.cli.check_output import progress
from wsss.cli.echo import echo
from wsss.cli.options.command import Group
from wsss.cli.options.config_options import config_of, option_of_key
from wsss.cli.options.option_table import FOLDER, json_option, shared
from wsss.cli.options.shared_options import print_json


@click.group("synth", cls=Group)
def synth() -> None:
    """Generate a synthetic dataset.

    \b
    wsss data synth shapes shapes --train 40 --val 10
    wsss data synth bricks walls
    """


def count_option(key: str, text: str, default: int) -> Any:
    """Return the decorator of an integer option, with the default of its key in the help."""
    return click.option(f"--{option_of_key(key)}", key, type=int, help=f"{text}. [default: {default}]")


@synth.command("shapes", short_help="Generate scenes of plain shapes with emblems: several classes.")
@click.argument("out", type=FOLDER)
@count_option("train", "Number of training images", 240)
@count_option("val", "Number of validation images", 80)
@count_option("size", "Side length of the images in pixels", 96)
@count_option("classes", "Number of classes, 1 to 5", 4)
@count_option("objects", "Maximum number of objects per image, 1 to 3", 2)
@shared("--seed", type=int, more=". [default: 0]")
@json_option
def shapes(out: Path, as_json: bool, **settings: int | None) -> None:
    """Generate scenes of plain shapes with small emblems in the folder OUT.

    OUT is a dataset with the layout folder: images/, masks/, labels.csv, classes.txt. The same options give the same
    bytes; an interrupted call resumes.
    """
    from wsss.data.synthetic.shapes import Config, generate

    config = config_of(Config, settings)
    with progress("Drawing") as start:
        generate(config, out, advance=start(config.train + config.val))
    if as_json:
        print_json({"out": str(out), **config.model_dump(exclude={"layout"})})
    else:
        echo(f"{out}: {config.train} training and {config.val} validation images")


@synth.command("bricks", short_help="Generate brick walls in TopoMortar's layout, with known Betti numbers.")
@click.argument("out", type=FOLDER)
@count_option("train", "Number of training images", 40)
@count_option("small", "Number of training images in the small training set", 8)
@count_option("val", "Number of validation images", 10)
@count_option("test", "Number of test images in each of the seven groups", 6)
@count_option("size", "Side length of the images in pixels (TopoMortar: 512)", 256)
@shared("--seed", type=int, more=". [default: 0]")
@json_option
def bricks(out: Path, as_json: bool, **settings: int | None) -> None:
    """Generate brick walls in TopoMortar's layout in the folder OUT.

    OUT/dataset contains images, mortar masks of three label kinds, lists, groups, and Betti numbers known from the
    construction of each wall. The same options give the same bytes; an interrupted call resumes.
    """
    from wsss.data.synthetic.bricks import Config, generate

    config = config_of(Config, settings)
    with progress("Drawing") as start:
        generate(config, out, advance=start(config.count))
    if as_json:
        print_json({"out": str(out), **config.model_dump(exclude={"layout", "splits"})})
    else:
        tests = config.count - config.train - config.val
        echo(f"{out}: {config.train} training, {config.val} validation and {tests} test images")
