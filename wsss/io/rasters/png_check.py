"""The checksums inside a PNG. Pillow skips those of the pixels, so that a flipped bit may pass as another picture."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">I4s")


def check_pixel_chunks(path: Path) -> None:
    """Compare the chunks of a PNG that hold its pixels with their checksums; any other file passes.

    Raises:
        ValueError: one is damaged.
        OSError: the file can't be read.
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
                raise ValueError("the checksum of its pixels is wrong")
