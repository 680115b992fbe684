"""Direction of improvement of every measure: whether higher or lower values are better."""

from __future__ import annotations

from typing import Literal

Direction = Literal["higher", "lower"]

DIRECTIONS: dict[str, Direction] = {
    **dict.fromkeys(("miou", "iou", "precision", "recall", "pixel_accuracy", "dice", "cldice"), "higher"),
    **dict.fromkeys(("foreground_precision", "foreground_recall"), "higher"),
    **dict.fromkeys(("map", "f1", "average_precision", "val_map", "val_f1", "val_average_precision"), "higher"),
    **dict.fromkeys(("betti0_error", "betti1_error", "local_betti0_error", "local_betti1_error"), "lower"),
    **dict.fromkeys(("betti_matching_error", "betti_matching_error_dim0", "betti_matching_error_dim1"), "lower"),
    **dict.fromkeys(("hd95", "train_loss", "val_loss", "loss", "empty_masks", "seconds"), "lower"),
}
"""Measure → better direction. Other measures (numbers of images, fractions of pixels) have none."""


def direction(measure: str) -> Direction | None:
    """Return the better direction of a measure, or ``None``.

    Args:
        measure: key of a metric, also nested (``iou.cat``, ``structure.classes.cat.hd95.mean``) or with a condition
            (``recall at precision ≥ 0.5``). Standard deviations have no direction.
    """
    *_, last = parts = measure.partition(" at ")[0].split(".")
    if last in ("std", "images"):
        return None
    return next((DIRECTIONS[part] for part in reversed(parts) if part in DIRECTIONS), None)


def verdict(measure: str, difference: float) -> Literal["better", "worse"] | None:
    """Return whether a difference is an improvement; ``None`` for no difference or no direction."""
    better = direction(measure)
    if better is None or not difference:
        return None
    return "better" if (difference > 0) == (better == "higher") else "worse"
