"""Corrupted versions of files and texts, as by truncated copies, broken disks, editors and attackers."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)

WORDS = (
    *("", " ", "\t", "\r", "\n", "\0", "\ufeff", "\ud800", "\udcff", "²", "٣", "\u202e", "\x1b[2J", "é", "𝒳"),
    *("x" * 300, "x" * 70000),
    *("null", "none", "nan", ".nan", ".inf", "-inf", "true", "yes", "-1", "1e999", "1e-400", "0x_", "1_000", "9" * 25),
    *("9" * 5000, "!!int", "!!python/object:os.system", "!!timestamp 2020-99-99", "!!set {a}", "&a [*a]", "<<: *x"),
    *("[" * 70, "{a: " * 70, "- " * 70, "../../x", "/etc/passwd", "C:\\x", "con", "${{ matrix.x }}", "${{", "}}"),
    *('"', "'", ",", ";", "|", ":", "=", "#", "%", "{", "}", "[", "]", "&", "*", "!", "@", "`", "\\u0000", "\\ud800"),
)


def corrupt_bytes(content: bytes, rng: random.Random) -> bytes:
    """Return the content of a file with one to three changes."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = _change(content, rng)
    return content


def corrupt_text(text: str, rng: random.Random, words: Sequence[str] = WORDS) -> str:
    """Return a text with one to three words inserted, replaced, deleted or repeated."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((0, 1, 3, 10, 40)))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:start] + text[end:]
        elif kind == 1:
            text = text[:end] + text[start:end] * rng.choice((1, 2, 50)) + text[end:]
        elif kind == 2:
            text = text[:start]
        else:
            text = text[:start] + rng.choice(words) + text[end if kind < 5 else start :]
    return text


def _change(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return rng.randbytes(rng.randrange(20))
    start = rng.randrange(len(content))
    if rng.random() < 0.5:  # headers are at either end
        start = min(start, rng.randrange(64)) if rng.random() < 0.7 else max(start, len(content) - rng.randrange(1, 64))
    end = min(len(content), start + rng.choice((1, 2, 4, 8, 64)))
    kind = rng.randrange(7)
    if kind == 0:
        flipped = content[start] ^ (1 << rng.randrange(8))
        return content[:start] + bytes([flipped]) + content[start + 1 :]
    if kind == 1:
        return content[:start]
    if kind == 2:
        return content[:start] + content[end:]
    if kind == 3:
        return content[:end] + content[start:end] * rng.choice((1, 3, 1000)) + content[end:]
    if kind == 4:
        return content[:start] + rng.randbytes(end - start) + content[end:]
    code = rng.choice(("<B", "<H", "<I", "<Q", ">H", ">I", ">Q"))
    number = rng.choice(NUMBERS) % (1 << 8 * struct.calcsize(code))
    return content[:start] + struct.pack(code, number) + content[start + struct.calcsize(code) :]
