"""Verification of the pixel checksums in a PNG, which Pillow skips: a flipped bit may yield another image."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">I4s")


def check_pixel_chunks(path: Path) -> None:
    """Verify the checksums of the pixel chunks of a PNG; other files pass.

    Raises:
        ValueError: a chunk is damaged.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, name = _HEAD.unpack(head)
            if name == b"IEND":
                return
            if name != b"IDAT":
                file.seek(length + 4, 1)
                continue
            content, expected = file.read(length), file.read(4)
            if struct.pack(">I", zlib.crc32(content, zlib.crc32(name))) != expected:
                raise ValueError("wrong checksum of the pixels")
