"""Text in pictures: Pillow's own font, identical on every machine, and substitutes for its missing letters."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

UNKNOWN = "?"
SPELLED = {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ł": "l",
           "Ł": "L", "ı": "i", "þ": "th", "Þ": "Th", "ð": "d", "Ð": "D"}  # fmt: skip
"""Letters without a Unicode decomposition into a plain letter and an accent."""


def font(size: int) -> Any:
    """Return Pillow's font, ``size`` in pixels; system fonts would make the output depend on the machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def drawable(text: str) -> str:
    """Replace letters that the font lacks: by the letter without its accent if possible, otherwise by `UNKNOWN`.

    Pillow's font covers ASCII and some punctuation; it draws all other letters as the same empty box.
    """
    return "".join(_drawable(letter) for letter in unicodedata.normalize("NFC", text))


@lru_cache(maxsize=4096)
def _drawable(letter: str) -> str:
    if _has(letter):
        return letter
    decomposed = SPELLED.get(letter) or unicodedata.normalize("NFKD", letter)
    plain = "".join(part for part in decomposed if not unicodedata.combining(part))
    return plain if plain and all(map(_has, plain)) else UNKNOWN


def _has(letter: str) -> bool:
    """Return whether the font has a letter: missing letters look like an unassigned code point."""
    glyph, box = (font(12).getmask(character) for character in (letter, "\uffff"))
    return letter.isprintable() and (glyph.size, bytes(glyph)) != (box.size, bytes(box))
