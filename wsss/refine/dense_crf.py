"""Dense CRF (Krähenbühl & Koltun, NeurIPS 2011), which aligns masks with the edges of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from wsss.errors import InvalidInput
from wsss.io.rasters.working_size import MaxSide, working_size
from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


def refine_scores(
    image: NDArray[np.uint8],
    scores: NDArray[np.float32],
    config: CrfConfig,
    *,
    certain: NDArray[np.uint8] | None = None,
) -> NDArray[np.integer]:
    """Refine class scores.

    Args:
        image: ``(H, W, 3)`` uint8 RGB at original size, not normalised.
        scores: ``(C, H, W)`` float32 ≥ 0, background first, or ``(C, h, w)`` at the `working_size`. The scale of the
            scores of a pixel does not matter.
        certain: ``(H, W)`` indices 0 … C − 1 of pixels whose label is known, 255 elsewhere.

    Returns:
        ``(H, W)`` indices 0 … C − 1 into ``scores``.
    """
    size = working_size(image.shape[:2], config.max_side)
    if scores.shape[1:] == image.shape[:2] and size != image.shape[:2]:
        scores = np.stack([_shrink(channel, size) for channel in scores])
    return _infer(image, _with_certain(-np.log(np.clip(scores, 1e-5, None)), certain), config)


def refine_labels(
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    count: int,
    config: CrfConfig,
    *,
    uncertain: int | None = None,
    certain: NDArray[np.uint8] | None = None,
) -> NDArray[np.integer]:
    """Refine labels.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        labels: ``(H, W)`` values 0 … ``count`` − 1 or ``uncertain``, or ``(h, w)`` at the `working_size`.
        count: number of labels.
        config: ``label_probability`` is the probability that a label is correct; the others share the rest.
        uncertain: value of uncertain pixels (all labels equally probable).
        certain: see `refine_scores`.

    Returns:
        ``(H, W)`` values 0 … ``count`` − 1.
    """
    if count == 1:
        return np.zeros(image.shape[:2], np.uint8)
    size = working_size(image.shape[:2], config.max_side)
    right, wrong = config.label_probability, (1 - config.label_probability) / (count - 1)
    probabilities = np.full((count, *size), wrong, np.float32)
    for value, probability in enumerate(probabilities):
        _set_where(probability, labels == value, right)
    if uncertain is not None:
        for probability in probabilities:
            _set_where(probability, labels == uncertain, 1 / count)
    return _infer(image, _with_certain(-np.log(probabilities), certain), config)


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


def _infer(image: NDArray[np.uint8], unary: NDArray[np.float32], config: CrfConfig) -> NDArray[np.integer]:
    # The bilateral kernel is in grey levels: a normalised image would give wrong results without an error.
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an image (H, W, 3) uint8, got {image.shape} {image.dtype}")
    size = working_size(image.shape[:2], config.max_side)
    if unary.shape[1:] != size:
        raise ValueError(f"expected unary energies of size {size}, got {unary.shape[1:]}")
    if len(unary) == 1:
        return np.zeros(image.shape[:2], np.uint8)
    if size == image.shape[:2]:
        return _marginals(image, unary, config).argmax(0)
    from wsss.data.image_transforms.resizing import resize
    from wsss.refine.upsample import upsample_labels

    small = resize(image, size)
    return upsample_labels(image, small, _marginals(small, unary, config))


def _marginals(image: NDArray[np.uint8], unary: NDArray[np.float32], config: CrfConfig) -> NDArray[np.float32]:
    """Return the label probabilities ``(C, H, W)`` of an image with the size of the unary energies."""
    return _ENGINES[config.engine](image, np.ascontiguousarray(unary, np.float32), config).reshape(unary.shape)


def _with_lattice(image: NDArray[np.uint8], unary: NDArray[np.float32], config: CrfConfig) -> NDArray[np.float32]:
    from wsss.refine.lattice.filtering import Filter, position_filter
    from wsss.refine.lattice.mean_field import infer

    filters = []
    if config.gauss_weight:
        filters.append(position_filter(image, config.gauss_sigma, config.gauss_weight))
    if config.bilateral_weight:
        sigmas = config.bilateral_sigma_xy, config.bilateral_sigma_rgb
        filters.append(Filter(image, *sigmas, config.bilateral_weight))
    return infer(unary.reshape(len(unary), -1), filters, config.iterations)


def _with_pydensecrf(image: NDArray[np.uint8], unary: NDArray[np.float32], config: CrfConfig) -> NDArray[np.float32]:
    try:
        from pydensecrf.densecrf import DenseCRF2D
    except ImportError as error:
        raise InvalidInput(
            "the package pydensecrf2 is not installed",
            subject="crf.engine: pydensecrf",
            hint="pip install 'wsss[pydensecrf]' (needs a C++ compiler), or use engine: lattice.",
        ) from error
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
    marginals, *scratch = crf.startInference()
    for _ in range(config.iterations):
        crf.stepInference(marginals, *scratch)
    return np.array(marginals, np.float32)


_ENGINES = {"lattice": _with_lattice, "pydensecrf": _with_pydensecrf}
