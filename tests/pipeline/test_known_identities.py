"""The identity of every stage with its defaults, as in existing runs.

If a value changes, all finished stages of this kind run again, and all that depend on them. If that is intended, raise
the stage's version, and state it in CHANGELOG. A setting or an input that does not change results by default is marked
with `InIdentityIfSet` or ``in_identity_if_set``, and changes no value.
"""

from __future__ import annotations

from dataclasses import replace

from wsss.pipeline.plan.identity import Contents, Fingerprints, identity_of, identity_parts
from wsss.stages import STAGES

KNOWN = {
    "tiles": "4f99e5c3a15d",
    "classify": "a8259b5dbbf1",
    "expand": "6913f3a63ce7",
    "shrink": "58e491593dd3",
    "cam": "19a25ea4a52f",
    "clip": "6c6b80a05356",
    "colour": "1d197233c241",
    "average": "0e6d23710526",
    "affinity": "7b3444152097",
    "propagate": "651596f247db",
    "par": "c87bdfd4b88a",
    "pseudo": "7eff03ee7867",
    "crf": "75e405a211ed",
    "snap": "f5ee61176a5e",
    "segment": "6a38993ceb99",
    "scales": "e84fc0ad4b4e",
    "calibrate": "bf533a955a9d",
    "predict": "376d6a55b9e4",
    "score": "17ed9667b68b",
    "sweep": "bdcb6e904095",
    "compare": "9f97abb682b8",
    "bench": "bb23dd8eda93",
    "report": "fa446ad629c6",
}


def test_identities_are_those_of_existing_runs() -> None:
    found = {}
    for name in STAGES:
        stage = replace(STAGES[name], reads=lambda config: ())
        parts = identity_parts(stage, stage.config(), 0, {}, Fingerprints(None), Contents())
        found[name] = identity_of(parts)[:12]
    assert found == KNOWN
