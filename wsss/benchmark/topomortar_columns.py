"""Scores per image in the column names of TopoMortar's authors, so that both kinds of result files can be compared.

Where prediction and label both have foreground, the scores equal those of the authors' program: Betti numbers by gudhi
with 8-connected foreground, local ones in windows of 128 pixels, Dice and HD95 by medpy. clDice equals theirs when
computed on transposed masks, since their loader swaps the axes (see `wsss.metrics.topology.cldice`). Empty masks follow
other conventions: gudhi counts one component in an empty mask or window, this package none; their HD95 is 9999999, here
it is the image's diagonal, the value that their tables substitute; their clDice is 0/0, here it is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsss.metrics.structure import Group, columns_of

FILE = "topomortar.csv"
WINDOW = 128
"""Side of the windows of the local Betti errors, in pixels."""

GROUPS: tuple[Group, ...] = ("betti", "local_betti", "cldice", "hd95", "dice")
"""The metric groups that the authors' columns need."""

COLUMNS = {
    "Betti0ErrorLocal_mortar": "local_betti0_error",
    "Betti0Error_mortar": "betti0_error",
    "Betti1ErrorLocal_mortar": "local_betti1_error",
    "Betti1Error_mortar": "betti1_error",
    "Dice_mortar": "dice",
    "HD95_mortar": "hd95",
    "clDice_mortar": "cldice",
    "BettiMatchingError_mortar": "betti_matching_error",
}
"""Column → metric: the authors' columns in their order, then one that their program lacks."""

_INTEGERS = frozenset({"betti0_error", "betti1_error", "betti_matching_error"})
_ABSENT_CLASS = {"dice": 1.0, "cldice": 1.0}


def topomortar_columns(
    per_image: Sequence[Mapping[int, Sequence[float]]], groups: Sequence[Group]
) -> dict[str, list[float]]:
    """Return the columns of a result file: name → a value per image, counts as integers.

    Args:
        per_image: the result of `wsss.metrics.structure.structure_scores` for each image; class 1 is used. An image
            without class 1 in prediction and label has no errors.
        groups: the computed metric groups, including `GROUPS`; ``betti_matching`` adds a column.
    """
    names = columns_of(groups)
    columns: dict[str, list[float]] = {}
    for column, metric in COLUMNS.items():
        if metric not in names:
            continue
        index = names.index(metric)
        values = [scores[1][index] if 1 in scores else _ABSENT_CLASS.get(metric, 0.0) for scores in per_image]
        columns[column] = [round(value) for value in values] if metric in _INTEGERS else list(values)
    return columns
