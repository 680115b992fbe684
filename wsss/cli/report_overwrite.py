"""Protection of a finished report page from being replaced by one without its images."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.contained import read_file
from wsss.io.files.stage_files import PAGE

HINT = (
    "Set the dataset's folder with --data.root DIR (or --data.images DIR), write the new page elsewhere with --out "
    "DIR, or replace the page with --force."
)

_ROW = re.compile(r'<article class="row" [^>]*data-name="([^"]*)"')


def require_dataset(out: Path, run: Path) -> None:
    """Refuse to replace a page with images if the dataset is missing.

    Raises:
        InvalidInput: the page shows images.
    """
    shown = page_titles(out)
    if shown:
        count = counted(len(shown), "image")
        raise InvalidInput(
            f"the page shows {count}; without the dataset of {run}, the new page would show none",
            subject=out / PAGE,
            hint=HINT,
        )


def requiring_images(opener: Callable[..., Any], out: Path) -> Callable[..., Any]:
    """Return ``opener``, extended to refuse a dataset that lacks images of the page in ``out``."""

    def opened(*args: Any, **named: Any) -> Any:
        data = opener(*args, **named)
        shown = page_titles(out) if data.missing else frozenset()
        lost = sorted(id for id in data.missing if any(title.startswith(f"{id}: ") for title in shown))
        if lost:
            raise InvalidInput(
                f"the page shows {counted(len(shown), 'image')}, {len(lost)} of which are missing now "
                f"({listing(lost, limit=3)})",
                subject=out / PAGE,
                hint=HINT,
            )
        return data

    return opened


def page_titles(out: Path) -> frozenset[str]:
    """Return the titles (``id: labels``) of the images on the page in a folder; empty without a page."""
    try:
        return frozenset(unescape(name) for name in _ROW.findall(read_file(out / PAGE)))
    except (OSError, ValueError):
        return frozenset()
