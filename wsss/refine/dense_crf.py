"""Dense CRF (Krähenbühl & Koltun, NeurIPS 2011), which aligns masks with the edges of the image."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from wsss.errors import InvalidInput
from wsss.io.rasters.working_size import MaxSide, working_size
from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Engine = Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """Unary energies ``(C, h, w)`` → label probabilities ``(C, h, w)``, of one image."""


MAX_SIDE = 1024
"""Default maximum side in pixels, twice that of the photographs the presets were tuned on (24 megapixels need 5 GB)."""


CERTAIN = 60.0
"""Energy of all labels except the known one, at pixels with a known label; the usual pairwise energies are lower."""


class CrfConfig(Settings):
    """Parameters of the dense CRF; ``configs/crf`` has published settings."""

    unary: Literal["softmax", "labels"] = Field(
        default="labels",
        description="unary energies: from class scores (softmax), or from labels with label_probability",
    )
    label_probability: float = Field(
        default=0.7, gt=0, lt=1, description="probability that a label is correct, for unary: labels"
    )
    engine: Literal["lattice", "pydensecrf"] = Field(
        default="lattice",
        description="implementation of the filter: lattice (built in), or the package pydensecrf (wsss[pydensecrf])",
    )
    iterations: int = Field(default=10, ge=1, le=10_000, description="iterations of mean-field inference")
    gauss_sigma: float = Field(default=3.0, gt=0, description="standard deviation of the position kernel, in pixels")
    gauss_weight: float = Field(default=3.0, ge=0, description="weight of the position kernel; 0: off")
    bilateral_sigma_xy: float = Field(
        default=50.0, gt=0, description="spatial standard deviation of the appearance kernel, in pixels"
    )
    bilateral_sigma_rgb: float = Field(
        default=5.0, gt=0, description="colour standard deviation of the appearance kernel, in grey levels (0 … 255)"
    )
    bilateral_weight: float = Field(default=10.0, ge=0, description="weight of the appearance kernel; 0: off")
    max_side: MaxSide = MAX_SIDE
    """Labels are upsampled along the edges of the full-size image (`wsss.refine.upsample`)."""


class ImageCrf:
    """The dense CRF of one image, for several unary energies: its kernels do not depend on them, and are built once.

    Args:
        image: ``(H, W, 3)`` uint8 RGB at original size, not normalised.
        config: parameters.

    Raises:
        ValueError: the image has another shape or type.
    """

    def __init__(self, image: NDArray[np.uint8], config: CrfConfig) -> None:
        # The bilateral kernel is in grey levels: a normalised image would give wrong results without an error.
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"expected an image (H, W, 3) uint8, got {image.shape} {image.dtype}")
        self.image, self.config = image, config
        self.size = working_size(image.shape[:2], config.max_side)

    def refine_scores(
        self, scores: NDArray[np.float32], *, certain: NDArray[np.uint8] | None = None
    ) -> NDArray[np.integer]:
        """Refine class scores.

        Args:
            scores: ``(C, H, W)`` float32 ≥ 0, background first, or ``(C, h, w)`` at the `working_size`. The scale of
                the scores of a pixel does not matter.
            certain: ``(H, W)`` indices 0 … C − 1 of pixels whose label is known, 255 elsewhere.

        Returns:
            ``(H, W)`` indices 0 … C − 1 into ``scores``.
        """
        if scores.shape[1:] == self.image.shape[:2] and self.size != self.image.shape[:2]:
            scores = np.stack([_shrink(channel, self.size) for channel in scores])
        return self._infer(_with_certain(-np.log(np.clip(scores, 1e-5, None)), certain))

    def refine_labels(
        self,
        labels: NDArray[np.integer],
        count: int,
        *,
        uncertain: int | None = None,
        certain: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.integer]:
        """Refine labels, which are correct with ``label_probability``; the others share the rest.

        Args:
            labels: ``(H, W)`` values 0 … ``count`` − 1 or ``uncertain``, or ``(h, w)`` at the `working_size`.
            count: number of labels.
            uncertain: value of uncertain pixels (all labels equally probable).
            certain: see `refine_scores`.

        Returns:
            ``(H, W)`` values 0 … ``count`` − 1.
        """
        if count == 1:
            return np.zeros(self.image.shape[:2], np.uint8)
        right, wrong = self.config.label_probability, (1 - self.config.label_probability) / (count - 1)
        probabilities = np.full((count, *self.size), wrong, np.float32)
        for value, probability in enumerate(probabilities):
            _set_where(probability, labels == value, right)
        if uncertain is not None:
            for probability in probabilities:
                _set_where(probability, labels == uncertain, 1 / count)
        return self._infer(_with_certain(-np.log(probabilities), certain))

    def _infer(self, unary: NDArray[np.float32]) -> NDArray[np.integer]:
        if unary.shape[1:] != self.size:
            raise ValueError(f"expected unary energies of size {self.size}, got {unary.shape[1:]}")
        if len(unary) == 1:
            return np.zeros(self.image.shape[:2], np.uint8)
        marginals = self._engine(np.ascontiguousarray(unary, np.float32))
        if self.size == self.image.shape[:2]:
            return marginals.argmax(0)
        from wsss.refine.upsample import upsample_labels

        return upsample_labels(self.image, self._small, marginals)

    @cached_property
    def _small(self) -> NDArray[np.uint8]:
        """The image at the `working_size`."""
        if self.size == self.image.shape[:2]:
            return self.image
        from wsss.data.image_transforms.resizing import resize

        return resize(self.image, self.size)

    @cached_property
    def _engine(self) -> Engine:
        return _ENGINES[self.config.engine](self._small, self.config)


def refine_scores(
    image: NDArray[np.uint8],
    scores: NDArray[np.float32],
    config: CrfConfig,
    *,
    certain: NDArray[np.uint8] | None = None,
) -> NDArray[np.integer]:
    """Return labels ``(H, W)`` of an image ``(H, W, 3)`` from class scores ``(C, H, W)``; see `ImageCrf`."""
    return ImageCrf(image, config).refine_scores(scores, certain=certain)


def refine_labels(
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    count: int,
    config: CrfConfig,
    *,
    uncertain: int | None = None,
    certain: NDArray[np.uint8] | None = None,
) -> NDArray[np.integer]:
    """Return refined labels ``(H, W)`` of an image ``(H, W, 3)`` from labels; see `ImageCrf`."""
    return ImageCrf(image, config).refine_labels(labels, count, uncertain=uncertain, certain=certain)


def _with_certain(energies: NDArray[np.float32], certain: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """Return unary energies ``(C, h, w)`` that fix the labels of certain pixels, whatever their neighbours."""
    if certain is None:
        return energies
    from wsss.data.corrections.corrected_pixels import reduced_corrections

    at = reduced_corrections(certain, energies.shape[1:])
    known = at < len(energies)
    energies[:, known] = CERTAIN
    rows, columns = np.nonzero(known)
    energies[at[known], rows, columns] = 0
    return energies


def _set_where(probability: NDArray[np.float32], where: NDArray[np.bool_], value: float) -> None:
    """Set probabilities to ``value`` inside a mask; a larger mask is averaged over the pixels of the smaller size."""
    if where.shape == probability.shape:
        probability[where] = value
        return
    share = _shrink(where.astype(np.float32), (probability.shape[0], probability.shape[1]))
    probability += share * (value - probability)


def _shrink(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize ``(H, W)`` values to a smaller size by averaging."""
    import cv2

    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _lattice_engine(image: NDArray[np.uint8], config: CrfConfig) -> Engine:
    from wsss.refine.lattice.filtering import Filter, position_filter
    from wsss.refine.lattice.mean_field import infer

    filters = []
    if config.gauss_weight:
        filters.append(position_filter(image, config.gauss_sigma, config.gauss_weight))
    if config.bilateral_weight:
        sigmas = config.bilateral_sigma_xy, config.bilateral_sigma_rgb
        filters.append(Filter(image, *sigmas, config.bilateral_weight))

    def marginals(unary: NDArray[np.float32]) -> NDArray[np.float32]:
        return infer(unary.reshape(len(unary), -1), filters, config.iterations).reshape(unary.shape)

    return marginals


def _pydensecrf_engine(image: NDArray[np.uint8], config: CrfConfig) -> Engine:
    try:
        from pydensecrf.densecrf import DenseCRF2D
    except ImportError as error:
        raise InvalidInput(
            "the package pydensecrf2 is not installed",
            subject="crf.engine: pydensecrf",
            hint="pip install 'wsss[pydensecrf]' (needs a C++ compiler), or use engine: lattice.",
        ) from error

    def marginals(unary: NDArray[np.float32]) -> NDArray[np.float32]:
        count, height, width = unary.shape
        crf = DenseCRF2D(width, height, count)
        crf.setUnaryEnergy(unary.reshape(count, -1))
        if config.gauss_weight:
            crf.addPairwiseGaussian(sxy=config.gauss_sigma, compat=config.gauss_weight)
        if config.bilateral_weight:
            crf.addPairwiseBilateral(
                sxy=config.bilateral_sigma_xy,
                srgb=config.bilateral_sigma_rgb,
                rgbim=np.array(image, order="C"),  # pydensecrf needs a writable buffer
                compat=config.bilateral_weight,
            )
        # One iteration at a time, as crf.inference does, so that signals and other threads are handled in between.
        beliefs, *scratch = crf.startInference()
        for _ in range(config.iterations):
            crf.stepInference(beliefs, *scratch)
        return np.array(beliefs, np.float32).reshape(unary.shape)

    return marginals


_ENGINES: dict[str, Callable[[NDArray[np.uint8], CrfConfig], Engine]] = {
    "lattice": _lattice_engine,
    "pydensecrf": _pydensecrf_engine,
}
