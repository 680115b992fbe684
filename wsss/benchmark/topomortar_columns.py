"""Scores of single images in the columns of TopoMortar's authors, so that their result files and ours mix.

The numbers are those of their program (Betti numbers with 8-connected foreground by gudhi, local ones in windows of
128 pixels, medpy's Dice and HD95) wherever prediction and label have foreground; clDice is theirs if it is computed of
transposed masks (see `wsss.metrics.topology.cldice`): their loader swaps the axes. For empty masks other
conventions apply: gudhi counts one component in an empty mask (or window), here it has none; their HD95 is
then 9999999, ours the image's diagonal, which is what their tables make of it; their clDice is then 0/0, ours 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsss.metrics.structure import Group, columns_of

FILE = "topomortar.csv"
WINDOW = 128
"""Side of the windows of the local Betti errors, in pixels."""

GROUPS: tuple[Group, ...] = ("betti", "local_betti", "cldice", "hd95", "dice")
"""What has to be scored to write all of the authors' columns."""

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
"""The authors' columns in their order, then ours for what their program lacks → our name of the score."""

_WHOLE = frozenset({"betti0_error", "betti1_error", "betti_matching_error"})
_NOTHING_TO_FIND = {"dice": 1.0, "cldice": 1.0}


def topomortar_columns(
    per_image: Sequence[Mapping[int, Sequence[float]]], groups: Sequence[Group]
) -> dict[str, list[float]]:
    """Return the columns of a result file: name → a value per image, whole numbers as such.

    Args:
        per_image: what `wsss.metrics.structure.structure_scores` returned for each image, of which class 1 is taken.
            An image in which neither prediction nor label shows it has no errors.
        groups: the groups that were scored, `GROUPS` among them; with ``betti_matching`` there is a column for it.
    """
    names = columns_of(groups)
    columns: dict[str, list[float]] = {}
    for column, score in COLUMNS.items():
        if score not in names:
            continue
        place = names.index(score)
        values = [one[1][place] if 1 in one else _NOTHING_TO_FIND.get(score, 0.0) for one in per_image]
        columns[column] = [round(value) for value in values] if score in _WHOLE else list(values)
    return columns
