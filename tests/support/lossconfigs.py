"""Every loss with every base loss, and with the options that change which pixels a loss reads."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from wsss.losses.base import Loss, build_loss
from wsss.losses.catalogue import LOSSES
from wsss.losses.config import LossConfig, TermConfig

BASES = ("ce", "dice", "ce_dice")

_CLASSES = {name: type(TypeAdapter(LossConfig).validate_python({"name": name})) for name in LOSSES}

_SMALL = {
    "topo": {"window": 8, "margin": 1.0, "d_min": 2.0, "d_max": 4.0, "alpha": 1.0},
    "topoloss": {"patch": 5},
}
"""Settings with which images of a few pixels have a term."""

_VARIANTS: list[dict[str, Any]] = [
    {"name": "ce", "label_smoothing": 0.1},
    {"name": "dice", "per_image": True, "absent": "count"},
    {"name": "dice", "background": False},
    {"name": "betti_matching", "frame": "own-max", "essential": "match", "filtration": "bothlevel"},
    {"name": "betti_matching", "crop": 4, "stride": 6, "background": True, "absent": "skip"},
    {"name": "topo", "gaps": "close", **_SMALL["topo"]},
    {"name": "topoloss", "patch": 4, "frame": "none"},
    {"name": "warping", "mean_over": "critical", "connectivity": 8},
    {"name": "cbdice", "weighting": "linear"},
    {"name": "skeleton_recall", "tube": 0},
    {"name": "region_wise", "cache_mb": 0},
]


def every_config() -> list[dict[str, Any]]:
    """Return the settings of each loss: alone, with each base loss, as a term alone, and with other options."""
    found: list[dict[str, Any]] = []
    for name, kind in _CLASSES.items():
        own = {"name": name, **_SMALL.get(name, {})}
        if issubclass(kind, TermConfig):
            found += [{**own, "base": {"name": base}} for base in BASES]
        else:
            found.append(own)
        if "base_weight" in kind.model_fields:
            found.append({**own, "base_weight": 0, "alpha": 1})
    return found + _VARIANTS


def built(keys: dict[str, Any]) -> Loss:
    """Build a loss from its settings."""
    return build_loss(TypeAdapter(LossConfig).validate_python(keys))


def label(keys: dict[str, Any]) -> str:
    """Return a test's id for settings of `every_config`."""
    base = keys.get("base", {}).get("name")
    alone = "alone" if keys.get("base_weight") == 0 else None
    options = [f"{key}={value}" for key, value in keys.items() if keys in _VARIANTS and key != "name"]
    return "-".join(str(part) for part in (keys["name"], base, alone, *options) if part)
