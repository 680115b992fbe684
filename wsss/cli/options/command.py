"""Base classes of all commands: ``--debug``, value names in help, suggestions, and validation of names as UTF-8."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from wsss.cli.options.option_table import SHARED
from wsss.io.files.home_paths import expand_argument
from wsss.io.utf8 import is_utf8, require_utf8, require_working_directory

_VALUES = {"INTEGER": "INT", "INTEGER RANGE": "INT", "FLOAT": "NUMBER", "FLOAT RANGE": "NUMBER", "DIRECTORY": "DIR"}

_HELP = frozenset({"-h", "--help"})


def value_name(option: click.Option) -> str:
    """Return the name of an option's value in help; ``""`` for a flag."""
    if option.is_flag or option.count:
        return ""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    name = option.type.name.upper()
    return _VALUES.get(name, name)


def is_list(value: str) -> bool:
    """Return whether the name of an option's value in help is that of a list (``A,B,…``)."""
    return ",…" in value


class Command(click.Command):
    """A command with ``--debug`` and uniform value names, which suggests the closest option.

    Args:
        renamed: plausible wrong option → right option, for suggestions.
        positional: option to suggest for an unexpected argument.
    """

    def __init__(
        self, *args: Any, renamed: Mapping[str, str] | None = None, positional: str | None = None, **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self.renamed, self.positional = renamed or {}, positional
        options = [param for param in self.params if isinstance(param, click.Option)]
        if not any("--debug" in option.opts for option in options):
            text = f"{SHARED['--debug'].meaning}."
            self.params.append(click.Option(["--debug"], is_flag=True, expose_value=False, help=text))
        for option in options:
            option.metavar = option.metavar or value_name(option) or None

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments after validating them and the working directory.

        Raises:
            InvalidInput: an argument is not valid UTF-8 (see `wsss.io.utf8`), or the working directory does not
                exist.
        """
        if not _HELP.intersection(args) and not extra.get("resilient_parsing"):
            self._require_utf8(args)
            require_working_directory()
            args = [expand_argument(word) for word in args]
        return super().make_context(info_name, args, parent, **extra)

    def _require_utf8(self, args: Sequence[str]) -> None:
        for previous, word in zip(["", *args], args, strict=False):
            if not is_utf8(word):
                require_utf8(word, previous if self._takes_value(previous) else "")

    def _takes_value(self, word: str) -> bool:
        """Return whether the word after an argument is its value."""
        options = [param for param in self.params if isinstance(param, click.Option) and value_name(param)]
        return word.startswith("--data.") or any(word in option.opts for option in options)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; suggest the closest option for an unknown one, and refuse a list given twice."""
        words = list(args)  # parsing empties the list
        try:
            self._refuse_repeated_lists(ctx, words)
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            unexpected = self._without_option(ctx, words)
            if unexpected is None:
                raise
            raise unexpected from error
        except click.NoSuchOption as error:
            name = error.option_name
            suggestion = self.suggestion(name, value_of(name, words))
            raise click.UsageError(f"No such option {name!r}.{suggestion}", ctx) from error

    def _refuse_repeated_lists(self, ctx: click.Context, args: list[str]) -> None:
        """Raise an error if an option with a list of values is given twice: the first list would be ignored."""
        if ctx.resilient_parsing or _HELP.intersection(args):
            return
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option, times in Counter(given).items():
            if isinstance(option, click.Option) and times > 1 and not option.multiple and is_list(value_name(option)):
                name, hint = option.opts[0], f"Separate values by commas: '{option.opts[0]} {value_name(option)}'."
                raise click.UsageError(f"Option {name!r} was given {times} times. {hint}", ctx)

    def _without_option(self, ctx: click.Context, args: list[str]) -> click.UsageError | None:
        """Return the error for an argument without its option; ``None`` if there is no such argument."""
        _, extra, _ = self.make_parser(ctx).parse_args(args=args)
        if not extra or self.positional is None:
            return None
        return click.UsageError(f"Unexpected argument {extra[0]!r}. Did you mean '{self.positional} {extra[0]}'?", ctx)

    def suggestion(self, unknown: str, value: str) -> str:
        """Return ``" Did you mean X?"`` for the closest option to an unknown one; ``""`` if none is close."""
        known = {**self.known_options(), **self.renamed}
        near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.55)
        return f" Did you mean {known[near[0]]!r}?" if near else ""

    def known_options(self) -> Mapping[str, str]:
        """Return the options for suggestions: spelling that a user may have tried → correct option."""
        params = [param for param in self.params if isinstance(param, click.Option)]
        return {name: name for param in params for name in (*param.opts, *param.secondary_opts)}


def value_of(option: str, args: Sequence[str]) -> str:
    """Return the value of an option among arguments; ``VALUE`` if it has none."""
    following = zip(args, [*args[1:], ""], strict=True)
    values = [word.partition("=")[2] or after for word, after in following if word.partition("=")[0] == option]
    return values[0] if values and values[0] and not values[0].startswith("-") else "VALUE"


class Group(click.Group):
    """A command group that suggests the closest command."""

    command_class = Command
    group_class = type  # nested groups are of the same class

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; suggest the closest one for an unknown name."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            raise click.UsageError(f"No such command {args[0]!r}{_closest(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)


def _closest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f". Did you mean {near[0]!r}?" if near else "."
