"""Values of stored JSON files as dataclasses and models."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError


def typed(kind: Any, value: Any) -> Any:
    """Return ``value`` as ``kind``, a type that pydantic knows, such as a dataclass.

    Raises:
        ValueError: the value does not fit; one line with the key and the reason of each problem.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        problems = [(".".join(map(str, raw["loc"])), raw["msg"]) for raw in error.errors(include_url=False)]
        raise ValueError("; ".join(f"{key}: {text}" if key else text for key, text in problems)) from error
