"""Zip files and JSON objects that contain a checksum of their own content.

A checksum in a second file would be invalid between two writes. Other readers are not affected: a zip file holds the
checksum in its comment (`torch.load` still reads it), an object in one additional key.
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
from wsss.io.files.json_files import MAX_BYTES, parse_json, read_limited
from wsss.io.utf8 import unwritable

SEAL = "seal"
"""Key of an object's checksum."""

_MARK = b"sha256:"
_COMMENT = len(_MARK) + 2 * hashlib.sha256().digest_size
_END = struct.Struct("<4s16sH")
"""Last record of a zip file: signature, positions and counts, length of the comment that follows."""

_MISMATCH = "its content does not match its checksum"


def write_sealed_zip(file: BinaryIO, content: memoryview) -> None:
    """Write a zip file with its checksum.

    Args:
        content: a zip file without a comment.

    Raises:
        ValueError: it has a comment, or is not a zip file.
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
    """Verify the checksum of a file written by `write_sealed_zip`.

    Raises:
        ValueError: the file is damaged, or has no checksum.
        OSError: it cannot be read.
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
        raise ValueError("it is damaged or incomplete: it does not end with a checksum")
    if comment != _MARK + digest.hexdigest().encode():
        raise ValueError(f"it is damaged: {_MISMATCH}")


def check_stored_zip(path: Path) -> None:
    """Require an uncompressed zip file, since a compressed one may need any amount of memory.

    Raises:
        ValueError: not a zip file, or compressed.
        OSError: it cannot be read.
    """
    try:
        with open_to_read(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"it is not a zip file ({error})") from error
    if any(
        member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size for member in members
    ):
        raise ValueError("it is compressed; expected an uncompressed zip file")


def write_sealed_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum, atomically; non-finite numbers raise a `ValueError`.

    Raises:
        InvalidInput: see `wsss.io.files.atomic.write_text`.
    """
    written = time.time_ns() // 10**9 * 10**9  # whole seconds, which every file system and archive preserves
    content = json.loads(json.dumps({name: inner for name, inner in value.items() if name != SEAL}, allow_nan=False))
    try:
        digest = json_digest(content)
    except UnicodeEncodeError as error:
        raise unwritable(path, error) from error
    sealed = {**content, SEAL: {"sha256": digest, "mtime_ns": written}}
    text = json.dumps(sealed, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_open(path) as file:
        file.write(text.encode())
        file.flush()
        os.utime(file.fileno(), ns=(written, written))


def read_sealed_json(path: Path) -> Any:
    """Read JSON, and verify and remove the checksum of an object.

    Objects without a checksum, and objects edited since (recognised by their modification time), are not verified.

    Raises:
        OSError: the file is missing or unreadable.
        ValueError: invalid JSON (see `wsss.io.files.json_files`), or damaged: the content has changed while the
            modification time has not.
    """
    value, seal, changed = _read(path)
    if isinstance(seal, dict) and seal.get("mtime_ns") == changed and seal.get("sha256") != json_digest(value):
        raise ValueError(f"it is damaged: {_MISMATCH}")
    return value


def read_intact_json(path: Path) -> dict[str, Any]:
    """Read a JSON object written by `write_sealed_json`, and verify its checksum whatever its modification time.

    Raises:
        OSError: the file is missing or unreadable.
        ValueError: not a JSON object, or its content does not match its checksum.
    """
    value, seal, _ = _read(path)
    if not isinstance(seal, dict) or seal.get("sha256") != json_digest(value):
        raise ValueError(_MISMATCH)
    return dict(value)


def _read(path: Path) -> tuple[Any, Any, int]:
    """Return the value in a JSON file without its seal, the seal, and the modification time in nanoseconds."""
    with open_to_read(path) as file:
        value = parse_json(read_limited(file, MAX_BYTES))
        changed = os.fstat(file.fileno()).st_mtime_ns
    return value, value.pop(SEAL, None) if isinstance(value, dict) else None, changed


def json_digest(value: Any) -> str:
    """Return the SHA-256 of a value as canonical JSON (sorted keys, no spaces): 64 hex digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
