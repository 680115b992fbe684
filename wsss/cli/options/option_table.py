"""Options that several commands share: one name, one kind of value, one meaning. ``docs/cli.md`` shows this table.

A test walks all commands: a name that two of them use has to be here, with the value it has here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Shared:
    """What an option is called on every command that has it.

    Args:
        value: what it takes, as help shows it (``""``: a flag; ``NAME``: one of the names that help lists).
        meaning: its help text, or the part of it that all commands share; without a full stop.
        own_text: each command's help text says it in its own words.
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
    "--groups": Shared("FILE", "CSV with the columns ID and group", own_text=True),
    # Earlier stages, as inputs.
    "--classifier": Shared("DIR", "Folder of a stage with a trained classifier", own_text=True),
    "--tiles": Shared("DIR", "Folder of a tiles stage", own_text=True),
    "--cams": Shared("DIR", "Folder of a stage with class activation maps", own_text=True),
    "--masks": Shared("DIR", "Folder of masks", own_text=True),
    "--scores": Shared("DIR", "Score stages, or a whole run", own_text=True),
    # The dataset.
    "--data.KEY": Shared("VALUE", "Key of the dataset's config, as below data: in a pipeline file"),
    "--split": Shared("NAME", "The split that is read", own_text=True),
    "--splits": Shared("NAME,…", "The splits that are read", own_text=True),
    "--val-split": Shared("NAME", "Split that is evaluated during training", own_text=True),
    # Settings.
    "--set": Shared("KEY=VALUE", "Override a setting (YAML value)"),
    "--config": Shared("FILE", "YAML file of settings; may name a preset"),
    "--seed": Shared("INT", "Random seed"),
    "--format": Shared("NAME", "File format", own_text=True),
    "--batch-size": Shared("INT", "Images per forward pass", own_text=True),
    "--size": Shared("INT", "Side length in pixels", own_text=True),
    "--placement": Shared("NAME", "Position of a sampler in the network", own_text=True),
    "--frame": Shared("NAME", "Frame around each mask", own_text=True),
    "--threshold": Shared("NUMBER|none", "Foreground: values above this", own_text=True),
    "--against": Shared("FRAMEWORK/LABELS/SIZE/LOSS", "Compare all others with this one, whatever their labels"),
    # How a command runs and what it prints.
    "--force": Shared("", "Replace existing results"),
    "--device": Shared("NAME", "Device for networks"),
    "--workers": Shared("INT", "Parallel workers; results do not depend on it"),
    "--precision": Shared("NAME", "Floating-point precision of training", own_text=True),
    "--json": Shared("", "Print one JSON document on stdout"),
    "--debug": Shared("", "Show tracebacks"),
}
"""Option → what it is on all commands, in the order in which the page lists them."""

VARIANTS = {("run", "--force"): "ID", ("predict", "--labels"): "ignore|restrict"}
"""(command, option) → the value it takes there: a run has many results, so its ``--force`` names the stage; predict has
its image-level labels from the dataset, and its ``--labels`` says how they are used."""


def shared(name: str, *names: str, more: str = "", **settings: Any) -> Callable[[F], F]:
    """Return the decorator of a shared option.

    Args:
        name: the option.
        names: the parameter's name, where it is another.
        more: what this command adds to the help text, from its punctuation on (``"; also splits/*.txt"``).
        settings: of `click.option`.
    """
    one = SHARED[name]
    text = one.meaning + more
    settings.setdefault("help", text if text.endswith("]") else f"{text}.")
    if one.value and not isinstance(settings.get("type"), click.Choice):
        settings.setdefault("metavar", one.value)
    return click.option(name, *names, **settings)


json_option = shared("--json", "as_json", is_flag=True)
workers_option = shared("--workers", type=click.IntRange(min=0), more=". [default: number of cores]")


def device_option(command: F) -> F:
    """Add ``--device``."""
    choice = click.Choice(["auto", "cpu", "cuda"])
    return shared("--device", type=choice, default="auto", show_default=True)(command)
