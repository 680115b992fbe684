"""Terminal output of all commands, with control characters in untrusted names escaped."""

from __future__ import annotations

import click

from wsss.io.text.printable import printable


def echo(text: object = "", *, err: bool = False, nl: bool = True, label: str = "") -> None:
    """Print text on stdout or stderr, see `wsss.io.text.printable`.

    Args:
        label: red word before the text: ``error``.
    """
    start = f"{click.style(f'{label}:', fg='red', bold=True)} " if label else ""
    click.echo(start + printable(str(text)), err=err, nl=nl)


def log(line: str) -> None:
    """Print a line on stderr."""
    echo(line, err=True)
