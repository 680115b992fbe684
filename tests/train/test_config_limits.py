"""Sizes that would exhaust memory are errors of the config."""

from __future__ import annotations

import pytest

from wsss.errors import InvalidInput
from wsss.stages import STAGES
from wsss.validation import validate


@pytest.mark.parametrize(
    ("stage", "config"),
    [
        ("segment", {"batch_size": 1_000_000_000}),
        ("segment", {"accumulate": 1_000_000_000}),
        ("classify", {"batch_size": 20_000}),
        ("cam", {"batch_size": 1_000_000_000}),
        ("predict", {"batch_size": 1_000_000_000}),
        ("classify", {"convnet": {"widths": [8, 800_000]}}),
        ("segment", {"head": "dynunet", "unet": {"levels": 3, "filters": [4, 8, 800_000]}}),
        ("expand", {"sampler": {"reduction": 1_000_000_000}}),
        ("shrink", {"sampler": {"reduction": 1_000_000_000}}),
        ("segment", {"head_channels": 1_000_000}),
        ("segment", {"head": "deeplabv3", "atrous_rates": [0, 6]}),
        ("crf", {"iterations": 1_000_000_000}),
        ("affinity", {"channels": 1_000_000}),
        ("propagate", {"radius": 1_000}),
        ("propagate", {"steps": 1_000_000_000}),
    ],
)
def test_sizes_out_of_range(stage: str, config: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(STAGES[stage].config, config, where=stage)
    assert str(error.value.subject).startswith(f"{stage}.{next(reversed(config))}")
