"""Kinds of maps: built-in configs, and the union with those of other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Field, field_validator

from wsss.extensions import Extensions
from wsss.models.attribution.map_method import MapMethod
from wsss.models.config import Layer
from wsss.validation import InIdentityIfSet

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.models.classifier import CAMClassifier


class PlainCam(MapMethod):
    """Class activation maps, computed by `wsss.models.attribution.multiscale_cam.class_maps`."""

    name: Literal["cam"] = "cam"
    clamp_weights: Annotated[Literal["never", "single-class", "always"], InIdentityIfSet()] = Field(
        default="never",
        description="images whose maps are computed without the negative weights of the classifier (negative weight "
        "clamping: Bae, Noh & Kim, ECCV 2020): none, those with a single class, or all; predicted classes use all "
        "weights. For networks whose last features are not negative, such as ResNet",
    )


class GradCamPlusPlusConfig(MapMethod):
    """Grad-CAM++."""

    name: Literal["gradcam++"] = "gradcam++"
    layer: Layer = Field(default="features", description="layer whose channels are weighted")

    def map_layers(self) -> tuple[Layer, ...]:
        """Return the layer."""
        return (self.layer,)

    def compute(self, classifier: CAMClassifier, batch: Tensor, selected: Tensor) -> list[Tensor]:
        """See `wsss.models.attribution.gradcam`."""
        from wsss.models.attribution.gradcam import gradcam_plus_plus

        return gradcam_plus_plus(classifier, batch, selected, self.layer)


class LayerCamConfig(MapMethod):
    """LayerCAM of one layer, or fused from both."""

    name: Literal["layercam"] = "layercam"
    layers: tuple[Layer, ...] = Field(
        default=("features",), description="layers; maps of several are fused by their maximum"
    )
    gamma: float = Field(default=2.0, gt=0, description="before fusion, maps of low (in [0, 1]) become tanh(gamma·map)")

    @field_validator("layers")
    @classmethod
    def _distinct(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        if not layers or len(set(layers)) < len(layers):
            raise ValueError("expected at least one layer (features, low), each at most once")
        return layers

    def map_layers(self) -> tuple[Layer, ...]:
        """Return the layers in the order of the config."""
        return self.layers

    def compute(self, classifier: CAMClassifier, batch: Tensor, selected: Tensor) -> list[Tensor]:
        """See `wsss.models.attribution.layercam`."""
        from wsss.models.attribution.layercam import layer_cam

        return layer_cam(classifier, batch, selected, self.layers)

    def combine(self, maps: list[Tensor]) -> Tensor:
        """Fuse the maps of the layers; see `wsss.models.attribution.layercam.fuse`."""
        from wsss.models.attribution.layercam import fuse

        return fuse(maps, self.layers, self.gamma)


class AdvCamConfig(MapMethod):
    """AdvCAM: maps summed while gradient ascent on the image increases the score of the class."""

    name: Literal["advcam"] = "advcam"
    steps: int = Field(default=27, ge=0, le=1000, description="number of ascent steps; 0 gives the plain map")
    step_size: float = Field(
        default=0.08, gt=0, description="largest change of a value per step, in standard deviations of the pixels"
    )
    regularisation: float = Field(
        default=7.0, ge=0, description="λ: penalty on changes of the map where it is already high"
    )
    threshold: float = Field(
        default=0.5, ge=0, lt=1, description="τ: map values above this fraction of the map's maximum count as high"
    )

    def compute(self, classifier: CAMClassifier, batch: Tensor, selected: Tensor) -> list[Tensor]:
        """See `wsss.models.attribution.advcam`."""
        from wsss.models.attribution.advcam import adv_cam

        return adv_cam(classifier, batch, selected, **self.model_dump(exclude={"name"}))


class NormGradConfig(MapMethod):
    """NormGrad of one layer."""

    name: Literal["normgrad"] = "normgrad"
    layer: Layer = Field(
        default="low",
        description="layer whose features and gradients are multiplied; with mean pooling and without samplers, the "
        "maps of features do not depend on the class",
    )

    def map_layers(self) -> tuple[Layer, ...]:
        """Return the layer."""
        return (self.layer,)

    def compute(self, classifier: CAMClassifier, batch: Tensor, selected: Tensor) -> list[Tensor]:
        """See `wsss.models.attribution.normgrad`."""
        from wsss.models.attribution.normgrad import norm_grad

        return norm_grad(classifier, batch, selected, self.layer)


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


SEEDS = Extensions(
    "wsss.seeds",
    {
        "cam": f"{__name__}:PlainCam",
        "gradcam++": f"{__name__}:GradCamPlusPlusConfig",
        "layercam": f"{__name__}:LayerCamConfig",
        "advcam": f"{__name__}:AdvCamConfig",
        "normgrad": f"{__name__}:NormGradConfig",
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
"""Any kind of maps, discriminated by ``name``; a name alone selects its default settings."""
