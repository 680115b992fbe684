"""Precision of the network in stages that do not train it."""

from __future__ import annotations

from typing import Any, cast

from wsss.models.config import InferencePrecision
from wsss.pipeline.stage import Context


def used_precision(ctx: Context[Any]) -> InferencePrecision:
    """Return the precision in which all images of the stage are computed; the config may request a different one."""
    return cast("InferencePrecision", ctx.precision or ctx.config.precision)


def stated_precision(ctx: Context[Any]) -> dict[str, str]:
    """Return an entry for the provenance with the precision used, if not the default was requested."""
    return {} if ctx.config.precision == "32-true" else {"precision": used_precision(ctx)}
