"""Configs of the kinds of maps. No torch here: the command line reads configs to check a pipeline."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from wsss.validation import Settings

Layer = Literal["features", "low"]
"""``features``: what the classifier's head sees (behind a sampler, if there is one); ``low``: the trunk at stride 8."""


class PlainCam(Settings):
    """Class activation maps: the head applied at every position."""

    name: Literal["cam"] = "cam"


class GradCamPlusPlusConfig(Settings):
    """Grad-CAM++."""

    name: Literal["gradcam++"] = "gradcam++"
    layer: Layer = Field(default="features", description="layer whose channels are weighted")


class LayerCamConfig(Settings):
    """LayerCAM, of one layer or fused from both."""

    name: Literal["layercam"] = "layercam"
    layers: tuple[Layer, ...] = Field(
        default=("features",), description="layer whose maps are made, or layers whose maps are fused by their maximum"
    )
    gamma: float = Field(
        default=2.0, gt=0, description="before they are fused, maps of low (in [0, 1]) become tanh(gamma·map)"
    )

    @field_validator("layers")
    @classmethod
    def _distinct(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        if not layers or len(set(layers)) < len(layers):
            raise ValueError("name at least one layer (features, low), each at most once")
        return layers


class AdvCamConfig(Settings):
    """AdvCAM: maps of an image that climbs towards a higher score of the class."""

    name: Literal["advcam"] = "advcam"
    steps: int = Field(default=27, ge=0, le=1000, description="how often the image climbs; 0 gives the plain map")
    step_size: float = Field(
        default=0.08, gt=0, description="largest change of a value per step, in standard deviations of the pixels"
    )
    regularisation: float = Field(
        default=7.0, ge=0, description="λ: cost of changing the map where it is already high; 0: none"
    )
    threshold: float = Field(default=0.5, ge=0, lt=1, description="τ: high is above this part of the map's maximum")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


CamMethod = Annotated[
    Annotated[PlainCam | GradCamPlusPlusConfig | LayerCamConfig | AdvCamConfig, Field(discriminator="name")],
    BeforeValidator(_named),
]
"""Any kind of map, told apart by ``name``; the name alone stands for its default settings."""
