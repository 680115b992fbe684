"""Text in pictures: Pillow's own font, the same on every machine, and what stands for letters that it lacks."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

UNKNOWN = "?"
SPELLED = {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ł": "l",
           "Ł": "L", "ı": "i", "þ": "th", "Þ": "Th", "ð": "d", "Ð": "D"}  # fmt: skip
"""Letters that Unicode doesn't take apart into a plain letter and an accent."""


def font(size: int) -> Any:
    """Return the font in a size (pixels); not one of the system's, so that the same input gives the same bytes."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def drawable(text: str) -> str:
    """Return a text in letters that the font has: without accents where it lacks them, else with `UNKNOWN`.

    Pillow's font covers ASCII and some punctuation; it draws everything else as the same empty box.
    """
    return "".join(_drawable(letter) for letter in unicodedata.normalize("NFC", text))


@lru_cache(maxsize=4096)
def _drawable(letter: str) -> str:
    if _has(letter):
        return letter
    apart = SPELLED.get(letter) or unicodedata.normalize("NFKD", letter)
    plain = "".join(part for part in apart if not unicodedata.combining(part))
    return plain if plain and all(map(_has, plain)) else UNKNOWN


def _has(letter: str) -> bool:
    """Tell whether the font has a letter: what it lacks looks like a code point that is no letter at all."""
    shown, box = (font(12).getmask(one) for one in (letter, "\uffff"))
    return letter.isprintable() and (shown.size, bytes(shown)) != (box.size, bytes(box))
