"""``--data.KEY VALUE`` options: the dataset's config on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from wsss.cli.options.command import Command
from wsss.cli.options.option_table import SHARED
from wsss.errors import InvalidInput

if TYPE_CHECKING:
    from wsss.pipeline.config.source import Source

SHOWN = "--data.KEY"
PATHS = frozenset({"root", "layout", "images", "masks", "labels", "files"})
KEYS = ("root", "layout", "images", "masks", "labels", "classes", "splits", "files", "aliases")
"""Keys suggested for unknown options."""

NULL = ("null", "~")

LISTS = frozenset({"splits"})
"""Keys whose value is always a list: ``A,B``, with or without brackets."""

TEXT = PATHS | LISTS | {"classes", "negative", "unknown"}
"""Keys in whose lists all items are text: a split may be called ``001``."""


class DataCommand(Command):
    """A command that also takes ``--data.KEY VALUE`` for any key of the dataset's config."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if not any(SHOWN in param.opts for param in self.params):  # only for help, see `parse_args`
            names, text, value = [SHOWN, "data_key"], f"{SHARED[SHOWN].meaning}.", SHARED[SHOWN].value
            option = click.Option(names, metavar=value, multiple=True, expose_value=False, help=text)
            self.params.insert(-1, option)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Extract the ``--data.…`` options, and parse the others."""
        pairs, rest = split_data_options(args)
        if not ctx.resilient_parsing:
            _refuse_repeated_lists(pairs)
        ctx.meta["data"] = pairs
        return super().parse_args(ctx, rest)

    def known_options(self) -> Mapping[str, str]:
        """Return the command's own options, and dataset keys with and without ``data.``."""
        keys = {f"--{key}": f"--data.{key}" for key in KEYS}
        return {"--data": "--data.KEY VALUE", **keys, **super().known_options()}


def split_data_options(args: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (``[("data.root", "voc"), …]``, the other arguments).

    Raises:
        click.UsageError: the last ``--data.KEY`` has no value.
    """
    pairs: list[tuple[str, str]] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if not word.startswith("--data."):
            rest.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        if not equals:
            following = next(words, None)
            if following is None:
                raise click.UsageError(f"Option '--{key}' requires a value.")
            value = following
        pairs.append((key, value))
    return pairs, rest


def _refuse_repeated_lists(pairs: list[tuple[str, str]]) -> None:
    """Raise an error if a key is given twice, once with a list: the first value would be ignored."""
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    for key, given in values.items():
        listed = key.split(".")[-1] in LISTS or any(value.lstrip().startswith("[") for value in given)
        if listed and len(given) > 1:
            raise click.UsageError(f"Option '--{key}' was given {len(given)} times. Write one list: --{key} '[A, B]'.")


def read_data_options(pairs: list[tuple[str, str]]) -> Source:
    """Return the dataset's config from ``--data.KEY VALUE`` options.

    Values are YAML, except text for the keys in `PATHS`: a folder may be called ``2012`` or ``yes``. The items of lists
    are text for the keys in `TEXT`.

    Raises:
        InvalidInput: an empty key, or a value that is not YAML.
    """
    from wsss.pipeline.config.source import Source, merge, parse_yaml

    source = Source({})
    for key, value in pairs:
        location = f"--{key} {value}"
        words = tuple(key.split(".")[1:])
        if not all(words):
            raise InvalidInput(subject=f"--{key}", allowed="--data.KEY VALUE")
        bare = value.strip()
        if words[0] in LISTS and bare[:1] not in ("", "[", "{") and bare not in NULL:
            value = f"[{value}]"
        if words[0] in PATHS and value[:1] not in ("[", "{", '"', "'") and value not in NULL:
            parsed = Source(value, {(): location})
        else:
            as_text = words[0] in TEXT and value.lstrip().startswith("[")
            parsed = parse_yaml(value, location, lines=False, as_text=as_text)
        source = merge(source, parsed.under(words))
    return source
