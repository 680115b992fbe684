"""Corrupted files and texts of every kind are read, or refused with an error for the user."""

from __future__ import annotations

import pytest
from fuzzing import fuzz
from fuzztargets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_few_corrupted_inputs(target: Target) -> None:
    failures = fuzz(target, max(1, target.quick // 25), seed=1)
    assert not failures, "\n".join(failures[:5])


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_corrupted_inputs(target: Target) -> None:
    failures = fuzz(target, target.quick, seed=0)
    assert not failures, "\n".join(failures[:5])
