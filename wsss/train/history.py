"""History of a training run: ``history.csv``, and scalars and pictures for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss.io.files.atomic import write_text
from wsss.io.files.contained import check_tree
from wsss.io.files.stage_files import HISTORY
from wsss.io.text.tables import csv_text


def write_history(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write ``history.csv`` atomically, one row per epoch."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    rows = [[row.get(name, "") for name in columns] for row in history]
    write_text(folder / HISTORY, csv_text([columns, *rows]))


class Scalars:
    """Writer of TensorBoard scalars and pictures; purges events after the last checkpoint of an interrupted run.

    Args:
        step: number of steps taken before; steps are counted from 1.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        check_tree(folder)
        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars of one step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def draw(self, pictures: Mapping[str, NDArray[np.uint8]], step: int) -> None:
        """Write pictures ``(H, W, 3)`` uint8 of one step."""
        for name, picture in pictures.items():
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()
