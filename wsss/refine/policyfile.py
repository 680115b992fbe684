"""``policy.json`` of pseudo masks: the background policy that they were made by, with the thresholds it found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from wsss.errors import InvalidInput, listing
from wsss.io.files.atomic import write_json
from wsss.io.files.recorded import check_recorded
from wsss.io.text.json_files import read_json
from wsss.refine.thresholds import Adaptive, Fixed, Policy, Power

POLICY_FILE = "policy.json"

Thresholds = Mapping[int, float] | None
"""Class index → threshold of an adaptive policy over the dataset; ``None`` for all others."""


def write_policy(folder: Path, policy: Fixed | Power | Adaptive, thresholds: Thresholds) -> None:
    """Write ``policy.json`` into a folder of pseudo masks, atomically."""
    write_json(folder / POLICY_FILE, {"policy": policy.model_dump(), "thresholds": thresholds})


def read_policy(folder: Path, classes: Iterable[int] = ()) -> tuple[Fixed | Power | Adaptive, dict[int, float] | None]:
    """Read and validate ``policy.json``.

    Args:
        folder: of pseudo masks.
        classes: indices (≥ 1) of the classes to apply it to.

    Raises:
        InvalidInput: missing, broken, thresholds that aren't in [0, 1], or none of one of the classes.
    """
    path = folder / POLICY_FILE
    if not path.is_file():
        raise InvalidInput(
            f"{folder}: no {POLICY_FILE}; with maps given, the masks must come from the pseudo stage.",
            hint="Leave --cams out to refine masks of any origin.",
        )
    check_recorded(path)
    try:
        stored = read_json(path)
        policy = TypeAdapter(Policy).validate_python(stored["policy"])
        thresholds = _thresholds(stored["thresholds"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path}: not a background policy ({error}).", hint="Re-run the pseudo stage.") from error
    _require(policy, thresholds, classes, path)
    return policy, thresholds


def _thresholds(stored: Any) -> dict[int, float] | None:
    if stored is None:
        return None
    found = {int(index): float(value) for index, value in stored.items()}
    wrong = {index: value for index, value in found.items() if not 0 <= value <= 1}  # NaN is neither
    if wrong:
        raise ValueError(f"thresholds: expected numbers in [0, 1], got {wrong}")
    return found


def _require(
    policy: Fixed | Power | Adaptive, thresholds: dict[int, float] | None, classes: Iterable[int], path: Path
) -> None:
    """Require the thresholds that the policy applies to some classes."""
    if not isinstance(policy, Adaptive) or policy.scope != "dataset":
        return
    missing = [index for index in classes if index not in (thresholds or {})]
    if thresholds is None or missing:
        what = f"of class {listing(missing)}" if missing else f"for the policy {policy.name} over the dataset"
        raise InvalidInput(f"{path}: no threshold {what}.", hint="Re-run the pseudo stage with the same maps.")
