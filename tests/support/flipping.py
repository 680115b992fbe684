"""Damage a file as a failing disk does: one bit, with the same size and times."""

from __future__ import annotations

import os
from pathlib import Path


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file and keep its times."""
    content, state = bytearray(path.read_bytes()), path.stat()
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
