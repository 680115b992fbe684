"""Fields of pydantic models: their keys, nested models, the discriminators of unions, and nested defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

KeyPath = tuple[str | int, ...]


def subject_of(path: KeyPath, where: str, location: str) -> str:
    """Return location and full key path of a key (``crf.yaml:3: stages.crf.with.iterations``), for errors about it.

    Args:
        where: key path of the mapping that ``path`` is relative to.
        location: line of the key in a file, or ``""``.
    """
    key = ".".join(filter(None, (where, *map(str, path))))
    return ": ".join(filter(None, (location, key)))


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return key (the name or alias of a field) → field."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the valid keys of a mapping for ``model``: field names, or their aliases."""
    return list(fields_of(model))


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation, those of unions and containers included."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in get_args(annotation):
        yield from models_in(argument)


def discriminator_at(model: type[BaseModel], path: KeyPath) -> str | None:
    """Return the discriminator of the union at ``path`` (``"name"`` at ``("loss",)``); ``None`` without a union."""
    models, discriminator = [model], None
    for part in path:
        fields = [fields_of(m)[str(part)] for m in models if str(part) in fields_of(m)]
        discriminator = next((key for field in fields for key in _discriminators(field, field.annotation)), None)
        models = [inner for field in fields for inner in models_in(field.annotation)]
    return discriminator


def with_nested_defaults(model: type[BaseModel], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping for ``model`` whose nested mappings have the defaults of their fields.

    The default of a field may differ from the defaults of its type: `affinity` augments without colour
    jitter, although `SegmentationAugmentation` has it by default. pydantic completes ``augmentation: {size: 256}`` with
    the defaults of the type; here those that the default of the field sets come first. A mapping of another kind, such
    as another optimiser, is left unchanged; without a kind, a mapping has the kind of the default.
    """
    filled = dict(value)
    for key, field in fields_of(model).items():
        if isinstance(value.get(key), Mapping) and not field.is_required():
            filled[key] = _filled(field, value[key], field.get_default(call_default_factory=True))
    return filled


def _filled(field: FieldInfo, given: Mapping[str, Any], default: Any) -> Mapping[str, Any]:
    """Return a mapping for a field, completed with what the default sets explicitly."""
    if not isinstance(default, BaseModel):
        return given
    kinds = {key: getattr(default, key) for key in _discriminators(field, field.annotation)}
    if any(given.get(key, kind) != kind for key, kind in kinds.items()):
        return given
    if not kinds.keys() <= given.keys() and not given.keys() <= set(keys_of(type(default))):
        return given  # settings of another kind: the error asks for the name of the kind
    filled = {**kinds, **given}
    for name in default.model_fields_set:
        inner = type(default).model_fields[name]
        key, value = inner.alias or name, getattr(default, name)
        own = given.get(key, value)
        filled[key] = _filled(inner, own, value) if isinstance(own, Mapping) else own
    return filled


def _discriminators(field: FieldInfo, annotation: Any) -> Iterator[str]:
    """Yield the discriminators of a field: its own, or that of an alias inside its annotation (``Loss | None``)."""
    if isinstance(field.discriminator, str):
        yield field.discriminator
    for argument in get_args(annotation):
        for extra in getattr(argument, "__metadata__", ()):
            if isinstance(extra, FieldInfo) and isinstance(extra.discriminator, str):
                yield extra.discriminator
