"""Odd files and texts of every kind that is read end well, or with an error that is meant for people."""

from __future__ import annotations

import pytest
from fuzzing import fuzz
from fuzztargets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_odd_inputs(target: Target) -> None:
    failures = fuzz(target, target.quick, seed=0)
    assert not failures, "\n".join(failures[:5])
