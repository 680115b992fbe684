"""Options shared by several commands, with the same kind of value and the same meaning everywhere.

``docs/cli.md`` contains this table; a test requires it to list every option that several commands have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@dataclass(frozen=True)
class Shared:
    """A shared option.

    Args:
        value: name of the value in help texts (``""``: a flag; ``NAME``: one of the names listed in the help text).
        meaning: the help text, or the beginning that all commands share, without a full stop.
        own_text: whether each command has its own help text.
    """

    value: str
    meaning: str
    own_text: bool = False


SHARED = {
    # Files and folders.
    "--out": Shared("DIR", "Output folder"),
    "--images": Shared("DIR", "Folder of images", own_text=True),
    "--labels": Shared("FILE", "Image-level labels", own_text=True),
    "--classes": Shared("FILE", "Class list", own_text=True),
    "--weights": Shared("FILE|DIR|NAME", "Trained or initial weights", own_text=True),
    "--answers": Shared("FILE", "Table of answers", own_text=True),
    "--groups": Shared("FILE", "CSV with the columns ID and group", own_text=True),
    # Inputs from earlier stages.
    "--stage": Shared("ID", "Stage of a run", own_text=True),
    "--run": Shared("RUN", "Run: a path, or a name under runs/", own_text=True),
    "--classifier": Shared("DIR", "Folder of a stage with a trained classifier", own_text=True),
    "--tiles": Shared("DIR", "Folder of a tiles stage", own_text=True),
    "--cams": Shared("DIR", "Folder of a stage with class activation maps", own_text=True),
    "--masks": Shared("DIR", "Folder of masks", own_text=True),
    "--corrections": Shared("DIR", "Folder of corrected masks (see import-masks)", own_text=True),
    "--scores": Shared("DIR", "Folders of score stages, or a run directory", own_text=True),
    # The dataset.
    "--data.KEY": Shared("VALUE", "Dataset setting, as under data: in a pipeline file"),
    "--split": Shared("NAME", "Dataset split", own_text=True),
    "--splits": Shared("NAME,…", "Dataset splits", own_text=True),
    "--ids": Shared("A,B,…|@FILE", "Ids of images", own_text=True),
    "--val-split": Shared("NAME", "Validation split", own_text=True),
    # Settings.
    "--set": Shared("KEY=VALUE", "Override a setting (YAML value; repeatable)"),
    "--config": Shared("FILE", "YAML file with settings; may reference presets"),
    "--seed": Shared("INT", "Random seed"),
    "--format": Shared("NAME", "File format", own_text=True),
    "--batch-size": Shared("INT", "Images per forward pass", own_text=True),
    "--count": Shared("INT", "Number of items", own_text=True),
    "--page": Shared("INT", "Page of TIFF files", own_text=True),
    "--bands": Shared("INT,…", "Bands for red, green and blue", own_text=True),
    "--size": Shared("INT", "Side length in pixels", own_text=True),
    "--max-side": Shared("INT", "Maximum side length in pixels; larger images are downscaled"),
    "--tile": Shared(
        "INT", "Side of overlapping tiles for larger images, in pixels of the network's input; null: whole images"
    ),
    "--iterations": Shared("INT", "Number of iterations", own_text=True),
    "--placement": Shared("NAME", "Position of a sampler in the network", own_text=True),
    "--frame": Shared("NAME", "Frame around each mask", own_text=True),
    "--threshold": Shared("NUMBER|none", "Foreground: values above this threshold", own_text=True),
    "--reference": Shared("NAME", "Reference for comparisons", own_text=True),
    "--oracle": Shared("", "Use ground-truth masks, and mark all scores ORACLE", own_text=True),
    # Execution and output.
    "--force": Shared("", "Replace existing results"),
    "--device": Shared("NAME", "Compute device"),
    "--workers": Shared("INT", "Number of parallel workers (0 or 1: main process only); does not affect results"),
    "--precision": Shared("NAME", "Floating-point precision of training", own_text=True),
    "--json": Shared("", "Print a JSON document to stdout"),
    "--debug": Shared("", "Show tracebacks"),
}
"""Option → definition, in the order of the reference page."""

VARIANTS = {("run", "--force"): "ID", ("predict", "--labels"): "ignore|restrict"}
"""(command, option) → name of a deviating value: ``--force`` of ``run`` takes a stage, ``--labels`` of ``predict`` the
use of the dataset's image-level labels."""


def shared(name: str, *names: str, more: str = "", **settings: Any) -> Callable[[F], F]:
    """Return the decorator of a shared option.

    Args:
        names: other names: short options, or the parameter name if it differs.
        more: command-specific end of the help text, starting with punctuation (``"; also splits/*.txt"``).
        settings: keyword arguments of `click.option`.
    """
    option = SHARED[name]
    text = option.meaning + more
    settings.setdefault("help", text if text.endswith("]") else f"{text}.")
    if option.value and not isinstance(settings.get("type"), click.Choice):
        settings.setdefault("metavar", option.value)
    return click.option(name, *names, **settings)


json_option = shared("--json", "as_json", is_flag=True)
workers_option = shared("--workers", type=click.IntRange(min=0), more=". [default: number of available cores]")


def device_option(command: F) -> F:
    """Add ``--device``."""
    choice = click.Choice(["auto", "cpu", "cuda"])
    return shared("--device", type=choice, default="auto", show_default=True)(command)
