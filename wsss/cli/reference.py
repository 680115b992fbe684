"""The reference of the command line, made from the commands themselves: ``docs/cli.md``.

``python -m wsss.cli.reference`` writes the page anew; a test fails where it is stale.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from wsss.cli.main import COMMANDS, cli
from wsss.io.atomic import write_text
from wsss.stages import STAGES

WRITE = "python -m wsss.cli.reference"
PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
"""Only in a checkout; the installed package has no docs."""

_HEAD = f"""\
# Command line

Made from the commands by `{WRITE}`; `wsss COMMAND --help` prints the same.

Data goes to stdout, progress and messages to stderr; `--json` prints one JSON document. Exit codes: 0 done, 1 a run
failed, 2 wrong usage or invalid input, 130 and 143 interrupted.
"""


def commands(
    group: click.Group = cli, path: tuple[str, ...] = ("wsss",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield (path, command) of every command below a group, in the order of its help, groups before what is in them."""
    context = click.Context(group, info_name=path[-1])
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def reference() -> str:
    """Return the page, in Markdown."""
    parts = [_HEAD, _contents()]
    parts += [_section(path, command) for path, command in commands()]
    return "\n".join(parts)


def _contents() -> str:
    """Return the list of commands with a line each, as ``wsss --help`` has it."""
    rows = [(name, text) for name, (_, text) in COMMANDS.items()]
    rows += [(name, STAGES.help_of(name)) for name in STAGES if name not in COMMANDS]
    return "\n".join(
        ["| command | |", "|---|---|", *(f"| [`wsss {n}`](#wsss-{n}) | {_cell(t)} |" for n, t in rows), ""]
    )


def _section(path: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(command, info_name=" ".join(path))
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"{'#' * len(path)} {' '.join(path)}", "", "```", f"{' '.join(path)} {usage}".rstrip(), "```", ""]
    lines += _prose(inspect.cleandoc(command.help or ""))
    options = [
        parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden
    ]
    if options:
        lines += ["", "| option | |", "|---|---|", *(_row(option) for option in options)]
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        lines += ["", "Commands: " + ", ".join(f"[`{name}`](#{'-'.join((*path, name))})" for name in names) + "."]
    return "\n".join([*lines, ""])


def _prose(text: str) -> list[str]:
    """Return help text as Markdown: what click is told not to wrap (``\\b``) keeps its lines."""
    lines: list[str] = []
    for paragraph in text.split("\f")[0].strip().split("\n\n"):
        rows = [row.rstrip() for row in paragraph.splitlines()]
        kept = rows[0].strip() == "\b"
        rows = rows[1:] if kept else rows
        lines += ["", *(["```", *rows, "```"] if kept else [_escaped(row) for row in rows])]
    return lines[1:]


def _row(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    usage = names if option.is_flag or option.count else f"{names} {_value(option)}"
    extra = [_bounds(option.type)]
    if option.show_default and not option.is_flag:
        extra.append(f"default: {option.default}")
    if option.required:
        extra.append("required")
    if option.multiple and "several times" not in (option.help or ""):
        extra.append("several times")
    told = "; ".join(part for part in extra if part)
    return f"| `{_cell(usage)}` | {_cell(_escaped((option.help or '') + (f' [{told}]' if told else '')))} |"


def _value(option: click.Option) -> str:
    """Return what an option's value is called. Not click's own words, which differ from version to version."""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return option.type.name.upper().removesuffix(" RANGE")


def _bounds(kind: click.ParamType) -> str:
    if not isinstance(kind, click.IntRange | click.FloatRange):
        return ""
    low = None if kind.min is None else f"{'above' if kind.min_open else 'from'} {kind.min}"
    high = None if kind.max is None else f"{'below' if kind.max_open else 'up to'} {kind.max}"
    return " ".join(part for part in (low, high) if part)


def _escaped(text: str) -> str:
    """Return text without what Markdown would take for its own: emphasis and HTML."""
    return text.replace("*", "\\*").replace("<", "&lt;")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write the page."""
    if not PAGE.parent.is_dir():
        raise SystemExit(f"{PAGE.parent}: no such folder; run this in a checkout.")
    changed = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != reference()
    write_text(PAGE, reference())
    print(f"{PAGE}: {'written' if changed else 'already up to date'}", file=sys.stderr)


if __name__ == "__main__":
    main()
