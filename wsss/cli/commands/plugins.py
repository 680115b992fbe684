"""``wsss plugins``: what other installed packages add to `wsss`."""

from __future__ import annotations

from importlib import import_module

import click

from wsss.cli.echo import echo
from wsss.cli.options.command import Command
from wsss.cli.options.option_table import json_option
from wsss.cli.options.shared_options import print_json
from wsss.cli.stage_table import print_stages
from wsss.errors import InvalidInput
from wsss.extensions import Entry, Extensions, config_class

REGISTRIES = {
    "wsss.stages": "wsss.stages:STAGES",
    "wsss.losses": "wsss.losses.catalogue:LOSSES",
    "wsss.layouts": "wsss.data.readers.registry:LAYOUTS",
    "wsss.backbones": "wsss.models.architectures:ARCHITECTURES",
    "wsss.seeds": "wsss.models.attribution.config:SEEDS",
}
"""Entry-point group → its registry."""


@click.command("plugins", cls=Command)
@click.option("--all", "everything", is_flag=True, help="Also list those built into wsss.")
@json_option
def plugins(everything: bool, as_json: bool) -> None:
    """List the stages, losses, layouts, backbones and CAM methods added by other installed packages.

    The exit code is 1 if any of them cannot be used.
    """
    entries = [entry for group in REGISTRIES for entry in registry(group).entries if everything or entry.package]
    rows = [_row(entry) for entry in entries]
    if as_json:
        print_json(rows)
    elif rows:
        columns = ("group", "name", "status", "package", "object")
        print_stages(columns, [tuple(row[column] for column in columns) for row in rows], status=2)
    else:
        echo("No installed package adds anything to wsss.", err=True)
    for entry in entries:
        if entry.shadowed:
            echo(f"warning: {entry.subject} of {entry.package} is ignored: the name is taken.", err=True)
    if any(row["status"].startswith("failed") for row in rows):
        raise SystemExit(1)


def registry(group: str) -> Extensions:
    """Return the registry of an entry-point group."""
    module, _, attribute = REGISTRIES[group].partition(":")
    extensions: Extensions = getattr(import_module(module), attribute)
    return extensions


def _row(entry: Entry) -> dict[str, str]:
    return {
        "group": entry.group,
        "name": entry.name,
        "status": _status(entry),
        "package": entry.package or "wsss",
        "object": entry.target,
    }


def _check(entry: Entry) -> None:
    """Raise `InvalidInput` if an entry cannot be used."""
    if entry.group == "wsss.losses":
        from wsss.losses.plugin_losses import check_entry

        check_entry(entry)
    elif entry.group == "wsss.seeds":
        from wsss.models.attribution.map_method import MapMethod

        config_class(entry, MapMethod)
    else:
        registry(entry.group).load(entry)


def _status(entry: Entry) -> str:
    """Return ``ok``, or why an entry of another package has no effect."""
    if entry.shadowed:
        return "ignored: the name is taken"
    if entry.package:
        try:
            _check(entry)
        except InvalidInput as error:
            return f"failed: {InvalidInput(error.problem, found=error.found, allowed=error.allowed).message}"
    return "ok"
