"""Selection of the images in a report: worst, random and best; without scores, contradictions and an even spread."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wsss.errors import InvalidInput
from wsss.io.files.recorded import check_recorded
from wsss.io.files.stage_files import PER_IMAGE
from wsss.io.text.tables import read_table
from wsss.viz.report.report_scores import Score, is_full

if TYPE_CHECKING:
    from wsss.data.sample import Sample

Reason = Literal["worst", "random", "best", "contradicts labels", "spread"]


@dataclass(frozen=True)
class Pick:
    """One image to show, and the reason."""

    sample: Sample
    split: str
    reason: Reason


def read_per_image(folder: Path) -> dict[str, float]:
    """Return image id → mIoU from ``per_image.csv`` of a score stage; images without a score are omitted.

    Raises:
        InvalidInput: a missing column, or a score that is not a number.
    """
    path = folder / PER_IMAGE
    if not path.is_file():
        return {}
    check_recorded(path)
    rows = read_table(path)
    missing = sorted({"image_id", "miou"} - rows[0].keys()) if rows else []
    if missing:
        raise InvalidInput(f"no column {', '.join(missing)}", subject=path, found=list(rows[0]))
    try:
        values = {row["image_id"]: float(row["miou"]) for row in rows if row["miou"]}
    except ValueError as error:
        raise InvalidInput(str(error), subject=f"{path}: miou") from error
    return {image: value for image, value in values.items() if math.isfinite(value)}


def distinct(splits: Mapping[str, Sequence[Sample]]) -> dict[str, Sequence[Sample]]:
    """Return the splits without redundant ones, in order.

    Datasets may offer the same images under several names: a test set and its groups, a small training set inside a
    large one, the same images with other masks. Omitted are splits that are the union of smaller disjoint ones, then
    splits that are contained in another one or equal an earlier one.
    """
    ids = {name: frozenset(sample.id for sample in samples) for name, samples in splits.items()}
    kept = [name for name in ids if _parts(name, ids) < 2]
    return {
        name: splits[name]
        for index, name in enumerate(kept)
        if not any(ids[name] < ids[other] for other in kept)
        and not any(ids[name] == ids[other] for other in kept[:index])
    }


def _parts(name: str, ids: Mapping[str, frozenset[str]]) -> int:
    """Return the number of smaller disjoint splits whose union is a split; 0 if there are none."""
    rest, parts = ids[name], 0
    for other, several in ids.items():
        if other != name and several and several < ids[name] and several <= rest:
            rest, parts = rest - several, parts + 1
    return 0 if rest else parts


def ranking_score(scores: Sequence[Score], split: str, ranked: Collection[str]) -> Score | None:
    """Return the score that ranks the images of a split: the last one, preferably weakly supervised without oracle.

    Args:
        scores: all scores in pipeline order.
        ranked: ids of the score stages with scores per image.
    """
    candidates = [score for score in scores if score.split == split and score.id in ranked]
    # The sort is stable: among equals, the last one remains last.
    candidates.sort(key=lambda score: (not score.oracle, not is_full(score.supervision)))
    return candidates[-1] if candidates else None


def choose(
    splits: Mapping[str, Sequence[Sample]],
    count: int,
    seed: int,
    values: Mapping[str, Mapping[str, float]],
    flagged: Sequence[str] = (),
) -> tuple[Pick, ...]:
    """Choose about equally many images from each split, ``count`` in total.

    Args:
        splits: split name → candidate images.
        seed: random seed of the draw, which is independent for each split.
        values: split name → image id → score.
        flagged: ids of images whose masks contradict their labels, worst first.

    Returns:
        Per split, in order: one third the worst (worst first), one third at random, one third the best (best first).
        Without scores: up to one third flagged images, and the rest evenly spaced over the split.
    """
    picks: list[Pick] = []
    for name, share in shares({name: len(samples) for name, samples in splits.items()}, count).items():
        samples = splits[name]
        scored = [sample for sample in samples if sample.id in values.get(name, {})]
        if not scored:
            known = {sample.id: sample for sample in samples}
            marked = [known[id] for id in flagged if id in known][: -(-share // 3)]
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
    """Divide ``count`` evenly among splits; small splits leave their surplus to the others."""
    share = dict.fromkeys(sizes, 0)
    for index, name in enumerate(sorted(sizes, key=lambda name: sizes[name])):
        share[name] = min(sizes[name], (count - sum(share.values())) // (len(sizes) - index))
    return share


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    return [samples[index * len(samples) // count] for index in range(count)]
