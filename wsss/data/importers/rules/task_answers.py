"""Which annotations of a Label Studio task are used if several people have annotated it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Answers = Mapping[int, dict[str, Any]]
"""Position among the annotations of a task → annotation."""


def submitted(annotations: Sequence[dict[str, Any]]) -> Answers:
    """Return the annotations that were not cancelled (skipped)."""
    return {at: answer for at, answer in enumerate(annotations) if not answer.get("was_cancelled")}


def decisive(answers: Answers) -> Answers:
    """Return the annotations that a reviewer marked as ground truth, or all if none is marked."""
    return {at: answer for at, answer in answers.items() if answer.get("ground_truth") is True} or answers
