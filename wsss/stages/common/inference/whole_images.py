"""Prediction of some images, each as a whole, for stages that measure a network without writing masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from wsss.errors import InvalidInput
from wsss.pipeline.stage import Context, Input
from wsss.stages.common.inference.input_classifier import require_same_classes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample
    from wsss.models.segmentation_networks.segmenters import SegmentationNetwork

R = TypeVar("R")

NETWORK = Input(("segmenter",), "folder of a segment stage, or a copy of its network", alias="weights")


def chosen_images(config: Any, data: Dataset) -> list[Sample]:
    """Return the images of ``splits`` or, if there are more than ``max_images``, as many evenly spaced ones."""
    samples = data.samples(config.splits)
    count = min(len(samples), config.max_images)
    return [samples[position * len(samples) // count] for position in range(count)]


def load_network(ctx: Context[Any]) -> tuple[SegmentationNetwork, Classes]:
    """Return the network of the input ``segmenter`` and its classes.

    Raises:
        InvalidInput: the folder contains no network, or its classes differ from those of the dataset.
    """
    from wsss.models.segmentation_networks.segmenters import load_segmenter

    folder = ctx.inputs["segmenter"].path
    network, classes = load_segmenter(folder)
    require_same_classes(folder, "network", classes.names, ctx.data.classes.names)
    return network, classes


def predict_whole(
    ctx: Context[Any],
    network: SegmentationNetwork,
    samples: Sequence[Sample],
    measure: Callable[[Sample, NDArray[np.uint8]], R],
) -> list[R]:
    """Return the measurement of every image, computed by all ranks.

    Args:
        network: moved to the device, and prepared for inference in place.
        measure: receives a sample and its image ``(H, W, 3)`` uint8, and predicts it with the network.

    Raises:
        InvalidInput: some images cannot be read or predicted; lists them.
    """
    import torch

    from wsss.io.process.retained_memory import retained_memory
    from wsss.io.rasters.rgb_images import read_image
    from wsss.models.weights.folding import fold_for_inference
    from wsss.stages.common.inference.batches import require_all
    from wsss.train.runtime import deterministic, torch_device

    mine = ctx.ranks.shard(samples)
    network.to(torch_device(ctx.device)).to(memory_format=torch.channels_last)
    fold_for_inference(network)
    advance = ctx.progress.track("predicting", len(mine))
    measured: dict[str, R] = {}
    failed: dict[str, InvalidInput] = {}
    with deterministic(ctx.device, ctx.seed), retained_memory():
        for sample in mine:
            try:
                measured[sample.id] = measure(sample, read_image(*sample.source))
            except InvalidInput as error:
                failed[sample.id] = error if sample.id in error.message else error.within(sample.image)
            advance(1)
    require_all(ctx, failed, samples)
    results = {id: result for part in ctx.ranks.gather(measured) for id, result in part.items()}
    return [results[sample.id] for sample in samples]
