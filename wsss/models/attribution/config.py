"""Kinds of maps: their configs, each with the way to its computation.

No torch is imported here before maps are computed: the command line reads configs to check a pipeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Field, field_validator

from wsss.extensions import Extensions
from wsss.validation import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.models.classifier import CAMClassifier

Layer = Literal["features", "low"]
"""``features``: what the classifier's head sees (behind a sampler, if there is one); ``low``: the trunk at stride 8."""


class MapMethod(Settings):
    """Base of all kinds of maps. A new one derives from it, and overrides `compute`."""

    name: str

    def map_layers(self) -> tuple[Layer, ...]:
        """Return the layers whose maps `compute` returns."""
        return ("features",)

    def compute(self, classifier: CAMClassifier, batch: Tensor, wanted: Tensor) -> list[Tensor]:
        """Compute the maps of one view of some images.

        Args:
            classifier: in evaluation mode, its parameters frozen.
            batch: ``(N, 3, H, W)`` uint8.
            wanted: ``(N, K)`` booleans, not all false; maps of other classes are zero.

        Returns:
            Per layer of `map_layers` ``(N, K, h, w)`` ≥ 0, one element per element of that layer.
        """
        raise NotImplementedError

    def combine(self, maps: list[Tensor]) -> Tensor:
        """Return one map of those of all layers, each ``(…, h, w)`` of the same size, summed over all views."""
        return maps[0]


class PlainCam(MapMethod):
    """Class activation maps: the head applied at every position, see `wsss.models.multiscale_cam.class_maps`."""

    name: Literal["cam"] = "cam"


class GradCamPlusPlusConfig(MapMethod):
    """Grad-CAM++."""

    name: Literal["gradcam++"] = "gradcam++"
    layer: Layer = Field(default="features", description="layer whose channels are weighted")

    def map_layers(self) -> tuple[Layer, ...]:
        """Return the one layer."""
        return (self.layer,)

    def compute(self, classifier: CAMClassifier, batch: Tensor, wanted: Tensor) -> list[Tensor]:
        """See `wsss.models.attribution.gradcam`."""
        from wsss.models.attribution.gradcam import gradcam_plus_plus

        return gradcam_plus_plus(classifier, batch, wanted, self)


class LayerCamConfig(MapMethod):
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

    def map_layers(self) -> tuple[Layer, ...]:
        """Return the layers in the order of the config."""
        return self.layers

    def compute(self, classifier: CAMClassifier, batch: Tensor, wanted: Tensor) -> list[Tensor]:
        """See `wsss.models.attribution.layercam`."""
        from wsss.models.attribution.layercam import layer_cam

        return layer_cam(classifier, batch, wanted, self)

    def combine(self, maps: list[Tensor]) -> Tensor:
        """Fuse the maps of the layers; see `wsss.models.attribution.layercam.fuse`."""
        from wsss.models.attribution.layercam import fuse

        return fuse(maps, self.layers, self.gamma)


class AdvCamConfig(MapMethod):
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

    def compute(self, classifier: CAMClassifier, batch: Tensor, wanted: Tensor) -> list[Tensor]:
        """See `wsss.models.attribution.advcam`."""
        from wsss.models.attribution.advcam import adv_cam

        return adv_cam(classifier, batch, wanted, self)


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


SEEDS = Extensions(
    "wsss.seeds",
    {
        "cam": f"{__name__}:PlainCam",
        "gradcam++": f"{__name__}:GradCamPlusPlusConfig",
        "layercam": f"{__name__}:LayerCamConfig",
        "advcam": f"{__name__}:AdvCamConfig",
    },
)
"""Name → config class of a kind of maps."""

if TYPE_CHECKING:
    CamMethod = MapMethod
else:
    CamMethod = Annotated[
        Annotated[Union[tuple(SEEDS.usable(MapMethod))], Field(discriminator="name")],  # noqa: UP007
        BeforeValidator(_named),
    ]
"""Any kind of map, told apart by ``name``; the name alone stands for its default settings."""
