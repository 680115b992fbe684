"""Commands whose options are the keys of a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss.model_fields import KeyPath
    from wsss.validation import M

OPTIONS = {"classes": "class-count"}
"""Key → option, if they differ."""


def option_of_key(key: str) -> str:
    """Return the name of a key's option without leading dashes."""
    return OPTIONS.get(key, key).replace("_", "-")


def config_of(model: type[M], values: Mapping[str, Any]) -> M:
    """Return the config that a command's options define; options that are not set (``None``) keep their defaults.

    Args:
        values: key → value of its option.

    Raises:
        InvalidInput: an invalid value; names the option.
    """
    from wsss.validation import validate  # pydantic takes as long to import as the rest of the help

    stated = {key: value for key, value in values.items() if value is not None}
    return validate(model, stated, where="", locate=_option_at)


def _option_at(path: KeyPath) -> str:
    return f"--{option_of_key(str(path[0]))}" if path else ""
