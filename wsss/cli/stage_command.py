"""Class of the commands of single stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsss.cli.options.data_options import DataCommand
from wsss.cli.options.field_options import dashed, fields_with_option, option_of
from wsss.model_fields import discriminator_at
from wsss.pipeline.stage import Stage


class StageCommand(DataCommand):
    """The command of a stage, which suggests ``--set`` for settings without an option."""

    def __init__(self, *args: Any, stage: Stage[Any], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.stage = stage

    def suggestion(self, unknown: str, value: str) -> str:
        """Return the closest option, or the use of ``--set`` for a setting without one."""
        key = unknown.removeprefix("--").replace("-", "_")
        if key in self.stage.config.model_fields and key not in fields_with_option(self.stage):
            choice = discriminator_at(self.stage.config, (key,))
            setting = f"{key}.{choice}={value}" if choice else f"{key}.KEY=VALUE"
            return f" Did you mean '--set {setting}'?"
        return super().suggestion(unknown, value)

    def known_options(self) -> Mapping[str, str]:
        """Return the options, and the keys of options with another name."""
        known, fields = dict(super().known_options()), fields_with_option(self.stage).items()
        return known | {f"--{dashed(key)}": f"--{option_of(key, field)}" for key, field in fields}
