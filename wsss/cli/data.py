"""``wsss data``: make synthetic datasets, check any dataset, cut it into tiles."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from wsss.cli.findings import print_report, progress
from wsss.errors import InvalidInput


@click.group("data")
def data() -> None:
    """Make synthetic datasets, and check a dataset before you train on it."""


@data.group("synth")
def synth() -> None:
    """Write a synthetic dataset."""


@synth.command("shapes")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--train", type=int, help="Number of training images (240).")
@click.option("--val", type=int, help="Number of validation images (80).")
@click.option("--size", type=int, help="Side length of the images in pixels (96).")
@click.option("--classes", type=int, help="Number of classes, 1 to 5 (4).")
@click.option("--objects", type=int, help="Highest number of objects in an image, 1 to 3 (2).")
@click.option("--seed", type=int, help="Another seed gives other pictures (0).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def shapes(out: Path, as_json: bool, **given: int | None) -> None:
    """Write scenes of plain bodies with small emblems to the folder OUT.

    OUT becomes a plain folder: images/, masks/, labels.csv, classes.txt. The same options give the same bytes; an
    interrupted call is completed by calling it again.
    """
    from wsss.data.synthetic.shapes import Config, generate
    from wsss.validation import validate

    config = validate(Config, {key: value for key, value in given.items() if value is not None}, where="")
    with progress("Drawing") as start:
        generate(config, out, advance=start(config.train + config.val))
    if as_json:
        click.echo(json.dumps({"out": str(out), **config.model_dump(exclude={"layout"})}))
    else:
        click.echo(f"{out}: {config.train} training and {config.val} validation images")


@synth.command("bricks")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--train", type=int, help="Number of training images (40).")
@click.option("--small", type=int, help="How many of them are the small training set (8).")
@click.option("--val", type=int, help="Number of validation images (10).")
@click.option("--test", type=int, help="Number of test images of each of the seven groups (6).")
@click.option("--size", type=int, help="Side length of the images in pixels (256; TopoMortar's have 512).")
@click.option("--seed", type=int, help="Another seed gives other walls (0).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def bricks(out: Path, as_json: bool, **given: int | None) -> None:
    """Write brick walls in TopoMortar's layout to the folder OUT.

    OUT/dataset holds images and mortar masks of three label kinds, lists, groups, and Betti numbers known from how
    the walls were made. The same options give the same bytes; an interrupted call is completed by calling it again.
    """
    from wsss.data.synthetic.bricks import Config, generate
    from wsss.validation import validate

    config = validate(Config, {key: value for key, value in given.items() if value is not None}, where="")
    with progress("Drawing") as start:
        generate(config, out, advance=start(config.count))
    if as_json:
        click.echo(json.dumps({"out": str(out), **config.model_dump(exclude={"layout", "splits"})}))
    else:
        tests = config.count - config.train - config.val
        click.echo(f"{out}: {config.train} training, {config.val} validation and {tests} test images")


@data.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--layout", default="auto", show_default=True, help="voc, folder …; auto looks at what the folder holds.")
@click.option("--data", "pairs", multiple=True, metavar="KEY=VALUE", help="A key of data:, as in a pipeline file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(context: click.Context, path: Path, layout: str, pairs: tuple[str, ...], as_json: bool) -> None:
    """Check the dataset in the folder PATH.

    Reads every image, mask and label once. Exit code 2 when something is broken; notes are for information.
    Example: wsss data check VOC2012 --data 'classes=[cat, dog]'
    """
    from wsss.data.check import check_config

    config: dict[str, Any] = {"root": path, "layout": layout, **dict(_key_value(pair) for pair in pairs)}
    with tempfile.TemporaryDirectory(prefix="wsss-") as work, progress("Checking") as start:
        report = check_config(config, work=Path(work), log=lambda line: click.echo(line, err=True), start=start)
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        print_report(report)
    context.exit(2 if report.problems else 0)


@data.command("tiles")
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--layout", default="auto", show_default=True, help="voc, folder …; auto looks at what the folder holds.")
@click.option("--data", "pairs", multiple=True, metavar="KEY=VALUE", help="A key of data:, as in a pipeline file.")
@click.option("--split", default="train", show_default=True, help="Split whose images are cut, and whose masks answer.")
@click.option("--count", type=int, help="Number of tiles (1000).")
@click.option("--size", type=int, help="Side length of a tile in pixels (18).")
@click.option("--share-without", type=float, help="Share of the tiles in which no class is seen (0.5).")
@click.option("--least", type=float, help="Share of a tile's pixels from which on a class is seen (0.05).")
@click.option("--label-noise", type=float, help="Share of the answers that are wrong (0).")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Another draws others.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def tiles(
    path: Path,
    out: Path,
    layout: str,
    pairs: tuple[str, ...],
    split: str,
    seed: int,
    as_json: bool,
    **given: float | None,
) -> None:
    """Cut tiles out of the images of the dataset in PATH, and write them to the folder OUT.

    Of each tile only this is kept: which classes are in it, as an annotator would say at a glance. Masks of the split
    answer that, and are not written. OUT becomes a plain folder: images/, labels.csv, classes.txt; tiles.csv tells
    where each tile was cut, tiles.json how they were drawn. The same options give the same bytes.
    Example: wsss data tiles TopoMortar tiles --count 200
    """
    from wsss.data.registry import open_dataset
    from wsss.data.tilefolder import draw_into
    from wsss.data.tiles import TilesConfig
    from wsss.validation import validate

    chosen = {key: value for key, value in given.items() if value is not None}
    config = validate(TilesConfig, chosen, where="")
    where: dict[str, Any] = {"root": path, "layout": layout, **dict(_key_value(pair) for pair in pairs)}
    with tempfile.TemporaryDirectory(prefix="wsss-") as work, progress("Drawing") as start:
        dataset = open_dataset(where, work=Path(work), log=lambda line: click.echo(line, err=True))
        drawn = draw_into(out, dataset, config=config, split=split, seed=seed, start=start)
    if as_json:
        click.echo(json.dumps({"out": str(out), **drawn}))
    else:
        click.echo(
            f"{out}: {drawn['tiles']} tiles of {drawn['tile_size']} pixels from {drawn['images']} images, "
            f"{drawn['without_any_class']} without any class, {drawn['label_noise']:.0%} of the answers wrong"
        )


def _key_value(pair: str) -> tuple[str, Any]:
    import yaml

    key, equals, text = pair.partition("=")
    key = key.removeprefix("data.")
    if not equals or not key or "." in key:
        raise InvalidInput(f"--data {pair!r}: expected KEY=VALUE, for example --data 'classes=[cat, dog]'.")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"--data {key}: the value {text!r} is not valid YAML.") from error
