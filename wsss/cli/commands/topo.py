"""``wsss topo``: compare the topology of two masks or images, count components and holes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.command import Group
from wsss.cli.echo import echo
from wsss.cli.options.option_table import json_option
from wsss.cli.options.shared_options import print_json
from wsss.errors import InvalidInput

if TYPE_CHECKING:
    from wsss.io.rasters.planes import Plane
    from wsss.topology import BettiMatching, DimensionMatching, Intervals

FILE = click.Path(path_type=Path, dir_okay=False)


class Threshold(click.ParamType):
    """A number, or ``none``."""

    name = "number|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the number, or ``"none"``."""
        if value == "none":
            return "none"
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor none.", param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} separates nothing; a finite number is needed, or none.", param, ctx)
        return number


class_option = click.option(
    "--class", "value", type=int, help="Foreground of a mask with several classes: the pixels of this value."
)


@click.group("topo", cls=Group)
def topo() -> None:
    """Compare the topology of masks: Betti matching, Betti numbers.

    \b
    Two masks:      wsss topo match PRED.png GT.png --plot match.png
    A single mask:  wsss topo betti MASK.png
    """


@topo.command("match", short_help="Match components and holes of two masks.")
@click.argument("pred", type=FILE)
@click.argument("gt", type=FILE)
@click.option(
    "--threshold",
    type=Threshold(),
    metavar="NUMBER|none",
    help="Foreground: values above this. [default: 0.5 for probabilities in a PNG, none for .npy arrays]",
)
@class_option
@click.option(
    "--frame",
    type=click.Choice(["none", "own-max", "zero"]),
    default="none",
    show_default=True,
    help="Frame of one pixel around each image: its own maximum (the paper's relative=True), or zero.",
)
@click.option(
    "--essential",
    type=click.Choice(["omit", "match"]),
    default="omit",
    show_default=True,
    help="Essential component (it never dies): omit it, or match it with the other image's.",
)
@click.option(
    "--filtration",
    type=click.Choice(["superlevel", "sublevel"]),
    default="superlevel",
    show_default=True,
    help="Order in which pixels enter: bright ones first, or dark ones first.",
)
@click.option(
    "--plot",
    type=FILE,
    help="Write a picture (PNG or SVG): matched features share a colour, unmatched ones are circled.",
)
@json_option
def match(
    pred: Path,
    gt: Path,
    threshold: float | str | None,
    value: int | None,
    plot: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Match the components and holes of PRED with those of GT (Betti matching, Stucki et al., ICML 2023).

    PRED and GT are mask or probability PNGs, or .npy arrays. Between masks, the number of unmatched features is the
    Betti matching error; --frame own-max gives the paper's. In the JSON, births and deaths are values of the images,
    and pixels are [row, column], or -1 for a value without a pixel.
    """
    from wsss.io.rasters.planes import read_plane
    from wsss.topology import betti_matching
    from wsss.viz.drawing.matching_picture import check_plot, draw_matching

    if plot is not None:
        check_plot(plot)
    planes = [read_plane(path, value=value) for path in (pred, gt)]
    _note_absent_class([(pred, planes[0]), (gt, planes[1])], value)
    first, second = (_thresholded(plane, threshold) for plane in planes)
    if first.shape != second.shape:
        raise InvalidInput(
            f"{pred} is {first.shape[1]}×{first.shape[0]} (width×height), {gt} is {second.shape[1]}×{second.shape[0]}; "
            "they must be of one size."
        )
    found = betti_matching(first, second, **options)
    _note_empty([(pred, first), (gt, second)], options)
    if plot is not None:
        draw_matching(first, second, found, plot)
    if as_json:
        print_json({"pred": str(pred), "gt": str(gt), "shape": list(first.shape), **options, **_to_json(found)})
    else:
        _print(found)


@topo.command("betti", short_help="Count components and holes of a mask.")
@click.argument("mask", type=FILE)
@click.option(
    "--threshold",
    type=Threshold(),
    metavar="NUMBER|none",
    default=0.5,
    show_default=True,
    help="Foreground: values above this, in probabilities and arrays; none: all values but 0.",
)
@class_option
@click.option(
    "--connectivity",
    type=click.Choice(["8", "4"]),
    default="8",
    show_default=True,
    help="Connectivity of the foreground; holes have the other one. TopoMortar uses 8, Betti matching 4.",
)
@json_option
def betti(mask: Path, threshold: float | str, value: int | None, connectivity: str, as_json: bool) -> None:
    """Count the components (Betti number 0) and holes (Betti number 1) of MASK, a PNG or .npy array."""
    from wsss.io.rasters.planes import read_plane
    from wsss.topology import betti_numbers

    plane = read_plane(mask, value=value)
    _note_absent_class([(mask, plane)], value)
    foreground = _thresholded(plane, threshold)
    found = betti_numbers(foreground, connectivity=int(connectivity))
    if as_json:
        print_json({"mask": str(mask), "betti0": found.b0, "betti1": found.b1, "connectivity": int(connectivity)})
    else:
        echo(f"components {found.b0}, holes {found.b1}")


@topo.command("warmup", short_help="Compile the topology kernels ahead of their first use.")
@json_option
def warmup(as_json: bool) -> None:
    """Compile the topology kernels ahead of their first use (half a minute, once per installation)."""
    from wsss.topology import warmup as compile_all

    seconds = compile_all()
    if as_json:
        print_json({"seconds": seconds})
    else:
        echo(f"The topology kernels are ready ({seconds:.1f} s).")


def _thresholded(plane: Plane, threshold: float | str | None) -> Any:
    """Return a mask as it is, and an image above the threshold that was asked for, or that its kind has by default."""
    if plane.kind == "mask" or threshold == "none" or (threshold is None and plane.kind == "array"):
        return plane.values
    return plane.values > (0.5 if threshold is None else threshold)


def _note_absent_class(planes: list[tuple[Path, Plane]], value: int | None) -> None:
    """Print a note on masks without a pixel of the class asked for."""
    for path, plane in planes:
        if value is not None and not plane.values.any():
            echo(f"note: {path} has no pixel of class {value}.", err=True)


def _note_empty(images: list[tuple[Path, Any]], options: dict[str, Any]) -> None:
    """Say what a mask without foreground does to the result."""
    empty = [path for path, values in images if values.dtype == bool and not values.any()]
    if len(empty) != 1:
        return
    if options["frame"] == "own-max":
        echo(
            f"note: {empty[0]} has no foreground. Its own maximum, and so its frame, is 0: it is matched as a mask of "
            "foreground everywhere. wsss score --structure frames it by foreground, like any other mask.",
            err=True,
        )
    elif options["essential"] == "omit":
        echo(
            f"note: {empty[0]} has no foreground. The other image's essential component is left out on both sides, "
            "so that one component without a partner isn't counted.",
            err=True,
        )


def _to_json(found: BettiMatching) -> dict[str, Any]:
    dimensions = {"dim0": _part_to_json(found.dim0), "dim1": _part_to_json(found.dim1)}
    return {**dimensions, "betti_matching_error": found.error, "loss": found.loss()}


def _part_to_json(part: DimensionMatching) -> dict[str, Any]:
    """Return lists in ascending order of their values, and beside them the pixels of births and deaths."""
    import numpy as np

    def listed(*sides: Intervals) -> tuple[list[Any], list[Any]]:
        values = np.concatenate([side.values for side in sides], axis=1)
        pixels = np.concatenate([np.stack([side.birth_pixels, side.death_pixels], axis=1) for side in sides], axis=1)
        order = np.lexsort(values.T[::-1])
        return values[order].tolist(), pixels[order].tolist()

    document: dict[str, Any] = {}
    for name, sides in (
        ("matched", (part.matched_pred, part.matched_gt)),
        ("unmatched_pred", (part.unmatched_pred,)),
        ("unmatched_gt", (part.unmatched_gt,)),
    ):
        document[name], document[f"{name}_pixels"] = listed(*sides)
    return {**document, "error": part.error, "loss": part.loss()}


def _print(found: BettiMatching) -> None:
    rows: list[tuple[str, ...]] = [("", "matched", "only in PRED", "only in GT", "loss")]
    for name, part in (("components", found.dim0), ("holes", found.dim1)):
        counts = (len(part.matched), len(part.unmatched_pred), len(part.unmatched_gt))
        rows.append((name, *map(str, counts), f"{part.loss():.6g}"))
    for name, *cells in rows:
        echo(f"{name:<10}" + "".join(f"{cell:>14}" for cell in cells))
    echo(f"Betti matching error {found.error}, loss {found.loss():.6g}")
