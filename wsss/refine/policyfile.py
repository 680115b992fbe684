"""``policy.json``: the background policy of pseudo masks, with its thresholds over the dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wsss.errors import InvalidInput, listing
from wsss.io.files.atomic import write_json
from wsss.io.files.json_files import read_json
from wsss.io.files.recorded import check_recorded
from wsss.io.text.typed_json import typed
from wsss.refine.thresholds import Adaptive, Policy

POLICY_FILE = "policy.json"


def write_policy(folder: Path, policy: Policy, thresholds: Mapping[int, float] | None) -> None:
    """Write ``policy.json`` into a folder of pseudo masks, atomically; `crf` applies it again to the maps.

    Args:
        thresholds: class index → threshold of an adaptive policy over the dataset; ``None`` for others.
    """
    write_json(folder / POLICY_FILE, {"policy": policy.model_dump(), "thresholds": thresholds})


def read_policy(folder: Path, classes: Iterable[int] = ()) -> tuple[Policy, dict[int, float] | None]:
    """Read and validate ``policy.json``.

    Args:
        folder: folder of pseudo masks.
        classes: indices (≥ 1) of classes that need a threshold.

    Raises:
        InvalidInput: the file is missing or broken, or a threshold is missing or not in [0, 1].
    """
    path = folder / POLICY_FILE
    if not path.is_file():
        raise InvalidInput(
            f"no {POLICY_FILE}; maps can be used only with masks of a pseudo stage",
            subject=folder,
            hint="Omit --cams to refine other masks.",
        )
    check_recorded(path)
    hint = "Re-run the pseudo stage."
    try:
        stored = read_json(path)
        policy: Policy = typed(Policy, stored["policy"])
        thresholds = _thresholds(stored["thresholds"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"not a background policy ({error})", subject=path, hint=hint) from error
    if isinstance(policy, Adaptive) and policy.scope == "dataset":
        missing = [index for index in classes if index not in (thresholds or {})]
        if thresholds is None or missing:
            what = f"of class {listing(missing)}" if missing else f"for the policy {policy.name} over the dataset"
            raise InvalidInput(f"no threshold {what}", subject=path, hint=hint)
    return policy, thresholds


def _thresholds(stored: Any) -> dict[int, float] | None:
    if stored is None:
        return None
    thresholds = {int(index): float(value) for index, value in stored.items()}
    invalid = {index: value for index, value in thresholds.items() if not 0 <= value <= 1}  # NaN fails both
    if invalid:
        raise ValueError(f"thresholds: expected numbers in [0, 1], got {invalid}")
    return thresholds
