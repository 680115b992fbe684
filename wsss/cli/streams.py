"""Standard streams that are closed at the start of a command, or later by their reader.

``wsss run … | head`` closes stdout long before the run ends; the run continues silently.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path


class DiscardingStream(io.TextIOWrapper):
    """Text stream that discards its output after a write error.

    Args:
        stream: the standard stream to replace.
        drops: the errors after which output is discarded; others are raised.
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
        """Flush the buffer."""
        try:
            super().flush()
        except self.drops:
            self._drop()
            super().flush()

    def _drop(self) -> None:
        """Redirect all further output to the null device."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def settle_streams(*, replace: bool) -> None:
    """Replace closed standard streams by the null device, and escape characters that a stream cannot encode.

    Args:
        replace: discard stdout after its reader has closed it, and stderr after any error. Only for a separate process,
            since this invalidates the original stream objects.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in this order, for descriptors 0 to 2
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    drops: dict[str, type[OSError]] = {"stdout": BrokenPipeError, "stderr": OSError}
    for name, errors in drops.items():
        stream = getattr(sys, name)
        if replace and type(stream) is io.TextIOWrapper:
            setattr(sys, name, DiscardingStream(stream, errors))
            setattr(sys, f"__{name}__", getattr(sys, name))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
