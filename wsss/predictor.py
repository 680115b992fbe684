"""A trained segmentation network as a Python function: image in, mask out.

segment = wsss.load_segmenter("runs/voc_animals/segment")
mask = segment("photo.jpg")  # (H, W) uint8 with the dataset's own values
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from wsss.errors import InvalidInput
from wsss.io.files.home_paths import expand_home
from wsss.models.config import Scale
from wsss.models.tile_settings import Overlap, TileSide, check_below_image_size, check_overlap
from wsss.validation import Settings, validate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from wsss.data.classes import Classes
    from wsss.io.rasters.pixel_values.reading import Reading
    from wsss.models.segmentation_networks.segmenters import SegmentationNetwork
    from wsss.models.windows.tile_windows import Tiling

    AnyImage = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


class Predictor:
    """A segmentation network with its classes, returned by `load_segmenter`. Call it with an image.

    Attributes:
        classes: names, background first, and their values in masks.
        device: ``cpu`` or ``cuda``.

    Example:
        >>> import wsss
        >>> segment = wsss.load_segmenter("runs/quickstart/segment", device="cpu", scales=(0.75, 1.0), flip=True)
        >>> segment.probabilities("photo.png").shape[0] == len(segment.classes.names)
        True
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        classes: Classes,
        *,
        device: str = "cpu",
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        max_side: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        reading: Reading | None = None,
    ) -> None:
        self.classes, self.device = classes, device
        self._network, self._reading = network, reading
        self._options = _checked(scales, flip, max_side, tile, overlap)
        self._tiling(self._options)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in {"device": self.device, **self._options}.items())
        return f"Predictor({type(self._network).__name__}, classes={self.classes.names}, {options})"

    @property
    def values(self) -> Mapping[str, int]:
        """Class name → value in masks, background first."""
        return {name: values[0] for name, values in zip(self.classes.names, self.classes.values, strict=True)}

    def __call__(
        self,
        image: AnyImage,
        *,
        scales: Sequence[float] | None = None,
        flip: bool | None = None,
        max_side: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
    ) -> NDArray[np.uint8]:
        """Return the mask of an image, with the values of the classes in the dataset.

        Args:
            image: a path, a Pillow image, or ``(H, W, 3)`` uint8 RGB; it is not modified. Files and Pillow
                images are converted like the training images (``data.scaling``, ``page``, ``bands``).
            scales, flip, max_side, tile, overlap: override those of `load_segmenter`.

        Returns:
            ``(H, W)`` uint8, at the size of the upright image; equal to the mask that `wsss predict` writes.

        Raises:
            InvalidInput: the image is missing, invalid or of an unsupported type, or an option is invalid.
        """
        from wsss.models.segmentation_networks.blockwise_prediction import predict

        options = self._overridden(scales=scales, flip=flip, max_side=max_side, tile=tile, overlap=overlap)
        pixels = as_rgb(image, self._reading)[None]
        return self.classes.decode(predict(self._network, pixels, len(self.classes), **options).masks[0])

    def probabilities(
        self,
        image: AnyImage,
        *,
        scales: Sequence[float] | None = None,
        flip: bool | None = None,
        max_side: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
    ) -> NDArray[np.float32]:
        """Return the probability of every class at every pixel.

        A photograph of 24 megapixels with 21 classes needs 2 GB of memory, and several times as much without tiles.

        Args:
            image, scales, flip, max_side, tile, overlap: as for a call. Without ``tile``, the image is predicted as a
                whole, whatever its size.

        Returns:
            ``(C, H, W)`` float32 in [0, 1] with sum 1 over the classes, in the order of ``classes.names``.

        Raises:
            InvalidInput: as for a call; or more than 4 GiB of probabilities.
        """
        from wsss.models.segmentation_networks.blockwise_prediction import probability_array

        options = self._overridden(scales=scales, flip=flip, max_side=max_side, tile=tile, overlap=overlap)
        return probability_array(self._network, as_rgb(image, self._reading), len(self.classes), **options)

    def _overridden(self, **options: Any) -> dict[str, Any]:
        """Return the options of `predict`: those of `load_segmenter`, overridden by those that are not ``None``."""
        given = {name: value for name, value in options.items() if value is not None}
        chosen = _checked(**self._options | given, one_call={"tile", "max_side"} <= given.keys())
        views = {name: chosen[name] for name in ("scales", "flip", "max_side")}
        return {**views, "tiling": self._tiling(chosen)}

    def _tiling(self, options: Mapping[str, Any]) -> Tiling | None:
        from wsss.models.windows.tile_limits import tiling_of

        return tiling_of(self._network, options["tile"], options["overlap"])


def load_segmenter(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    max_side: int | None = None,
    tile: int | None = None,
    overlap: int | None = None,
) -> Predictor:
    """Load the network of a `segment` or `calibrate` stage.

    Args:
        path: the stage's folder, or another one with ``model.json`` and ``model.safetensors``.
        device: ``auto`` (a GPU if available), ``cpu`` or ``cuda``.
        scales: scale factors of the image, over which probabilities are averaged.
        flip: also use the mirror image.
        max_side: maximum side length in pixels; larger images are downscaled for the network.
        tile: side of overlapping tiles in pixels of the network's input, for larger images. By default, masks are
            predicted in tiles of 1024 pixels with an overlap of 256 if ``max_side`` does not downscale the image, and
            it has more than 4.2 megapixels (2²²) or 268 million class probabilities (2²⁸: with more than 64 classes),
            at the largest scale or at full size, whichever is larger.
        overlap: pixels shared by neighbouring tiles, at most half of ``tile``; by default 256, or half of a smaller
            tile.

    Raises:
        InvalidInput: no segmentation network in the folder, no GPU available, or an invalid option.

    Example:
        >>> import wsss
        >>> segment = wsss.load_segmenter("runs/quickstart/segment", device="cpu")
        >>> mask = segment("photo.png")
        >>> mask.shape, mask.dtype.name
        ((40, 30), 'uint8')
    """
    import torch

    from wsss.models.segmentation_networks.segmenters import load_reading
    from wsss.models.segmentation_networks.segmenters import load_segmenter as load
    from wsss.models.weights.folding import fold_for_inference
    from wsss.pipeline.processes.device import check_device, resolve_device
    from wsss.train.runtime import torch_device

    check_device(device)
    options = _checked(scales, flip, max_side, tile, overlap)
    folder = expand_home(path)
    network, classes = load(folder)
    resolved = resolve_device(device)
    network.to(torch_device(resolved)).to(memory_format=torch.channels_last)
    fold_for_inference(network)
    return Predictor(network, classes, device=resolved, reading=load_reading(folder), **options)


def as_rgb(image: AnyImage, reading: Reading | None = None) -> NDArray[np.uint8]:
    """Return an image as ``(H, W, 3)`` uint8 RGB: upright, contiguous and writeable, without a copy if possible.

    Args:
        image: a path, a Pillow image, or an array.
        reading: conversion of files and Pillow images. Its ``page`` also applies to TIFFs opened with Pillow; those
            whose current frame is neither the first nor this page are refused.

    Raises:
        InvalidInput: an unreadable file, an image that does not fit ``reading``, an array of the wrong shape or type,
            or an object of another type.
    """
    from PIL import Image

    from wsss.io.rasters.pixel_values.opened_pages import at_page
    from wsss.io.rasters.pixel_values.reading import PLAIN
    from wsss.io.rasters.rgb_images import read_image, rgb_array

    if isinstance(image, str | os.PathLike):
        return read_image(expand_home(image), reading or PLAIN)
    if isinstance(image, Image.Image):
        try:
            image.load()
        except (OSError, ValueError, SyntaxError) as error:  # raised by Pillow for invalid and closed images
            raise InvalidInput(f"cannot be read ({error})", subject="image") from error
        if 0 in image.size:
            raise InvalidInput(f"no pixels ({image.width}×{image.height})", subject="image")
        with at_page(image, (reading or PLAIN).page):
            return rgb_array(image, "image", reading or PLAIN)
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:
            # torch does not support negative strides, and warns of read-only memory
            return np.require(image, requirements=["C", "W"])
        problem = f"invalid array of shape {image.shape} and type {image.dtype}"
        raise InvalidInput(problem, subject="image", allowed="(H, W, 3) uint8, RGB")

    raise InvalidInput(
        subject="image",
        allowed="a path, a Pillow image or a NumPy array",
        found=type(image).__name__,
        hint="Pass one image per call." if isinstance(image, list | tuple) else None,
    )


class Views(Settings):
    """Scales and mirror images over which predictions are averaged, and the tiles of large images."""

    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1, description="scale factors of the image")
    flip: bool = Field(default=False, description="also use the mirrored image")
    max_side: int | None = Field(default=None, ge=16, description="maximum longer side in pixels")
    tile: TileSide | None = Field(default=None, description="side of the tiles of larger images")
    overlap: Overlap | None = Field(default=None, description="pixels shared by neighbouring tiles")

    @model_validator(mode="after")
    def _tiles_exceed_their_overlap(self) -> Views:
        check_overlap(self.tile, self.overlap)
        return self


class ViewsOfOneCall(Views):
    """Views whose ``tile`` and ``max_side`` were set together: tiles that no image exceeds are a mistake."""

    @model_validator(mode="after")
    def _images_exceed_their_tiles(self) -> ViewsOfOneCall:
        check_below_image_size(self.tile, self.scales, self.max_side)
        return self


def _checked(
    scales: Sequence[float],
    flip: bool,
    max_side: int | None,
    tile: int | None,
    overlap: int | None,
    *,
    one_call: bool = True,
) -> dict[str, Any]:
    """Return the options of a prediction, validated like the config of the stage `predict`.

    Args:
        scales, flip, max_side, tile, overlap: see `load_segmenter`.
        one_call: whether ``max_side`` and ``tile`` were set together. Otherwise, no image needs to exceed a tile.

    Raises:
        InvalidInput: an option is invalid.
    """
    factors = scales.tolist() if isinstance(scales, np.ndarray) else scales
    if not isinstance(factors, Sequence) or isinstance(factors, str | bytes):
        allowed = "a sequence of numbers, such as (0.75, 1.0, 1.25) or (1,)"
        raise InvalidInput(subject="scales", allowed=allowed, found=scales)
    options = {"scales": list(factors), "flip": flip, "max_side": max_side, "tile": tile, "overlap": overlap}
    return dict(validate(ViewsOfOneCall if one_call else Views, options, where=""))
