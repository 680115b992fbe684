"""A finished page isn't replaced by a poorer one because its images are missing today."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from html import unescape
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, counted, listing
from wsss.io.files.contained import read_file
from wsss.stages.report import PAGE

HINT = (
    "Name the dataset with --data.root DIR (or --data.images DIR), write the new page elsewhere with --out DIR, or "
    "replace the page with --force."
)

_ROW = re.compile(r'<article class="row" [^>]*data-name="([^"]*)"')


def check_dataset(out: Path, run: Path) -> None:
    """Refuse to replace a page with pictures by one without, where the dataset is missing.

    Args:
        out: folder of the page.
        run: the run directory.

    Raises:
        InvalidInput: there is such a page.
    """
    shown = rows(out)
    if shown:
        raise InvalidInput(
            f"{out / PAGE} shows {counted(len(shown), 'image')}; without the dataset of {run} the new page would show "
            "none. It is kept.",
            hint=HINT,
        )


def checked(opener: Callable[..., Any], out: Path) -> Callable[..., Any]:
    """Return a function that opens a dataset, and refuses one that lacks images which the page in ``out`` shows."""

    def opened(*args: Any, **named: Any) -> Any:
        data = opener(*args, **named)
        shown = rows(out) if data.missing else frozenset()
        lost = sorted(id for id in data.missing if _is_among(id, shown))
        if lost:
            raise InvalidInput(
                f"{out / PAGE} shows {counted(len(shown), 'image')}, of which {len(lost)} are missing now "
                f"({listing(lost, limit=3)}); the new page would lack them. The page is kept.",
                hint=HINT,
            )
        return data

    return opened


def rows(out: Path) -> frozenset[str]:
    """Return the titles (``id: labels``) of the images on the page in a folder; empty where there is no page."""
    try:
        return frozenset(unescape(name) for name in _ROW.findall(read_file(out / PAGE)))
    except (OSError, ValueError):
        return frozenset()


def _is_among(id: str, shown: Collection[str]) -> bool:
    return any(title.startswith(f"{id}: ") for title in shown)
