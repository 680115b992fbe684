"""Ratios of the mIoU of weakly supervised networks to that of fully supervised ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from wsss.data.dataset import OF_THE_DATASET
from wsss.io.text.instance_ids import instance_id, read_instance_id
from wsss.viz.report.report_scores import Score, is_full

EXPECTED = frozenset({"supervision", "threshold policy", "CRF", "uncertain fraction", "calibrated"})
"""Facts that differ because of the supervision."""


@dataclass(frozen=True)
class Repeats:
    """Scores of runs with the same settings and different seeds, at least one.

    Args:
        name: the id that the scores share, with the matrix values that all of them have.
        miou: mean over the scores.
    """

    scores: tuple[Score, ...]
    name: str
    miou: float

    @property
    def first(self) -> Score:
        """One of the scores, with the facts of all."""
        return self.scores[0]


@dataclass(frozen=True)
class Ratio:
    """Ratio of the mIoU of weakly supervised networks to that of fully supervised ones, on the same images."""

    weak: Repeats
    full: Repeats
    value: float
    differences: tuple[str, ...]


def ratios(scores: Sequence[Score]) -> tuple[Ratio, ...]:
    """Compare weakly with fully supervised networks that were scored on the same images and classes.

    Repeated runs are averaged over their seeds. Each is compared with the fully supervised networks that differ least
    from it; other differences (initial weights, loss, training split) are listed. Oracle scores are excluded, as are
    networks trained on noisy masks of the dataset.
    """
    usable = [score for score in scores if score.segmenter and score.miou and not score.oracle]
    weak = _repeats(score for score in usable if _is_weak(score.supervision))
    full = _repeats(score for score in usable if is_full(score.supervision))
    found = []
    for one in weak:
        pairs = [
            Ratio(one, other, one.miou / other.miou, _differences(one, other))
            for other in full
            if _measured_on(one.first) == _measured_on(other.first)
        ]
        fewest = min((len(pair.differences) for pair in pairs), default=0)
        found += [pair for pair in pairs if len(pair.differences) == fewest]
    return tuple(found)


def _repeats(scores: Iterable[Score]) -> list[Repeats]:
    """Group scores of equal recipes, in order of first occurrence."""
    groups: dict[object, list[Score]] = {}
    for score in scores:
        key = (score.id if score.recipe is None else score.recipe, score.supervision, _measured_on(score))
        groups.setdefault(key, []).append(score)
    return [
        Repeats(tuple(group), _name(group), fmean(score.miou for score in group if score.miou))
        for group in groups.values()
    ]


def _name(scores: Sequence[Score]) -> str:
    """Return the entry of the scores in the pipeline, with the matrix values that all of them have."""
    (entry, point), *others = (read_instance_id(score.id) for score in scores)
    shared = {axis: value for axis, value in point.items() if all(other.get(axis) == value for _, other in others)}
    return instance_id(entry, shared)


def _measured_on(score: Score) -> tuple[str, frozenset[str], str]:
    """Return split, classes and number of images of a score."""
    images = next(fact.value for fact in score.facts if fact.name == "images")
    return score.split, frozenset(score.iou), images


def _is_weak(supervision: str | None) -> bool:
    return supervision is not None and not is_full(supervision) and OF_THE_DATASET not in supervision


def _differences(weak: Repeats, full: Repeats) -> tuple[str, ...]:
    """Return the facts in which two groups differ, apart from supervision and its consequences."""
    ours, theirs = ({fact.name: fact.value for fact in one.first.facts if fact.stated} for one in (weak, full))
    differing = [name for name in ours if name not in EXPECTED and theirs.get(name, ours[name]) != ours[name]]
    if ("calibrated" in ours) != ("calibrated" in theirs):  # each has its own weight
        differing.append("calibration")
    if ("weight average" in ours) != ("weight average" in theirs):
        differing.append("moving average of the weights")
    splits = {weak.first.training_split, full.first.training_split} - {None}
    if len(splits) > 1:
        differing.append("training split")
    for axis in read_instance_id(weak.first.id)[1]:
        values = [{read_instance_id(score.id)[1].get(axis) for score in one.scores} for one in (weak, full)]
        if None not in values[1] and values[0].isdisjoint(values[1]):
            differing.append(axis)
    return tuple(dict.fromkeys(differing))
