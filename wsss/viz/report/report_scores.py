"""The scores of a report with their provenance, and per-class tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsss.data.dataset import GROUND_TRUTH
from wsss.viz.drawing.formatting import number, plain, words
from wsss.viz.report.run_overview import StageRecord, maps_of, masks_of, recipes_of, segmenter_of

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset

MEASURES = ("miou", "precision", "recall", "pixel_accuracy")
STATED = ("split", "images", "threshold_policy", "crf", "scales", "initial_weights", "supervision")
"""The facts shown for every score; missing ones are shown as ``not recorded``."""

WEAK, FULL = "image-level labels", "ground-truth masks"


@dataclass(frozen=True)
class Fact:
    """One fact about the measurement of a score."""

    name: str
    value: str
    stated: bool = True


@dataclass(frozen=True)
class Score:
    """The result of one score stage.

    Args:
        masks: the stage whose masks were measured, ``None`` for an external folder.
        maps: the stage whose maps were measured at their best threshold, if any.
        miou, precision, recall, pixel_accuracy: in [0, 1], ``None`` if undefined.
        iou: per class, ``None`` for a class without pixels in the ground truth.
        facts: split, images, threshold policy and so on.
        oracle: ground truth was used to make the measured masks.
        supervision: `WEAK`, `FULL`, other text, or ``None`` if not recorded.
        segmenter: whether the masks come from a segmentation network, not from CAMs.
        training_split: the split that this network was trained on, if recorded.
        recipe: hash of all stages and settings that led to the score, without seeds; equal for repeated runs.
    """

    id: str
    masks: str | None
    split: str
    miou: float | None
    precision: float | None
    recall: float | None
    pixel_accuracy: float | None
    iou: Mapping[str, float | None]
    facts: tuple[Fact, ...]
    oracle: bool
    supervision: str | None
    segmenter: bool
    maps: str | None = None
    training_split: str | None = None
    recipe: str | None = None


def scores_of(records: Sequence[StageRecord], data: Dataset | None = None) -> tuple[Score, ...]:
    """Return the scores among the records, in order.

    Args:
        data: states the kind of masks of its splits, which records of earlier versions call ground truth.
    """
    recipes = recipes_of(records)
    return tuple(_score(record, records, recipes[record.id], data) for record in records if record.is_score)


def is_oracle(*values: Any) -> bool:
    """Return whether metrics or provenance mention an oracle at any depth, in a text or as a key with a true value."""
    return any(_mentions_oracle(value) for value in values)


def _mentions_oracle(value: Any) -> bool:
    if isinstance(value, str):
        return "oracle" in value.lower()
    if isinstance(value, Mapping):
        return any(
            _mentions_oracle(entry) or ("oracle" in str(key).lower() and bool(entry)) for key, entry in value.items()
        )
    if isinstance(value, Sequence):
        return any(_mentions_oracle(entry) for entry in value)
    return False


def depends_on_truth(metrics: Mapping[str, Any], provenance: Mapping[str, Any]) -> bool:
    """Return whether ground-truth masks influenced the result of a stage, by its metrics and provenance."""
    supervision = provenance.get("supervision")
    return is_oracle(metrics, provenance) or is_full(supervision and str(supervision))


@dataclass(frozen=True)
class ClassRow:
    """The IoU of one class in each score, and whether the class has no pixels in its ground truth."""

    name: str
    values: tuple[float | None, ...]
    unsupported: tuple[bool, ...]


def class_table(scores: Sequence[Score]) -> tuple[ClassRow, ...]:
    """Return a row per class, in order of occurrence; a score without the class has a gap."""
    names = dict.fromkeys(name for score in scores for name in score.iou)
    return tuple(
        ClassRow(
            name,
            tuple(score.iou.get(name) for score in scores),
            tuple(name in score.iou and score.iou[name] is None for score in scores),
        )
        for name in names
    )


def _score(record: StageRecord, records: Sequence[StageRecord], recipe: str, data: Dataset | None) -> Score:
    metrics = record.metrics
    carried = metrics.get("provenance")
    provenance = {**(carried if isinstance(carried, Mapping) else {}), **record.provenance}
    known = {**provenance, **{key: value for key, value in metrics.items() if value is not None}}
    measured = {name: fraction(metrics.get(name)) for name in MEASURES}
    network = segmenter_of(record, records)
    split = None if network is None else network.config.get("split")
    if (
        data is not None
        and isinstance(split, str)
        and split in data.mask_kinds
        and known.get("supervision") == GROUND_TRUTH
    ):
        known["supervision"] = data.mask_supervision(split)
    supervision = None if known.get("supervision") is None else plain(known["supervision"])
    masks = masks_of(record, records)
    maps = None if masks else maps_of(record, records)
    return Score(
        id=record.id,
        masks=masks.id if masks else None,
        maps=maps.id if maps else None,
        split=str(known.get("split", "")),
        iou={str(name): fraction(value) for name, value in metrics["iou"].items()},
        facts=tuple(_facts(known, provenance, is_full(supervision))),
        oracle=is_oracle(metrics, provenance),
        supervision=supervision,
        segmenter=network is not None,
        training_split=None if split is None else str(split),
        recipe=recipe,
        **measured,
    )


def _facts(known: Mapping[str, Any], provenance: Mapping[str, Any], full: bool) -> Iterator[Fact]:
    """Yield the facts in `STATED`, then the rest of the provenance."""
    shown = set()
    for key in STATED:
        matching = [name for name, value in known.items() if _states(name, value, key)]
        shown.update(matching)
        for name in matching:
            yield Fact(words(name), plain(known[name]))
        if not matching and key == "crf" and provenance:
            yield Fact("CRF", "none")
        elif not matching and key == "threshold_policy" and full:
            yield Fact(words(key), "none (no CAM was thresholded)")
        elif not matching:
            yield Fact(words(key), "not recorded", stated=False)
    for key in (*provenance, "uncertain_fraction", "uncertain_counted_as"):
        if key not in shown and known.get(key) is not None:
            shown.add(key)
            yield Fact(words(key), number(known[key]) if key == "uncertain_fraction" else plain(known[key]))


def _states(name: str, value: Any, key: str) -> bool:
    """Return whether a recorded fact states ``key``: ``crf_preset`` states crf, ``cam: {scales: …}`` states scales."""
    if key not in ("crf", "scales"):
        return name == key
    return key in name.split("_") or (key == "scales" and isinstance(value, Mapping) and key in value)


def fraction(value: Any) -> float | None:
    """Return a recorded score as a number; ``None`` for other values."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def is_full(supervision: str | None) -> bool:
    """Return whether a network was trained on pixel masks."""
    return supervision is not None and ("ground" in supervision.lower() or "full" in supervision.lower())
