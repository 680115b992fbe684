"""TopoMortar's results in memory: which losses and metrics there are, and every per-image score with its group.

The conventions are those of the authors' own tables: results are joined with the groups of the images on the id (images
that have no group don't count), and an empty prediction's HD95, 9999999 in their files, counts as √2·511, the diagonal
of their images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wsss.benchmark.result_files import (
    NO_DISTANCE,
    Place,
    Resources,
    Scores,
    find_results,
    read_groups,
    read_resources,
    read_scores,
)
from wsss.errors import InvalidInput, counted, listing
from wsss.metrics.directions import DIRECTIONS, Direction

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFERENCE = "CEDice"
"""The loss that all others are compared with."""

ID_GROUP = "indistr"
"""The group of in-distribution images; every other group is out of distribution."""

DIAGONAL = math.sqrt(2) * 511


class Metric(NamedTuple):
    """A score: its column in a result file, its short name, which way is better, and whether the paper shows it."""

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
"""The authors' seven, of which the paper shows four, and the Betti matching error (Stucki et al., ICML 2023)."""

COLUMNS = {metric.name: metric.column for metric in METRICS}

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
"""Short name → the folder that we write, our name of the loss, and other names of the folder; in the paper's order."""

FRAMEWORKS = ("supervised", "randhue", "selfdistillation")
LABELS = ("accurate", "noisy", "pseudo", "weak")
SIZES = ("large", "small")


class Case(NamedTuple):
    """What the losses of one table have in common."""

    framework: str
    labels: str
    size: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True)
class Measured:
    """All scores of one loss in one case: N rows, one per image and seed, sorted by image, then seed.

    Args:
        images, groups: ``(N,)`` image keys, and the group of each.
        seeds: ``(N,)``.
        values: metric → ``(N,)``; NaN where a score is not defined. Metrics without any number are left out.
        resources: what the runs cost, those that say so.
    """

    images: tuple[str, ...]
    groups: tuple[str, ...]
    seeds: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]
    resources: tuple[Resources, ...] = ()

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Return (image, seed) of each row."""
        return list(zip(self.images, self.seeds, strict=True))


@dataclass(frozen=True)
class Benchmark:
    """All results of a folder.

    Args:
        cases: case → loss (short name) → its scores, in the paper's order.
        groups: every group that some image is in, in-distribution first, then by name.
        notes: what was left out or looks incomplete, a sentence each.
    """

    cases: Mapping[Case, Mapping[str, Measured]]
    groups: tuple[str, ...]
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = dict.fromkeys(loss for losses in self.cases.values() for loss in losses)
        object.__setattr__(self, "losses", tuple(sorted(found, key=_loss_rank)))


def short_name(loss: str) -> str:
    """Return the paper's short name of a loss's folder or of our own name for it; any other as it is."""
    return next((short for short, names in LOSSES.items() if loss == short or loss in names), loss)


def folder_name(loss: str) -> str:
    """Return how the authors' repository calls the folder of a loss; one they don't know stays as it is."""
    short = short_name(loss)
    return LOSSES[short][0] if short in LOSSES else loss


def read_benchmark(root: Path, groups_file: Path) -> Benchmark:
    """Read all results below ``root`` (``framework/labels/size/loss/seed.csv``).

    Args:
        root: folder of the results.
        groups_file: which image is in which group.

    Raises:
        InvalidInput: no results, a broken file, two folders of one loss, or no image in any group.
    """
    places, notes = find_results(root)
    group_of = read_groups(groups_file)
    by_case: dict[Case, dict[str, list[tuple[Place, Scores]]]] = {}
    for place in places:
        scores = read_scores(place.path, [metric.column for metric in METRICS])
        losses = by_case.setdefault(Case(place.framework, place.labels, place.size), {})
        files = losses.setdefault(short_name(place.loss), [])
        if files and files[0][0].loss != place.loss:
            raise InvalidInput(
                f"{place.path.parent} and {files[0][0].path.parent} are both {short_name(place.loss)}.",
                hint="Put the seeds of one loss into one folder.",
            )
        files.append((place, scores))
    notes += _notes_on_files(by_case, group_of, groups_file)
    cases: dict[Case, dict[str, Measured]] = {}
    for case in sorted(by_case, key=_case_rank):
        measured = {loss: _measured(by_case[case][loss], group_of) for loss in sorted(by_case[case], key=_loss_rank)}
        notes += [f"{case}: {loss}: none of its images has a group" for loss, one in measured.items() if not one.images]
        cases[case] = {loss: one for loss, one in measured.items() if one.images}
        if cases[case]:
            notes += _notes_on_case(case, cases[case])
    found = {group for losses in cases.values() for one in losses.values() for group in one.groups}
    if not found:
        raise InvalidInput(
            f"{groups_file}: names none of the images that {root} has results of.",
            hint="Name the groups of these images: --groups FILE.",
        )
    missing = sorted(set(group_of.values()) - found)
    if missing:
        notes.append(f"no results of the groups {listing(missing)}")
    return Benchmark(
        {case: losses for case, losses in cases.items() if losses}, tuple(sorted(found, key=_group_rank)), tuple(notes)
    )


def _measured(files: Sequence[tuple[Place, Scores]], group_of: Mapping[str, str]) -> Measured:
    rows = []
    for number, (place, scores) in enumerate(files):
        rows += [
            (_image_rank(image), place.seed, number, i) for i, image in enumerate(scores.images) if image in group_of
        ]
    rows.sort()
    images = tuple(files[number][1].images[i] for _, _, number, i in rows)
    values = {}
    for metric in METRICS:
        columns = [scores.columns.get(metric.column) for _, scores in files]
        found = np.array([np.nan if (one := columns[number]) is None else one[i] for _, _, number, i in rows])
        if metric.name == "HD95":
            found = np.where(found == NO_DISTANCE, DIAGONAL, found)
        if np.isfinite(found).any():
            values[metric.name] = found
    resources = (read_resources(place.path) for place, _ in files)
    return Measured(
        images,
        tuple(group_of[image] for image in images),
        tuple(seed for _, seed, _, _ in rows),
        values,
        tuple(one for one in resources if one is not None),
    )


def _notes_on_files(
    by_case: Mapping[Case, Mapping[str, Sequence[tuple[Place, Scores]]]], group_of: Mapping[str, str], file: Path
) -> list[str]:
    """Say what of the files is left out, and what is replaced."""
    everything = [one for losses in by_case.values() for files in losses.values() for one in files]
    notes = []
    unread = dict.fromkeys(name for _, scores in everything for name in scores.unread)
    if unread:
        notes.append(f"columns that no table has: {listing(unread)}")
    strangers = dict.fromkeys(image for _, scores in everything for image in scores.images if image not in group_of)
    if strangers:
        count = counted(len(strangers), "image has", "images have")
        notes.append(f"{count} no group in {file.name}, not counted: {listing(strangers)}")
    unknown = sorted({loss for losses in by_case.values() for loss in losses if loss not in LOSSES})
    if unknown:
        notes.append(f"losses that have no short name, called by their folder: {listing(unknown)}")
    column = COLUMNS["HD95"]
    empty = sum(
        int((scores.columns[column] == NO_DISTANCE).sum()) for _, scores in everything if column in scores.columns
    )
    if empty:
        notes.append(f"{empty} empty predictions (HD95 {NO_DISTANCE:.0f}) count with √2·511 = {DIAGONAL:.2f} pixels")
    return notes


def _notes_on_case(case: Case, losses: Mapping[str, Measured]) -> list[str]:
    """Say where the losses of one table don't stand on the same images, seeds and scores."""
    notes = []
    if REFERENCE not in losses:
        notes.append(f"{case}: no {REFERENCE}: nothing to compare the other losses with, so no p and nothing bold")
    most = max(len(set(one.seeds)) for one in losses.values())
    fewer = {loss: len(set(one.seeds)) for loss, one in losses.items() if len(set(one.seeds)) < most}
    if fewer:
        told = ", ".join(f"{loss} {count}" for loss, count in fewer.items())
        notes.append(f"{case}: fewer than {most} seeds: {told}")
    everywhere = {image for one in losses.values() for image in one.images}
    for loss, one in losses.items():
        absent = len(set(one.seeds)) * len(everywhere) - len(one.images)
        if absent:
            notes.append(f"{case}: {loss}: {absent} results of single images are missing")
        lacking = ood_groups({group for other in losses.values() for group in other.groups} - set(one.groups))
        if lacking and ood_groups(one.groups):
            notes.append(
                f"{case}: {loss}: no images of {listing(lacking)}: its OOD numbers are means over fewer groups"
            )
    for metric in METRICS:
        missing = {loss: len(one.images) for loss, one in losses.items() if metric.name not in one.values}
        undefined = {
            loss: int(np.isnan(one.values[metric.name]).sum()) for loss, one in losses.items() if loss not in missing
        }
        if 0 < len(missing) < len(losses):
            notes.append(f"{case}: no {metric.name} of {listing(missing)}")
        gaps = [f"{loss} {count}" for loss, count in undefined.items() if count]
        if gaps:
            notes.append(
                f"{case}: {metric.name} is empty or NaN in some rows, which are left out: {listing(gaps, limit=12)}"
            )
    reference = losses.get(REFERENCE)
    unpaired = [
        loss for loss, one in losses.items() if reference is not None and not set(one.pairs) & set(reference.pairs)
    ]
    if unpaired:
        notes.append(f"{case}: no image and seed in common with {REFERENCE}, so no p: {listing(unpaired)}")
    return notes


def _image_rank(image: str) -> tuple[int, int, str]:
    return (0, int(image), "") if image.lstrip("+-").isdecimal() else (1, 0, image)


def _rank(name: str, known: Sequence[str]) -> tuple[int, str]:
    return (known.index(name) if name in known else len(known), name)


def _loss_rank(loss: str) -> tuple[int, str]:
    return _rank(loss, tuple(LOSSES))


def _group_rank(group: str) -> tuple[int, str]:
    return _rank(group, (ID_GROUP,))


def _case_rank(case: Case) -> tuple[tuple[int, str], ...]:
    return (_rank(case.framework, FRAMEWORKS), _rank(case.labels, LABELS), _rank(case.size, SIZES))


def ood_groups(groups: Iterable[str]) -> tuple[str, ...]:
    """Return the groups that are out of distribution, each once, by name."""
    return tuple(sorted(set(groups) - {ID_GROUP}))
