"""Hashes of the files that a result was computed from.

An identity consists of configs, seeds and data. On one machine it determines the bytes of the result, but
repeating a training run with a different number of threads, on another machine or on a GPU gives different weights with
the same identity. Therefore the record of a stage also holds a hash of the files of each input, and a stage re-runs if
they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsss.errors import listing
from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.stage import Artifact
from wsss.pipeline.store.stage_folder import INPUT_RESULTS

Results = Mapping[str, str | Mapping[str, str | None] | None]
"""Input → hash of its files; ``None`` if unknown."""


def results_of(inputs: Mapping[str, Artifact | tuple[Artifact, ...] | None]) -> Results:
    """Return the hashes of a stage's inputs; external folders are part of the identity by content."""
    return {name: _result(artifact) for name, artifact in inputs.items() if artifact is not None}


def follow_inputs(decision: Decision, results: Results) -> Decision:
    """Return the decision for a stage, given the current content of its inputs.

    Args:
        decision: follows from its identity and its own files.
        results: hashes of its inputs, if known.

    Returns:
        The same decision, or to run from scratch if work to be kept was computed from other bytes.
    """
    if not decision.keep:
        return decision
    before = (decision.record or {}).get(INPUT_RESULTS) or {}
    changed = [name for name in results if _differs(before.get(name), results[name])]
    if not changed:
        return decision
    return Decision("run", (f"input {listing(changed)}: re-run with a different result",), record=decision.record)


def _result(artifact: Artifact | tuple[Artifact, ...]) -> str | dict[str, str | None] | None:
    if isinstance(artifact, tuple):
        return {part.id or str(index): part.result for index, part in enumerate(artifact)}
    return artifact.result


def _differs(before: Any, now: Any) -> bool:
    """Return whether two hashes are known and differ; for inputs of several stages, whether any two do."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return any(_differs(before.get(id), result) for id, result in now.items())
    return before is not None and now is not None and before != now
