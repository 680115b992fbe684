"""Files that carry a checksum of their own content: zip files and JSON objects.

A checksum in a second file would have a moment, between two writes, in which it belongs to another content. Both kinds
stay what they were for other readers: a zip file has it in the comment that it may end with (`torch.load` reads on), an
object has one key more.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from wsss.io.files.atomic import atomic_open
from wsss.io.files.contained import open_to_read
from wsss.io.text.json_files import MOST_BYTES, parse_json
from wsss.io.text.utf8 import unwritable

SEAL = "seal"
"""Key of an object's checksum."""

_MARK = b"sha256:"
_COMMENT = len(_MARK) + 2 * hashlib.sha256().digest_size
_END = struct.Struct("<4s16sH")
"""A zip file's last record: its signature, positions and counts, and the length of the comment that follows it."""


def write_sealed_zip(file: BinaryIO, content: memoryview) -> None:
    """Write a zip file's bytes with their checksum.

    Args:
        file: where to.
        content: a zip file without a comment.

    Raises:
        ValueError: it has a comment, or is no zip file.
    """
    end = bytes(content[-_END.size :])
    if len(end) < _END.size or not end.startswith(b"PK\x05\x06") or end[-2:] != b"\0\0":
        raise ValueError("not a zip file without a comment")
    body, comment_length = content[:-2], struct.pack("<H", _COMMENT)
    digest = hashlib.sha256(body)
    digest.update(comment_length)
    for part in (body, comment_length, _MARK, digest.hexdigest().encode()):
        file.write(part)


def check_sealed_zip(path: Path) -> None:
    """Compare a file that `write_sealed_zip` wrote with its checksum.

    Raises:
        ValueError: it is damaged, or has no checksum; says which.
        OSError: it can't be read.
    """
    digest = hashlib.sha256()
    left = path.stat().st_size - _COMMENT
    with open_to_read(path) as file:
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


def check_stored_zip(path: Path) -> None:
    """Require a zip file whose members aren't compressed: one that is may need any amount of memory.

    Raises:
        ValueError: not a zip file, or a compressed one.
        OSError: it can't be read.
    """
    try:
        with open_to_read(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"it is no zip file ({error})") from error
    if any(
        member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size for member in members
    ):
        raise ValueError("it is compressed, as no file of ours is")


def write_sealed_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum, atomically; NaN and infinities are refused, since JSON has none.

    Raises:
        InvalidInput: see `wsss.io.files.atomic.write_text`.
    """
    written = time.time_ns() // 10**9 * 10**9  # whole seconds, which every file system and archive keeps
    content = json.loads(json.dumps({name: inner for name, inner in value.items() if name != SEAL}, allow_nan=False))
    try:
        digest = _digest(content)
    except UnicodeEncodeError as error:
        raise unwritable(path, error) from error
    sealed = {**content, SEAL: {"sha256": digest, "mtime_ns": written}}
    text = json.dumps(sealed, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_open(path) as file:
        file.write(text.encode())
        file.flush()
        os.utime(file.fileno(), ns=(written, written))


def read_sealed_json(path: Path) -> Any:
    """Read JSON; an object is compared with its checksum, which is left out.

    An object that someone has edited since (its file has another time of change) is taken as it is, and so is one
    without a checksum.

    Raises:
        OSError: no such file, or it can't be read.
        ValueError: not JSON (see `wsss.io.text.json_files`), or damaged: its content has changed without a trace in its
            time of change.
    """
    with open_to_read(path) as file:
        value = parse_json(file.read(MOST_BYTES + 1))
        changed = os.fstat(file.fileno()).st_mtime_ns
    seal = value.pop(SEAL, None) if isinstance(value, dict) else None
    if isinstance(seal, dict) and seal.get("mtime_ns") == changed and seal.get("sha256") != _digest(value):
        raise ValueError("it is damaged: its content doesn't have the checksum that was written with it")
    return value


def read_intact_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that `write_sealed_json` wrote, whatever its time of change: it has to be what was written.

    Raises:
        OSError: no such file, or it can't be read.
        ValueError: no such object, or its content doesn't have the checksum that was written with it.
    """
    with open_to_read(path) as file:
        value = parse_json(file.read(MOST_BYTES + 1))
    seal = value.pop(SEAL, None) if isinstance(value, dict) else None
    if not isinstance(seal, dict) or seal.get("sha256") != _digest(value):
        raise ValueError("its content doesn't have the checksum that was written with it")
    return dict(value)


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
