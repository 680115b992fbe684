"""Precision of the network in stages that do not train it."""

from __future__ import annotations

from typing import Any

from wsss.models.config import InferencePrecision
from wsss.pipeline.stage import Context


def usable_precision(ctx: Context[Any]) -> InferencePrecision:
    """Return ``precision`` of the stage, or ``32-true``, with a note, if the device would have to emulate it."""
    from wsss.models.mixed_precision import has_bfloat16
    from wsss.train.runtime import torch_device

    wanted: InferencePrecision = ctx.config.precision
    if wanted == "32-true" or has_bfloat16(torch_device(ctx.device)):
        return wanted
    if ctx.ranks.rank == 0:
        ctx.log(
            f"note: {ctx.out.name}: computed in 32-true instead of {wanted}, because this device has no bfloat16 "
            "instructions and emulating them would be slower."
        )
    return "32-true"


def stated_precision(ctx: Context[Any], used: InferencePrecision) -> dict[str, str]:
    """Return an entry for the provenance with the precision used, if another than the default was requested."""
    return {} if ctx.config.precision == "32-true" else {"precision": used}
