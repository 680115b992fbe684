"""The keys of a pipeline file, as pydantic models."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from wsss.model_fields import keys_of
from wsss.pipeline.config.supervision_block import SupervisionBlock


class StageEntry(BaseModel):
    """One value of ``stages:``."""

    model_config = ConfigDict(extra="forbid")
    uses: str
    needs: list[str] = []
    with_: dict[str, Any] = Field(default={}, alias="with")
    seed: int | str | None = None
    enabled: bool | str = True

    @field_validator("needs", "with_", mode="before")
    @classmethod
    def _empty(cls, value: Any, info: Any) -> Any:
        return ([] if info.field_name == "needs" else {}) if value is None else value


class PipelineFile(BaseModel):
    """A whole file, after ``extends`` and ``--set``."""

    model_config = ConfigDict(extra="forbid")
    name: str
    description: str = ""
    extends: str | None = None
    seed: int | str = 0
    data: dict[str, Any] = {}
    supervision: SupervisionBlock = SupervisionBlock()
    matrix: dict[str, Any] = {}
    stages: dict[str, StageEntry]

    @field_validator("description", "data", "supervision", "matrix", "stages", mode="before")
    @classmethod
    def _empty(cls, value: Any, info: Any) -> Any:
        return ("" if info.field_name == "description" else {}) if value is None else value


ENTRY_KEYS = frozenset(keys_of(StageEntry)) - {"with"}
TOP_KEYS = frozenset(keys_of(PipelineFile))
