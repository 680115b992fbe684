"""Stages that were finished before their config grew stay finished."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from wsss.pipeline.plan.identity import Contents, Fingerprints, identity_of, identity_parts
from wsss.stages import STAGES
from wsss.validation import validate


class NamedSplits:
    """A dataset whose fingerprints are names."""

    splits: dict[str, Any] = {}  # noqa: RUF012

    def fingerprint(self, split: str, kind: Literal["images", "labels", "masks"]) -> str:
        return f"{split}/{kind}"


@pytest.mark.parametrize(
    ("stage", "config", "identity"),
    [
        ("segment", {}, "7d6d9ae45083877d06da1f5aba53bfe69e96afc476b762ab7290622607a0e147"),
        (
            "segment",
            {"head": "deeplabv3", "epochs": 3, "optimiser": {"name": "sgd"}, "loss": {"name": "cldice"}},
            "22952ed02d76acdc1df6253bb1b02c6ad9f0d079cab5ed81a8b7e3490678d219",
        ),
        ("classify", {}, "16192f866e32bba67e0c37675314c511bb9076538b5bdc4f44924c4657687921"),
        (
            "classify",
            {"optimiser": {"name": "sgd"}},
            "136789a9fb52e8e4eb0962c75b64f39786a3a3c24709d73b483b0db1b5315b82",
        ),
    ],
)
def test_an_older_config_has_its_older_identity(stage: str, config: dict[str, Any], identity: str) -> None:
    """The identities that version 1 of these stages gave before heads, losses and training got further settings."""
    checked = validate(STAGES[stage].config, config, where=stage)
    parts = identity_parts(STAGES[stage], checked, 0, {}, Fingerprints(NamedSplits()), Contents())
    assert identity_of(parts) == identity
