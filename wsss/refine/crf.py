"""Fully-connected CRF (Krähenbühl & Koltun, NeurIPS 2011) that pulls masks to the edges of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CrfConfig(Settings):
    """Parameters of the dense CRF; ``configs/crf`` holds the settings in use in the field."""

    unary: Literal["softmax", "labels"] = Field(
        default="labels",
        description="unary energies: softmax of class scores, or labels with a probability of being right",
    )
    label_probability: float = Field(
        default=0.7, gt=0, lt=1, description="probability that a given label is right (unary: labels)"
    )
    iterations: int = Field(default=10, ge=1, description="iterations of mean-field inference")
    gauss_sigma: float = Field(default=3.0, gt=0, description="standard deviation of the position kernel, in pixels")
    gauss_weight: float = Field(default=3.0, ge=0, description="weight of the position kernel; 0: off")
    bilateral_sigma_xy: float = Field(
        default=50.0, gt=0, description="spatial standard deviation of the appearance kernel, in pixels"
    )
    bilateral_sigma_rgb: float = Field(
        default=5.0, gt=0, description="colour standard deviation of the appearance kernel, in grey levels (0 … 255)"
    )
    bilateral_weight: float = Field(default=10.0, ge=0, description="weight of the appearance kernel; 0: off")


def refine_scores(image: NDArray[np.uint8], scores: NDArray[np.float32], config: CrfConfig) -> NDArray[np.intp]:
    """Refine class scores.

    Args:
        image: ``(H, W, 3)`` uint8 RGB at original size, as it came from the file.
        scores: ``(C, H, W)`` float32 ≥ 0, background first; a pixel's scale doesn't matter.
        config: see `CrfConfig`.

    Returns:
        ``(H, W)`` positions 0 … C − 1 in ``scores``.
    """
    return _infer(image, -np.log(np.clip(scores, 1e-5, None)), config)


def refine_labels(
    image: NDArray[np.uint8], labels: NDArray[np.intp], count: int, config: CrfConfig, *, unsure: int | None = None
) -> NDArray[np.intp]:
    """Refine a labelling.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        labels: ``(H, W)`` values 0 … ``count`` − 1, or ``unsure``.
        count: number of labels.
        config: ``label_probability`` is the chance that a given label is right; the rest is shared by the others.
        unsure: value of pixels about which nothing is known (all labels equally likely).

    Returns:
        ``(H, W)`` values 0 … ``count`` − 1.
    """
    if count == 1:
        return np.zeros(labels.shape, np.intp)
    probabilities = np.full((count, *labels.shape), (1 - config.label_probability) / (count - 1), np.float32)
    for value in range(count):
        probabilities[value][labels == value] = config.label_probability
    if unsure is not None:
        probabilities[:, labels == unsure] = 1 / count
    return _infer(image, -np.log(probabilities), config)


def _infer(image: NDArray[np.uint8], unary: NDArray[np.float32], config: CrfConfig) -> NDArray[np.intp]:
    from pydensecrf.densecrf import DenseCRF2D

    # The bilateral kernel measures grey levels: a normalised or mean-subtracted image would give quiet nonsense.
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"the image must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
    count, height, width = unary.shape
    if image.shape[:2] != (height, width):
        raise ValueError(f"image {image.shape[:2]} and unary {(height, width)} differ in size")
    if count == 1:
        return np.zeros((height, width), np.intp)
    crf = DenseCRF2D(width, height, count)
    crf.setUnaryEnergy(np.ascontiguousarray(unary.reshape(count, -1), dtype=np.float32))
    if config.gauss_weight:
        crf.addPairwiseGaussian(sxy=config.gauss_sigma, compat=config.gauss_weight)
    if config.bilateral_weight:
        crf.addPairwiseBilateral(
            sxy=config.bilateral_sigma_xy,
            srgb=config.bilateral_sigma_rgb,
            rgbim=np.array(image, order="C"),  # a copy: pydensecrf asks for a writable buffer
            compat=config.bilateral_weight,
        )
    marginals = np.asarray(crf.inference(config.iterations))
    return marginals.argmax(0).reshape(height, width)
