"""The scores of a benchmark in memory: losses, metrics, cases, and a score per image and seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from wsss.benchmark.result_files import Resources
from wsss.metrics.directions import DIRECTIONS, Direction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REFERENCE = "CEDice"
"""The loss that all others are compared with."""

ID_GROUP = "indistr"
"""The group of in-distribution images; every other group is out of distribution."""


class Metric(NamedTuple):
    """A score: its column in a result file, its short name, its better direction, and whether the paper shows it."""

    column: str
    name: str
    better: Direction
    shown: bool


METRICS = (
    Metric("Betti0Error_mortar", "Betti0", DIRECTIONS["betti0_error"], True),
    Metric("Betti1Error_mortar", "Betti1", DIRECTIONS["betti1_error"], True),
    Metric("Dice_mortar", "Dice", DIRECTIONS["dice"], True),
    Metric("HD95_mortar", "HD95", DIRECTIONS["hd95"], True),
    Metric("clDice_mortar", "clDice", DIRECTIONS["cldice"], False),
    Metric("Betti0ErrorLocal_mortar", "Betti0Local", DIRECTIONS["local_betti0_error"], False),
    Metric("Betti1ErrorLocal_mortar", "Betti1Local", DIRECTIONS["local_betti1_error"], False),
    Metric("BettiMatchingError_mortar", "BettiMatchingError", DIRECTIONS["betti_matching_error"], False),
)
"""The authors' seven, four of them shown in the paper, and the Betti matching error (Stucki et al., ICML 2023)."""

LOSSES: Mapping[str, tuple[str, ...]] = {
    "CEDice": ("CEDiceLoss", "ce_dice"),
    "RWLoss": ("RegionWiseLoss", "region_wise"),
    "TopoLoss": ("TopoLoss", "topoloss"),
    "TOPO": ("MSETopoWinLoss", "topo"),
    "clDice": ("clDiceLoss", "cldice"),
    "Warping": ("WarpingLoss", "warping"),
    "SkelRecall": ("CESkeletonRecallLoss", "skeleton_recall"),
    "cbDice": ("cbDiceLoss", "cbdice"),
    "BettiMatching": ("BettiMatchingLoss", "betti_matching", "DiceBettiMatchingLoss"),
}
"""Short name → folder name on output, name in `wsss.losses`, other folder names; in the paper's order."""

FRAMEWORKS = ("supervised", "randhue", "selfdistillation")
LABELS = ("accurate", "noisy", "pseudo", "weak")
SIZES = ("large", "small")


class Case(NamedTuple):
    """Properties shared by the losses of one table."""

    framework: str
    labels: str
    size: str

    def __str__(self) -> str:
        return "/".join(self)

    @property
    def sort_key(self) -> tuple[tuple[int, str], ...]:
        """The paper's order; unknown names last, alphabetically."""
        return _order(self.framework, FRAMEWORKS), _order(self.labels, LABELS), _order(self.size, SIZES)


@dataclass(frozen=True)
class LossScores:
    """All scores of one loss in one case: N rows, one per image and seed, sorted by image, then seed.

    Args:
        images, groups: ``(N,)`` image keys and their groups.
        seeds: ``(N,)``.
        values: metric → ``(N,)``; NaN where undefined. Metrics without any value are omitted.
        resources: training costs, where recorded.
    """

    images: tuple[str, ...]
    groups: tuple[str, ...]
    seeds: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]
    resources: tuple[Resources, ...] = ()

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """(image, seed) of each row."""
        return list(zip(self.images, self.seeds, strict=True))


@dataclass(frozen=True)
class Benchmark:
    """All results of a folder.

    Args:
        cases: case → loss (short name) → its scores, in the paper's order.
        groups: the groups of all images, in-distribution first, then by name.
        notes: omitted or incomplete results, a sentence each.
    """

    cases: Mapping[Case, Mapping[str, LossScores]]
    groups: tuple[str, ...]
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        losses = {loss for by_loss in self.cases.values() for loss in by_loss}
        object.__setattr__(self, "losses", tuple(sorted(losses, key=loss_order)))


def short_name(loss: str) -> str:
    """Return the paper's short name of a loss, from a folder name or a name in `wsss.losses`; others unchanged."""
    return next((short for short, names in LOSSES.items() if loss == short or loss in names), loss)


def folder_name(loss: str) -> str:
    """Return the folder name of a loss in the authors' repository; losses unknown there keep their name."""
    short = short_name(loss)
    return LOSSES[short][0] if short in LOSSES else loss


def loss_order(loss: str) -> tuple[int, str]:
    """Sort key for losses: the paper's order, then by name."""
    return _order(loss, tuple(LOSSES))


def group_order(group: str) -> tuple[int, str]:
    """Sort key for groups: in-distribution first, then by name."""
    return _order(group, (ID_GROUP,))


def ood_groups(groups: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct out-of-distribution groups, sorted by name."""
    return tuple(sorted(set(groups) - {ID_GROUP}))


def _order(name: str, known: Sequence[str]) -> tuple[int, str]:
    return (known.index(name) if name in known else len(known), name)
