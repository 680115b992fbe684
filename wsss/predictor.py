"""A trained segmentation network as a Python function: image in, mask out.

segment = wsss.load_segmenter("runs/voc_animals/segment")
mask = segment("photo.jpg")  # (H, W) uint8 with the dataset's own values
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from wsss.data.sample import Classes
    from wsss.models.segmenters import SegmentationNetwork

    AnyImage = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


class Predictor:
    """A segmentation network with its classes; call it with an image. Made by `load_segmenter`.

    Attributes:
        classes: names, background first, and the values that stand for them in masks.
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
    ) -> None:
        self.classes, self.device = classes, device
        self._network = network
        self._options = _checked(scales, flip, max_side)

    @property
    def values(self) -> Mapping[str, int]:
        """Class name → its value in masks, background first."""
        return {name: values[0] for name, values in zip(self.classes.names, self.classes.values, strict=True)}

    def __call__(
        self,
        image: AnyImage,
        *,
        scales: Sequence[float] | None = None,
        flip: bool | None = None,
        max_side: int | None = None,
    ) -> NDArray[np.uint8]:
        """Return the mask of an image: the values that the dataset has for its classes.

        Args:
            image: a path, a Pillow image, or ``(H, W, 3)`` uint8 RGB; it is not changed.
            scales, flip, max_side: instead of those given to `load_segmenter`.

        Returns:
            ``(H, W)`` uint8, at the size of the upright image. The same as `wsss predict` writes.

        Raises:
            InvalidInput: the image is missing or broken, or is none of these three; an option has a wrong value.
        """
        from wsss.models.blockwise_prediction import predict

        options = self._chosen(scales, flip, max_side)
        return self.classes.decode(predict(self._network, as_rgb(image)[None], len(self.classes), **options).masks[0])

    def probabilities(
        self,
        image: AnyImage,
        *,
        scales: Sequence[float] | None = None,
        flip: bool | None = None,
        max_side: int | None = None,
    ) -> NDArray[np.float32]:
        """Return the probability of every class at every pixel.

        Args:
            image, scales, flip, max_side: as for a call.

        Returns:
            ``(C, H, W)`` float32 in [0, 1], in the order of ``classes.names``; they add up to 1 over the classes. Of
            all classes at once: a photograph of 24 megapixels and 21 classes needs several times 2 GB.
        """
        from wsss.models.inference import class_probabilities

        options = self._chosen(scales, flip, max_side)
        found = class_probabilities(self._network, as_rgb(image)[None], **options)[0].cpu().numpy()
        return np.asarray(found, np.float32)

    def _chosen(self, scales: Sequence[float] | None, flip: bool | None, max_side: int | None) -> dict[str, Any]:
        """Return the options of one call: those given to it, and for the rest those given to `load_segmenter`."""
        given = {"scales": scales, "flip": flip, "max_side": max_side}
        return _checked(**{**self._options, **{name: value for name, value in given.items() if value is not None}})


def load_segmenter(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    max_side: int | None = None,
) -> Predictor:
    """Load the network of a `segment` stage.

    Args:
        path: the stage's folder, or any with its ``model.json`` and ``model.safetensors``.
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        scales: factors on the image's size; the probabilities of all of them are averaged.
        flip: also use the mirror image.
        max_side: larger images are made smaller for the network, to this longer side in pixels.

    Raises:
        InvalidInput: no segmentation network there, or no GPU where one was asked for.

    Example:
        >>> import wsss
        >>> segment = wsss.load_segmenter("runs/quickstart/segment", device="cpu")
        >>> mask = segment("photo.png")
        >>> mask.shape, mask.dtype.name
        ((40, 30), 'uint8')
    """
    import torch

    from wsss.models.segmenters import load_segmenter as load
    from wsss.pipeline.processes.device import DEVICES, resolve_device
    from wsss.train.runtime import torch_device

    if device not in DEVICES:
        raise InvalidInput(f"device: found {device!r}; allowed are {', '.join(DEVICES)}.")
    options = _checked(scales, flip, max_side)
    network, classes = load(Path(path))
    resolved = resolve_device(device)
    network.to(torch_device(resolved)).to(memory_format=torch.channels_last)
    return Predictor(network, classes, device=resolved, **options)


def as_rgb(image: AnyImage) -> NDArray[np.uint8]:
    """Return an image as ``(H, W, 3)`` uint8 RGB, upright, contiguous and writeable: the caller's own where it is so.

    Raises:
        InvalidInput: a file that can't be read, an array of another shape or type, or something else altogether.
    """
    from PIL import Image

    from wsss.io.rasters.rgb_images import read_image, rgb_array

    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        try:
            image.load()
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises for broken and for closed ones
            raise InvalidInput(f"image: can't be read ({error}).") from error
        if 0 in image.size:
            raise InvalidInput(f"image: found no pixels ({image.width}×{image.height}).")
        return rgb_array(image, "image")
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:
            # torch takes neither negative strides nor, without a warning, read-only memory; such arrays are copied
            return np.require(image, requirements=["C", "W"])
        raise InvalidInput(f"image: found an array {image.shape} of {image.dtype}; expected (H, W, 3) of uint8, RGB.")
    several = "Call it once for each image." if isinstance(image, list | tuple) else None
    raise InvalidInput(
        f"image: found {type(image).__name__}; expected a path, a Pillow image or a NumPy array.", hint=several
    )


def _checked(scales: Sequence[float], flip: bool, max_side: int | None) -> dict[str, Any]:
    """Return the options of a prediction, checked as the config of the stage `predict` is.

    Raises:
        InvalidInput: one has a wrong value, or ``scales`` is no sequence.
    """
    from wsss.models.config import Views
    from wsss.validation import validate

    several = scales.tolist() if isinstance(scales, np.ndarray) else scales
    if not isinstance(several, Sequence) or isinstance(several, str | bytes):
        raise InvalidInput(f"scales: found {scales!r}; allowed are several numbers, such as (0.75, 1.0, 1.25) or (1,).")
    given = {"scales": list(several), "flip": flip, "max_side": max_side}
    config = validate(Views, given, where="")
    return {"scales": config.scales, "flip": config.flip, "max_side": config.max_side}
