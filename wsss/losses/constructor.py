"""Keyword arguments of the losses: the fields of their configs, and the form of predictions and targets."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from pydantic import create_model

from wsss.losses.config import InputForm
from wsss.validation import Settings


def takes_positional(kind: type) -> bool:
    """Return whether the constructor of a class takes positional arguments."""
    constructor = next(vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base))
    _, *parameters = inspect.signature(constructor).parameters.values()
    return any(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL)
        for parameter in parameters
    )


@cache
def with_form(config_type: type[Settings]) -> type[Settings]:
    """Return a model with the fields of a config and of `InputForm`, so that one error lists all valid keys."""
    return create_model(config_type.__name__, __base__=(InputForm, config_type))


def part_of(valid: Settings, part: type[Settings]) -> Any:
    """Return the fields of one of the models that `with_form` joined."""
    return part.model_construct(**{name: getattr(valid, name) for name in part.model_fields})


def signature_of(config_type: type[Settings]) -> inspect.Signature:
    """Return the signature of the constructor of a loss: the fields of its config and of `InputForm`."""
    fields = {**config_type.model_fields, **InputForm.model_fields}
    return inspect.Signature(
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.get_default(call_default_factory=True),
                annotation=field.annotation,
            )
            for name, field in fields.items()
            if name != "name"
        ]
    )
