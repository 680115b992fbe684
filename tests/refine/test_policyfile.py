"""``policy.json``: policy and thresholds of pseudo masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wsss.errors import InvalidInput
from wsss.refine.policyfile import POLICY_FILE, read_policy, write_policy
from wsss.refine.thresholds import Adaptive, Fixed


def test_a_round_trip(tmp_path: Path) -> None:
    for policy, thresholds in ((Adaptive(name="otsu"), {1: 0.25, 3: 0.5}), (Fixed(name="fixed"), None)):
        write_policy(tmp_path, policy, thresholds)
        assert read_policy(tmp_path, (1, 3)) == (policy, thresholds)


@pytest.mark.parametrize(
    ("thresholds", "named"),
    [({"1": float("nan")}, "NaN"), ({"1": 1.5}, "{1: 1.5}"), ({"1": 0.5}, "class 2"), (None, "class 1, 2")],
)
def test_invalid_thresholds_are_refused(tmp_path: Path, thresholds: Any, named: str) -> None:
    stored = {"policy": Adaptive(name="otsu").model_dump(), "thresholds": thresholds}
    (tmp_path / POLICY_FILE).write_text(json.dumps(stored))
    with pytest.raises(InvalidInput) as error:
        read_policy(tmp_path, (1, 2))
    assert error.value.subject == str(tmp_path / POLICY_FILE) and named in error.value.problem
