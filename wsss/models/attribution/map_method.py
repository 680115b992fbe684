"""Base of all kinds of maps: configs that compute their own maps.

Torch is imported only when maps are computed, because the command line validates pipelines with these configs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsss.errors import InvalidInput
from wsss.models.config import Layer
from wsss.validation import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.models.classifier import CAMClassifier


class MapMethod(Settings):
    """Base of all kinds of maps; subclasses override `compute`."""

    name: str

    def map_layers(self) -> tuple[Layer, ...]:
        """Return the layers whose maps `compute` returns."""
        return ("features",)

    def require_layers(self, classifier: CAMClassifier) -> None:
        """Require that a classifier has the layers.

        Raises:
            InvalidInput: ``low`` of a network, such as a transformer, whose blocks pass on no feature maps.
        """
        if "low" in self.map_layers() and not classifier.backbone.has_low_maps:
            raise InvalidInput(
                f"maps of the layer low cannot be computed with {classifier.config.trunk}",
                subject="cam.method",
                hint="Use the layer features.",
            )

    def compute(self, classifier: CAMClassifier, batch: Tensor, selected: Tensor) -> list[Tensor]:
        """Compute the maps of one view of some images.

        Args:
            classifier: in evaluation mode, its parameters frozen.
            batch: ``(N, 3, H, W)`` uint8.
            selected: ``(N, K)`` booleans, not all false: the classes of each image; maps of others are zero.

        Returns:
            Per layer of `map_layers`, ``(N, K, h, w)`` ≥ 0 at the layer's resolution.
        """
        raise NotImplementedError

    def combine(self, maps: list[Tensor]) -> Tensor:
        """Merge the maps of all layers, each ``(…, h, w)`` of one size and summed over all views."""
        return maps[0]
