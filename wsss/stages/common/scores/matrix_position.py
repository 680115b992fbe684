"""Position of a score in a matrix: row, seed, and the values of all other axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wsss.io.text.instance_ids import instance_id, read_instance_id

ONLY = "all"
"""Name of the row or seed without an axis."""


@dataclass(frozen=True)
class MatrixPosition:
    """Position of a score: id of its stage in the pipeline, row, seed, and value of every other axis."""

    entry: str
    row: str
    seed: str
    rest: Mapping[str, str]

    @property
    def name(self) -> str:
        """Id of the stage with the values of the other axes; the same for all rows and seeds."""
        return instance_id(self.entry, self.rest)

    def heading(self, titles: Mapping[str, str]) -> str:
        """Return the name as a heading; ``titles`` maps stage ids to titles."""
        rest = ", ".join(f"{axis} {value}" for axis, value in self.rest.items())
        return titles.get(self.entry, self.entry) + (f" ({rest})" if rest else "")


def position_of(id: str, axis: str | None, average_over: str) -> MatrixPosition:
    """Return the position of a score.

    Args:
        id: id of its stage instance.
        axis: axis of the rows; ``None`` for a single row.
        average_over: axis to average over.
    """
    entry, point = read_instance_id(id)
    rest = {name: value for name, value in point.items() if name not in (axis, average_over)}
    return MatrixPosition(entry, ONLY if axis is None else point[axis], point.get(average_over, ONLY), rest)
