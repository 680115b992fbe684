"""Which images a report shows: the worst first, then a random draw, then the best; without scores, contradictions."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wsss.errors import InvalidInput
from wsss.io.files.recorded import check_recorded
from wsss.io.text.tables import read_table
from wsss.viz.report.report_scores import Score, is_full

if TYPE_CHECKING:
    from wsss.data.sample import Sample

PER_IMAGE = "per_image.csv"
Reason = Literal["worst", "random", "best", "contradicts labels", "spread"]


@dataclass(frozen=True)
class Pick:
    """One image to show, and why: by its score or by chance; without scores, since its mask contradicts its labels, or
    evenly spread over the split.
    """

    sample: Sample
    split: str
    reason: Reason


def read_per_image(folder: Path) -> dict[str, float]:
    """Return image id → mIoU from ``per_image.csv`` of a score stage; images without one are left out.

    Raises:
        InvalidInput: the file lacks a column, or holds something that is not a number.
    """
    path = folder / PER_IMAGE
    if not path.is_file():
        return {}
    check_recorded(path)
    rows = read_table(path)
    missing = sorted({"image_id", "miou"} - rows[0].keys()) if rows else []
    if missing:
        raise InvalidInput(f"{path}: no column {', '.join(missing)}.")
    try:
        values = {row["image_id"]: float(row["miou"]) for row in rows if row["miou"]}
    except ValueError as error:
        raise InvalidInput(f"{path}: column 'miou': {error}.") from error
    return {image: value for image, value in values.items() if math.isfinite(value)}


def distinct(splits: Mapping[str, Sequence[Sample]]) -> dict[str, Sequence[Sample]]:
    """Return splits of which no two show the same images, in order.

    Datasets may offer one set of images under several names: the groups of a test set beside the whole of it, a small
    training set inside the large one, the same images with other masks. A split that smaller, disjoint ones make up
    is left out for them; then those that lie inside another one, or equal an earlier one.
    """
    ids = {name: frozenset(sample.id for sample in samples) for name, samples in splits.items()}
    parted = {name for name in ids if _parts(name, ids) >= 2}
    kept = [name for name in ids if name not in parted]
    inside = {
        name
        for place, name in enumerate(kept)
        for other_place, other in enumerate(kept)
        if ids[name] < ids[other] or (ids[name] == ids[other] and other_place < place)
    }
    return {name: splits[name] for name in kept if name not in inside}


def _parts(name: str, ids: Mapping[str, frozenset[str]]) -> int:
    """Return how many smaller disjoint splits make up a split; 0 where none do."""
    left, parts = ids[name], 0
    for other, several in ids.items():
        if other != name and several and several < ids[name] and several <= left:
            left, parts = left - several, parts + 1
    return 0 if left else parts


def ranking_score(scores: Sequence[Score], split: str, ranked: Collection[str]) -> Score | None:
    """Return the score to rank a split's images by: the last of the weakly supervised ones, without an oracle.

    Args:
        scores: all scores in pipeline order.
        split: name of the split.
        ranked: ids of the score stages that have values per image.
    """
    fit = [score for score in scores if score.split == split and score.id in ranked]
    # False sorts before True, and the sort is stable: of equally good ones the last remains last.
    fit.sort(key=lambda score: (not score.oracle, not is_full(score.supervision)))
    return fit[-1] if fit else None


def choose(
    splits: Mapping[str, Sequence[Sample]],
    count: int,
    seed: int,
    values: Mapping[str, Mapping[str, float]],
    flagged: Sequence[str] = (),
) -> tuple[Pick, ...]:
    """Choose about equally many images of each split, ``count`` in all.

    Args:
        splits: split name → the samples that can be shown.
        count: how many images, at most.
        seed: of the random draw; each split draws on its own.
        values: split name → image id → score.
        flagged: ids of images whose masks contradict their labels, worst first.

    Returns:
        Per split, in order: a third the worst (worst first), a third at random, a third the best (best first). Without
        scores up to a third the flagged ones, and the others at even distances.
    """
    picks: list[Pick] = []
    for name, share in shares({name: len(samples) for name, samples in splits.items()}, count).items():
        samples = splits[name]
        scored = [sample for sample in samples if sample.id in values.get(name, {})]
        if not scored:
            known = {sample.id: sample for sample in samples}
            marked = [known[one] for one in flagged if one in known][: -(-share // 3)]
            rest = [sample for sample in samples if sample not in marked]
            picks += [Pick(sample, name, "contradicts labels") for sample in marked]
            picks += [Pick(sample, name, "spread") for sample in _spread(rest, share - len(marked))]
            continue
        ranked = sorted(scored, key=lambda sample: (values[name][sample.id], sample.id))
        ends = min(share, len(ranked))
        worst, best = ranked[: -(-ends // 3)], ranked[len(ranked) - ends // 3 :][::-1]
        taken = {sample.id for sample in (*worst, *best)}
        rest = [sample for sample in samples if sample.id not in taken]
        drawn = random.Random(f"{seed}:{name}").sample(rest, min(len(rest), share - len(taken)))
        picks += [Pick(sample, name, "worst") for sample in worst]
        picks += [Pick(sample, name, "random") for sample in drawn]
        picks += [Pick(sample, name, "best") for sample in best]
    return tuple(picks)


def shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """Deal ``count`` places out to splits evenly; what a small one has no images for goes to the others."""
    dealt = dict.fromkeys(sizes, 0)
    for place, name in enumerate(sorted(sizes, key=lambda one: sizes[one])):
        dealt[name] = min(sizes[name], (count - sum(dealt.values())) // (len(sizes) - place))
    return dealt


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    return [samples[place * len(samples) // count] for place in range(count)]
