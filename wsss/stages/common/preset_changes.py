"""Names of presets in the provenance of scores, with the settings that were changed."""

from __future__ import annotations

from pydantic import BaseModel

from wsss.pipeline.config.resources import find, names, shipped
from wsss.pipeline.config.source import read_yaml


def stated_preset(kind: str, name: str, config: BaseModel, fields: type[BaseModel]) -> str:
    """Return the name of a preset, followed by the settings of a config that differ from those of the shipped preset.

    Args:
        kind: folder of the preset in ``configs``.
        name: name that the config has, such as ``irn``; one that is not shipped is returned as it is.
        config: the config.
        fields: model of the settings that are compared, whose defaults apply where the preset has none.
    """
    configs = shipped("configs")
    path = find(f"{kind}/{name}", [configs]) if f"{kind}/{name}" in names(configs) else None
    if path is None:
        return name
    preset = fields.model_validate({key: value for key, value in read_yaml(path).value.items() if key != "name"})
    changed = [f"{key} {getattr(config, key)}" for key, value in preset if getattr(config, key) != value]
    return f"{name} with {', '.join(changed)}" if changed else name
