"""``wsss topo``: compare the topology of masks, count components and holes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.echo import echo
from wsss.cli.options.command import Group
from wsss.cli.options.option_table import FILE, json_option
from wsss.cli.options.shared_options import print_json
from wsss.errors import InvalidInput, Verbatim

if TYPE_CHECKING:
    from wsss.io.rasters.planes import Plane, Threshold
    from wsss.topology import BettiMatching, DimensionMatching, Intervals


class ThresholdType(click.ParamType):
    """A number, or ``none``."""

    name = "number|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Threshold:
        """Return the number, or ``"none"``."""
        if value == "none":
            return "none"
        try:
            number = float(value)
        except ValueError:
            self.fail(f"expected a number or none, got {value!r}.", param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number or none, got {value!r}.", param, ctx)
        return number


class_option = click.option("--class", "value", type=int, help="Foreground value of a mask with several classes.")


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
    type=ThresholdType(),
    metavar="NUMBER|none",
    help="Foreground: values above this threshold; grey PNGs are read as probabilities from 0 to 1. [default: 0.5 for "
    "probability PNGs, none for .npy arrays]",
)
@class_option
@click.option(
    "--frame",
    type=click.Choice(["none", "own-max", "zero"]),
    default="none",
    show_default=True,
    help="One-pixel frame around each image: its own maximum (relative=True in the paper's code), or zero.",
)
@click.option(
    "--essential",
    type=click.Choice(["omit", "match"]),
    default="omit",
    show_default=True,
    help="Essential components, which never die: omit them, or match those of both images with each other.",
)
@click.option(
    "--filtration",
    type=click.Choice(["superlevel", "sublevel"]),
    default="superlevel",
    show_default=True,
    help="Order of pixels: bright first (superlevel), or dark first (sublevel).",
)
@click.option(
    "--plot",
    type=FILE,
    help="Write a plot (PNG or SVG): matched features share a colour, unmatched features are circled.",
)
@json_option
def match(
    pred: Path,
    gt: Path,
    threshold: Threshold | None,
    value: int | None,
    plot: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Match the components and holes of PRED with those of GT (Betti matching, Stucki et al., ICML 2023).

    PRED and GT are mask or probability PNGs, or .npy arrays. For masks, the number of unmatched features is the Betti
    matching error; --frame own-max reproduces the paper. In the JSON document, births and deaths are image values, and
    pixels are [row, column], or -1 for values without a pixel.
    """
    from wsss.io.rasters.planes import read_plane
    from wsss.topology import betti_matching
    from wsss.viz.drawing.matching_picture import check_plot, draw_matching

    if plot is not None:
        check_plot(plot)
    _require_one(threshold, value)
    planes = [read_plane(pred, value=value, threshold=threshold)]
    # A threshold of probabilities in PRED says nothing about a mask of 0 and 1 in GT.
    thresholded = planes[0].kind != "mask"
    planes.append(read_plane(gt, value=value, threshold=threshold, binary_mask=thresholded))
    _note_absent_class([(pred, planes[0]), (gt, planes[1])], value)
    first, second = (
        _thresholded(path, plane, threshold, of_array="none") for path, plane in zip((pred, gt), planes, strict=True)
    )
    if first.shape != second.shape:
        raise InvalidInput(
            f"size (width×height) differs from {gt}",
            subject=pred,
            allowed=f"{second.shape[1]}×{second.shape[0]}",
            found=Verbatim(f"{first.shape[1]}×{first.shape[0]}"),
        )
    matching = betti_matching(first, second, **options)
    _note_empty([(pred, first), (gt, second)], options)
    if plot is not None:
        draw_matching(first, second, matching, plot)
    if as_json:
        print_json({"pred": str(pred), "gt": str(gt), "shape": list(first.shape), **options, **_to_json(matching)})
    else:
        _print(matching)


@topo.command("betti", short_help="Count components and holes of a mask.")
@click.argument("mask", type=FILE)
@click.option(
    "--threshold",
    type=ThresholdType(),
    metavar="NUMBER|none",
    help="Foreground of probabilities and arrays: values above this threshold; none: all values but 0. Grey PNGs are "
    "read as probabilities from 0 to 1. [default: 0.5]",
)
@class_option
@click.option(
    "--connectivity",
    type=click.Choice(["8", "4"]),
    default="8",
    show_default=True,
    help="Connectivity of the foreground; holes use the other. TopoMortar uses 8, Betti matching 4.",
)
@json_option
def betti(mask: Path, threshold: Threshold | None, value: int | None, connectivity: str, as_json: bool) -> None:
    """Count the components (Betti number 0) and holes (Betti number 1) of MASK, a PNG or .npy array."""
    from wsss.io.rasters.planes import read_plane
    from wsss.topology import betti_numbers

    _require_one(threshold, value)
    plane = read_plane(mask, value=value, threshold=threshold)
    _note_absent_class([(mask, plane)], value)
    foreground = _thresholded(mask, plane, threshold, of_array=0.5)
    if threshold == "none":
        foreground = foreground != 0
    betti = betti_numbers(foreground, connectivity=int(connectivity))
    if as_json:
        print_json({"mask": str(mask), "betti0": betti.b0, "betti1": betti.b1, "connectivity": int(connectivity)})
    else:
        echo(f"components {betti.b0}, holes {betti.b1}")


@topo.command("warmup", short_help="Compile the topology kernels.")
@json_option
def warmup(as_json: bool) -> None:
    """Compile the topology kernels before their first use (about 30 seconds, once per installation)."""
    from wsss.topology import warmup as compile_all

    seconds = compile_all()
    if as_json:
        print_json({"seconds": seconds})
    else:
        echo(f"The topology kernels are ready ({seconds:.1f} s).")


def _require_one(threshold: Threshold | None, value: int | None) -> None:
    """Reject a threshold together with a class, whose pixels it would not change."""
    if threshold is not None and value is not None:
        raise click.UsageError("--threshold and --class are mutually exclusive.")


def _thresholded(path: Path, plane: Plane, threshold: Threshold | None, *, of_array: Threshold) -> Any:
    """Return the values of a plane, thresholded unless it is a mask.

    Args:
        of_array: default for an array; the default for probabilities is 0.5.
    """
    if plane.kind != "array" and isinstance(threshold, float) and not 0 <= threshold < 1:
        # Every pixel, or none, would be foreground.
        raise InvalidInput(
            f"the values of {path} are between 0 and 1",
            subject="--threshold",
            found=threshold,
            allowed="a number from 0 to less than 1",
        )
    used = threshold if threshold is not None else of_array if plane.kind == "array" else 0.5
    return plane.values if plane.kind == "mask" or used == "none" else plane.values > used


def _note_absent_class(planes: list[tuple[Path, Plane]], value: int | None) -> None:
    """Print a note on masks without pixels of the class."""
    for path, plane in planes:
        if value is not None and not plane.values.any():
            echo(f"note: {path} has no pixels of class {value}.", err=True)


def _note_empty(images: list[tuple[Path, Any]], options: dict[str, Any]) -> None:
    """Print a note on the effect of masks without foreground."""
    empty = [path for path, values in images if values.dtype == bool and not values.any()]
    if not empty:
        return
    if len(empty) > 1:
        echo(f"note: {empty[0]} and {empty[1]} have no foreground.", err=True)
    elif options["frame"] == "own-max":
        echo(
            f"note: {empty[0]} has no foreground. Its own maximum, and thus its frame, is 0: it is matched like a mask "
            "that is all foreground. wsss score --structure frames it with foreground, like any other mask.",
            err=True,
        )
    elif options["essential"] == "omit":
        echo(
            f"note: {empty[0]} has no foreground. The essential component of the other image is omitted, so one "
            "unmatched component is not counted.",
            err=True,
        )


def _to_json(matching: BettiMatching) -> dict[str, Any]:
    dimensions = {"dim0": _part_to_json(matching.dim0), "dim1": _part_to_json(matching.dim1)}
    return {**dimensions, "betti_matching_error": matching.error, "loss": matching.loss()}


def _part_to_json(part: DimensionMatching) -> dict[str, Any]:
    """Return sorted intervals, with the pixels of their births and deaths."""
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


def _print(matching: BettiMatching) -> None:
    rows: list[tuple[str, ...]] = [("", "matched", "only in PRED", "only in GT", "loss")]
    for name, part in (("components", matching.dim0), ("holes", matching.dim1)):
        counts = (len(part.matched), len(part.unmatched_pred), len(part.unmatched_gt))
        rows.append((name, *map(str, counts), f"{part.loss():.6g}"))
    for name, *cells in rows:
        echo(f"{name:<10}" + "".join(f"{cell:>14}" for cell in cells))
    echo(f"Betti matching error {matching.error}, loss {matching.loss():.6g}")
