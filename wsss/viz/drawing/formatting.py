"""Formatting of numbers, times and nested values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wsss.io.text import times
from wsss.io.text.printable import printable

if TYPE_CHECKING:
    from markupsafe import Markup

NOT_DEFINED = "–"


def escape(text: str) -> Markup:
    """Escape text for HTML and SVG; control characters, which XML forbids, become visible escapes."""
    from markupsafe import escape as escape_markup

    return escape_markup(printable(text))


def number(value: Any) -> str:
    """Format a number: values in [0, 1] with three decimals, others with four significant digits, integers in full."""
    if value is None:
        return NOT_DEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return NOT_DEFINED
        if value == 0 or 0.001 <= abs(value) <= 1:
            return f"{value:.3f}"
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    return str(value)


def duration(seconds: float | None) -> str:
    """Format seconds as ``0.4 s``, ``2 min 05 s`` or ``1 h 02 min``, with no-break spaces."""
    return NOT_DEFINED if seconds is None else times.duration(seconds, digits=2).replace(" ", "\N{NO-BREAK SPACE}")


def plain(value: Any) -> str:
    """Format a config or provenance value as one line of text."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(item) for item in value) or "none"
    return number(value)


def words(key: str) -> str:
    """Return a key such as ``pixel_accuracy`` as words, with the usual spelling of abbreviations."""
    spellings = {
        "miou": "mIoU",
        "iou": "IoU",
        "map": "mAP",
        "ap": "AP",
        "f1": "F1",
        "crf": "CRF",
        "cam": "CAM",
        "lr": "learning rate",
    }
    return " ".join(spellings.get(word.lower(), word) for word in key.split("_"))
