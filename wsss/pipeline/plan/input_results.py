"""Which bytes of its inputs a result was made from.

An identity says what a result was computed from by configs, seeds and data. On one machine that fixes the bytes, but a
training that is made again with another number of threads, on another machine or on a GPU has other weights under the
same identity. So the record of a stage also keeps a hash of each input's files: what was made from other bytes is made
again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from wsss.errors import listing
from wsss.pipeline.plan.decide import Decision
from wsss.pipeline.stage import Artifact

INPUT_RESULTS = "input_results"
"""Key of ``stage.json``: input → hash, or for an input of several stages id → hash."""

Results = Mapping[str, str | Mapping[str, str | None] | None]
"""Input → hash of its files; ``None`` where it isn't known."""


def result_of(record: Mapping[str, Any] | None) -> str | None:
    """Return a hash of a finished stage's files; ``None`` for an unfinished one, and where no hashes are recorded."""
    artifacts = (record or {}).get("artifacts") or {}
    if record is None or record.get("status") != "done":
        return None
    digests = {name: known.get("sha256") for name, known in artifacts.items()}
    if not all(digests.values()):
        return None
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def results_of(inputs: Mapping[str, Artifact | tuple[Artifact, ...] | None]) -> Results:
    """Return the hashes of a stage's inputs; a folder without a record counts by its content in the identity."""
    return {name: _result(artifact) for name, artifact in inputs.items() if artifact is not None}


def follow_inputs(decision: Decision, results: Results) -> Decision:
    """Return what is to be done with a stage, given what its inputs hold now.

    Args:
        decision: what its identity and its own files lead to.
        results: hashes of its inputs, as far as they are known.

    Returns:
        The same decision; or, where earlier work was to be kept that was made from other bytes, to run from scratch.
    """
    if not decision.keep:
        return decision
    before = (decision.record or {}).get(INPUT_RESULTS) or {}
    changed = [name for name in results if _differs(before.get(name), results[name])]
    if not changed:
        return decision
    reason = f"input {listing(changed)}: made again, with another result"
    return Decision("run", (reason,), record=decision.record)


def _result(artifact: Artifact | tuple[Artifact, ...]) -> str | dict[str, str | None] | None:
    if isinstance(artifact, tuple):
        return {one.id or str(index): one.result for index, one in enumerate(artifact)}
    return artifact.result


def _differs(before: Any, now: Any) -> bool:
    """Tell whether two hashes are known and differ; of several stages: whether any two do."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return any(_differs(before.get(id), result) for id, result in now.items())
    return before is not None and now is not None and before != now
