"""Printing: the only place where commands write to a terminal, so that no name of a file or a class can steer it."""

from __future__ import annotations

import click

from wsss.io.text.printable import printable


def say(text: object = "", *, err: bool = False, nl: bool = True, label: str = "") -> None:
    """Print text on stdout or stderr.

    Args:
        text: its control characters are shown as escapes, see `wsss.io.text.printable`.
        err: on stderr.
        nl: end the line.
        label: word before it, in red: ``error``.
    """
    start = f"{click.style(f'{label}:', fg='red', bold=True)} " if label else ""
    click.echo(start + printable(str(text)), err=err, nl=nl)
