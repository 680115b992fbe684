"""The ``supervision:`` block of a pipeline: settings of several stages, written once.

A stage takes a key of the block as one of its own settings, which its config marks with `FromSupervision`. A stage that
sets the key itself, also to ``null``, keeps its own value; one whose ``corrections`` are ``null`` takes no key at all.
"""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from wsss.errors import InvalidInput
from wsss.pipeline.config.source import Source, merge

KEY = "supervision"


class SupervisionBlock(BaseModel):
    """The keys of the block; the stages validate their values."""

    model_config = ConfigDict(extra="forbid")
    corrections: str | None = None
    weight: float | int | str | None = None


class FromSupervision:
    """Marks a config field that takes a key of the block: ``Annotated[Path | None, FromSupervision("corrections")]``.

    While the field has its default, it is not part of the identity: pipelines without the block keep their results.
    """

    def __init__(self, key: str) -> None:
        self.key = key


def key_of(field: FieldInfo) -> str | None:
    """Return the key of the block that a field takes, if any."""
    return next((mark.key for mark in field.metadata if isinstance(mark, FromSupervision)), None)


def taken_by(config: type[BaseModel]) -> dict[str, str]:
    """Return the fields of a config that take keys of the block: field → key."""
    return {name: key for name, field in config.model_fields.items() if (key := key_of(field)) is not None}


def with_supervision(source: Source, block: Source, config: type[BaseModel]) -> tuple[Source, frozenset[str]]:
    """Return the config of a stage with the keys of the block that it takes and does not set itself, and these keys.

    Args:
        source: the config as written, presets included.
        block: the ``supervision:`` block.
        config: the config model of the stage.
    """
    fields = taken_by(config)
    if any(key == "corrections" and source.value.get(field, "") is None for field, key in fields.items()):
        return source, frozenset()
    taken = [(field, key) for field, key in fields.items() if block.value.get(key) is not None]
    taken = [(field, key) for field, key in taken if field not in source.value]
    for field, key in taken:
        source = merge(block.at((key,)).under((field,)), source)
    return source, frozenset(key for _, key in taken)


def require_taken(block: Source, taken: Collection[str]) -> None:
    """Require that a stage of the pipeline takes each key of the block.

    Args:
        block: the ``supervision:`` block.
        taken: the keys that stages take.

    Raises:
        InvalidInput: no stage takes a key.
    """
    for key, value in block.value.items():
        if value is not None and key not in taken:
            subject = block.subject((key,), KEY)
            hint = "Omit it, or omit the settings of the stages that replace it."
            raise InvalidInput("no stage of this pipeline takes this setting", subject=subject, hint=hint)


def check_weight(block: Source) -> None:
    """Require corrected masks for a weight.

    Raises:
        InvalidInput: there is a weight without corrections.
    """
    if block.value.get("weight") is not None and block.value.get("corrections") is None:
        hint = "Name the folder of corrected masks: supervision.corrections."
        raise InvalidInput("no effect without corrections", subject=block.subject(("weight",), KEY), hint=hint)
