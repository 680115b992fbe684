"""The standard streams of a command: some are closed when it starts, and some are closed by their reader later on.

``wsss run … | head`` ends its reader long before the run: that is no failure of the run, which goes on in silence.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path


class Lasting(io.TextIOWrapper):
    """Text output that is dropped from the moment at which it can't be written any more.

    Args:
        stream: a standard stream, which this one replaces.
        drops: the errors after which the rest is dropped; others are raised.
    """

    def __init__(self, stream: io.TextIOWrapper, drops: type[OSError]) -> None:
        line, through, encoding = stream.line_buffering, stream.write_through, stream.encoding
        super().__init__(stream.detach(), encoding, "backslashreplace", line_buffering=line, write_through=through)
        self.drops = drops

    def write(self, text: str) -> int:
        """Write text."""
        try:
            return super().write(text)
        except self.drops:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            super().flush()
        except self.drops:
            self._drop()
            super().flush()

    def _drop(self) -> None:
        """Send what is left, and all that follows, to the null device."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def settle_streams(*, replace: bool) -> None:
    """Replace streams that were closed before we started by the null device; let none fail for want of a character.

    Args:
        replace: have output dropped once its reader has gone; messages whatever the trouble is. For a program of its
            own only: the stream objects of before can't be used any more.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # so each gets its own descriptor, 0 to 2
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    drops: dict[str, type[OSError]] = {"stdout": BrokenPipeError, "stderr": OSError}
    for name, errors in drops.items():
        stream = getattr(sys, name)
        if replace and type(stream) is io.TextIOWrapper:
            setattr(sys, name, Lasting(stream, errors))
            setattr(sys, f"__{name}__", getattr(sys, name))
        elif isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 must not end a run
            stream.reconfigure(errors="backslashreplace")
