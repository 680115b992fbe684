"""Zip files that carry the checksum of their own bytes, in the comment that a zip file may end with.

One file has no moment in which it and its checksum don't belong together, as two would have; and any reader of zip
files, `torch.load` among them, still reads it.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import BinaryIO

_MARK = b"sha256:"
_COMMENT = len(_MARK) + 2 * hashlib.sha256().digest_size
_END = struct.Struct("<4s16sH")
"""A zip file's last record: its signature, positions and counts, and the length of the comment."""


def write_sealed(file: BinaryIO, content: memoryview) -> None:
    """Write a zip file's bytes with their checksum.

    Args:
        file: where to.
        content: a zip file without a comment.

    Raises:
        ValueError: it has a comment, or is no zip file.
    """
    signature, _, length = _END.unpack(content[-_END.size :])
    if signature != b"PK\x05\x06" or length:
        raise ValueError("not a zip file without a comment")
    body, comment_length = content[:-2], struct.pack("<H", _COMMENT)
    digest = hashlib.sha256(body)
    digest.update(comment_length)
    for part in (body, comment_length, _MARK, digest.hexdigest().encode()):
        file.write(part)


def check_sealed(path: Path) -> None:
    """Compare a file that `write_sealed` wrote with its checksum.

    Raises:
        ValueError: it is damaged, or has no checksum; says which.
        OSError: it can't be read.
    """
    digest = hashlib.sha256()
    left = path.stat().st_size - _COMMENT
    with path.open("rb") as file:
        while left > 0:
            part = file.read(min(left, 1 << 20))
            if not part:
                break
            digest.update(part)
            left -= len(part)
        comment = file.read()
    if not comment.startswith(_MARK):
        raise ValueError("it is damaged or incomplete: it doesn't end with a checksum")
    if comment != _MARK + digest.hexdigest().encode():
        raise ValueError("it is damaged: its bytes don't have the checksum that was written with them")
