"""Tables of stages on stdout."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HEADLINES = ("miou", "map", "f1", "val_map", "val_f1", "precision", "recall", "pixel_accuracy", "loss", "images")
NAMES = {
    "miou": "mIoU",
    "map": "mAP",
    "f1": "F1",
    "val_map": "val mAP",
    "val_f1": "val F1",
    "images_asked": "maximum images",
}
SHOWN = 3
_COLOURS = {"done": "green", "skipped": "cyan", "finished": "cyan", "failed": "red", "interrupted": "yellow"}


def print_stages(columns: Sequence[str], rows: Sequence[Sequence[str]], *, status: int = 1) -> None:
    """Print rows of text as a table; column ``status`` is coloured."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from wsss.io.text.printable import printable

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            *(Text(printable(cell), _COLOURS.get(cell, "") if i == status else "") for i, cell in enumerate(row))
        )
    width = None if sys.stdout.isatty() else 160
    Console(width=width, highlight=False).print(table)


def benchmark_tables(uses: str, folder: Path) -> str | None:
    """Return the tables that a `bench` stage wrote, in Markdown; ``None`` for other stages."""
    from wsss.io.files.recorded import check_recorded
    from wsss.stages.bench import PAGE, STAGE

    page = folder / PAGE
    if uses != STAGE.name or not page.is_file():
        return None
    check_recorded(page)
    return page.read_text(encoding="utf-8")


def headline(metrics: Mapping[str, Any]) -> str:
    """Return the most important metrics of a stage as text (``"mIoU 0.512, recall 0.7"``)."""
    numbers = {k: v for k, v in metrics.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    order = [key for key in HEADLINES if key in numbers]
    order += [key for key in numbers if key not in order]
    return ", ".join(f"{_name(key)} {_number(numbers[key])}" for key in order[:SHOWN])


def _name(key: str) -> str:
    return NAMES.get(key, key.replace("_", " "))


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"
