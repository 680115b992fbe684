"""Ids of stages: ``segment`` or, with the values of a matrix, ``segment@loss=dice,seed=0``."""

from __future__ import annotations

from collections.abc import Mapping

Point = Mapping[str, str]
"""Axis → name of a value: one cell of the matrix, or of some of its axes."""


def instance_id(stage: str, point: Point) -> str:
    """Return ``segment@loss=dice,seed=0``, or ``segment`` for a stage that does not fan out."""
    return stage + ("@" + ",".join(f"{axis}={name}" for axis, name in point.items()) if point else "")


def read_instance_id(id: str) -> tuple[str, Point]:
    """Return stage and point of an id made by `instance_id`; any other string is a stage without a point."""
    stage, at, rest = id.partition("@")
    pairs = [part.partition("=") for part in rest.split(",")]
    point = {axis: name for axis, _, name in pairs}
    return (stage, point) if at and stage and instance_id(stage, point) == id else (id, {})
