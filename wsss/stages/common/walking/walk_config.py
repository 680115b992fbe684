"""Config of `propagate`: the affinities of a random walk, and the walk."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wsss.io.rasters.working_size import MaxSide
from wsss.models.config import BackboneConfig
from wsss.pipeline.stage import StageConfig
from wsss.validation import InIdentityIfSet, OptionName, refuse_unused

PAIR_SETTINGS = ("radius", "boundary_factor")
"""Settings of affinities between nearby elements."""


class PropagateConfig(StageConfig):
    """Config of `propagate`."""

    splits: tuple[str, ...] = Field(default=("train",), min_length=1, description="splits whose maps are propagated")
    affinity: Literal["learned", "colour", "features", "attention"] = Field(
        default="learned",
        description="affinities: learned (from an affinity stage), or, as controls, colour (similarity of colours), "
        "features (similarity of a network's features) or attention (of a vision transformer)",
    )
    beta: float = Field(
        default=10.0, gt=0, description="exponent β on the affinities; larger values stop the walk at weaker boundaries"
    )
    steps: Annotated[int, OptionName("walk-steps")] = Field(
        default=256, ge=1, le=1 << 16, description="steps of the random walk"
    )
    radius: int = Field(
        default=5, ge=2, le=16, description="two map elements form a pair if their distance, in elements, is below this"
    )
    boundary_factor: bool = Field(
        default=True,
        description="multiply the maps by 1 − boundary before the walk, so that scores at boundaries do not spread",
    )
    clip_quantile: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="clip each propagated map at this quantile of its values where the input map is at least 0.3 times "
        "its maximum, so that a small region with a boundary around it does not determine the scale; 1: no clipping",
    )
    colour_sigma: float = Field(
        default=30.0, gt=0, description="standard deviation of the colour affinity, in grey levels (0 … 255)"
    )
    feature_levels: Annotated[tuple[int, ...], InIdentityIfSet()] = Field(
        default=(-1,),
        min_length=1,
        description="feature maps whose similarities are averaged: indices, the finest first; -1: the coarsest",
    )
    attention_blocks: Annotated[int, InIdentityIfSet()] = Field(
        default=8, ge=1, description="blocks whose attention is averaged, counted from the last"
    )
    backbone: Annotated[BackboneConfig | None, InIdentityIfSet()] = Field(
        default=None,
        description="network for features or attention, with its weights; null: the trunk of the input classifier",
    )
    max_side: MaxSide = 1024

    @model_validator(mode="after")
    def _settings_of_the_affinity(self) -> PropagateConfig:
        for name, key in (
            ("colour", "colour_sigma"),
            ("features", "feature_levels"),
            ("attention", "attention_blocks"),
        ):
            if self.affinity != name:
                refuse_unused(self, key, requires=f"affinity: {name}", got=self.affinity)
        if self.backbone is not None and not self.uses_network:
            raise ValueError(f"backbone requires affinity: features or attention, got {self.affinity}; omit it")
        if self.backbone is not None and self.backbone.freeze_to_stride is not None:
            raise ValueError("backbone.freeze_to_stride has no effect, since the network is not trained; omit it")
        return self

    @model_validator(mode="after")
    def _walk_on_patches(self) -> PropagateConfig:
        if self.affinity == "attention":
            refuse_unused(self, *PAIR_SETTINGS, requires="affinity: learned, colour or features", got=self.affinity)
            if self.steps == type(self).model_fields["steps"].default:  # also if it comes from a preset for pixels
                raise ValueError(
                    "affinity: attention requires its own number of steps, such as 2 in preset propagate/attention: "
                    "since all patches are neighbours, maps are nearly constant after the 256 steps of other affinities"
                )
        return self

    @property
    def uses_network(self) -> bool:
        """Whether the affinities are those of a network that is not trained for them."""
        return self.affinity in ("features", "attention")
