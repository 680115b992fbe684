"""Settings of every loss: with every base loss, and with the options that change which pixels it reads."""

from __future__ import annotations

from typing import Any

from wsss.losses import Loss, build
from wsss.losses.catalogue import LOSSES, loss_class
from wsss.losses.config import TermConfig

BASES = ("ce", "dice", "ce_dice")

_SMALL = {"topo": {"window": 8, "margin": 1.0, "d_min": 2.0, "d_max": 4.0, "alpha": 1.0}, "topoloss": {"patch": 5}}
"""Settings with which images of a few pixels have a term."""

_VARIANTS: list[dict[str, Any]] = [
    {"name": "ce", "label_smoothing": 0.1},
    {"name": "dice", "per_image": True, "absent": "count"},
    {"name": "dice", "background": False},
    {"name": "betti_matching", "frame": "own-max", "essential": "match", "filtration": "bothlevel"},
    {"name": "betti_matching", "crop": 4, "stride": 6, "background": True, "absent": "skip"},
    {"name": "cldice", "per_image": True},
    {"name": "topo", "gaps": "close", **_SMALL["topo"]},
    {"name": "topoloss", "patch": 4, "frame": "none"},
    {"name": "warping", "mean_over": "critical", "connectivity": 8},
    {"name": "cbdice", "weighting": "linear"},
    {"name": "skeleton_recall", "dilations": 0},
    {"name": "region_wise", "cache_mb": 0},
]


def every_config() -> list[dict[str, Any]]:
    """Return the settings of each loss: alone, with each base loss, as a term alone, and with other options."""
    configs: list[dict[str, Any]] = []
    for name in LOSSES:
        kind = loss_class(name).config_type
        own = {"name": name, **_SMALL.get(name, {})}
        if issubclass(kind, TermConfig):
            configs += [{**own, "base": {"name": base}} for base in BASES]
        else:
            configs.append(own)
        if "base_weight" in kind.model_fields:
            configs.append({**own, "base_weight": 0, "alpha": 1})
    return configs + _VARIANTS


def built(settings: dict[str, Any]) -> Loss:
    """Build a loss from its settings."""
    return build(settings["name"], **settings)


def label(settings: dict[str, Any]) -> str:
    """Return a test's id for settings of `every_config`."""
    base = settings.get("base", {}).get("name")
    alone = "alone" if settings.get("base_weight") == 0 else None
    options = [f"{key}={value}" for key, value in settings.items() if settings in _VARIANTS and key != "name"]
    return "-".join(str(part) for part in (settings["name"], base, alone, *options) if part)
