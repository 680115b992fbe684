"""Hand-written training loops: the floor of the cost of training; see `pipeline_floors`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pipeline_work import Pixels, Work, read_labels, read_rgb, scaled


def crop(image: Pixels, mask: Pixels, settings: dict[str, Any], rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Cut a random square out of an image and its mask, padded if necessary and flipped at random."""
    side = settings["size"]
    right, below = (max(0, side - length) for length in (image.shape[1], image.shape[0]))
    image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=settings["fill"])
    mask = cv2.copyMakeBorder(mask, 0, below, 0, right, cv2.BORDER_CONSTANT, value=255)
    top, left = (int(rng.integers(length - side + 1)) for length in image.shape[:2])
    step = -1 if rng.random() < settings["flip"] else 1
    window = np.s_[top : top + side, left : left + side]
    return np.ascontiguousarray(image[window][:, ::step]), np.ascontiguousarray(mask[window][:, ::step])


def jitter(image: Pixels, settings: dict[str, Any] | None, rng: np.random.Generator) -> Pixels:
    """Change brightness, contrast, saturation and hue of an image at random."""
    if settings is None or rng.random() >= settings["probability"]:
        return image
    light, contrast, colour = (1 + rng.uniform(-1, 1, 3)) * [
        settings[k] for k in ("brightness", "contrast", "saturation")
    ]
    image = cv2.convertScaleAbs(image, alpha=light)
    image = cv2.convertScaleAbs(image, alpha=contrast, beta=max(0.0, (1 - contrast) * image.mean()))
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    hsv = cv2.cvtColor(cv2.addWeighted(image, colour, grey, 1 - colour, 0), cv2.COLOR_RGB2HSV)
    turn = round(180 * rng.uniform(-settings["hue"], settings["hue"]))
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + turn) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def train(
    work: Work, network: Any, groups: Sequence[Any], example: Callable[..., Any], loss: Callable[..., Any]
) -> None:
    """Train for an epoch.

    Args:
        work: see `Work`.
        network: images ``(B, 3, S, S)`` uint8 → output.
        groups: parameters with the factor of their learning rate.
        example: (sample, generator) → image ``(S, S, 3)`` and target.
        loss: (network, (images, targets)) → scalar.
    """
    import torch

    rng, settings, samples = np.random.default_rng(0), work.settings, work.samples
    rate, decay = settings["optimiser"]["lr"], settings["optimiser"]["weight_decay"]
    parameters = [{"params": [p for p in each if p.requires_grad], "lr": rate * factor} for each, factor in groups]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    network.to(memory_format=torch.channels_last).train()
    order = rng.permutation(len(samples))
    for start in range(0, len(samples), settings["batch_size"]):
        chosen = [example(samples[index], rng) for index in order[start : start + settings["batch_size"]]]
        images, targets = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*chosen, strict=True))
        optimiser.zero_grad()
        loss(network, (images.permute(0, 3, 1, 2), targets)).backward()
        optimiser.step()


def labelled(work: Work) -> Callable[..., Any]:
    """Return the examples of classification: crops of scaled images, and labels."""
    settings = work.settings["augmentation"]
    low, high = settings["longer_side"]

    def example(sample: dict[str, Any], rng: np.random.Generator) -> tuple[Pixels, NDArray[np.float32]]:
        image = read_rgb(sample["image"])
        image = scaled(image, rng.integers(low, high + 1) / max(image.shape), cv2.INTER_AREA)
        labels = np.zeros(len(work.values) - 1, np.float32)
        labels[[index - 1 for index in sample["labels"]]] = 1
        return crop(image, image[..., 0], settings, rng)[0], labels

    return example


def halves(network: Any, factor: float) -> list[tuple[list[Any], float]]:
    """Return the parameters of backbone and head, with the factors of their learning rates."""
    named = list(network.named_parameters())
    trunk = [parameter for name, parameter in named if name.startswith("backbone.")]
    return [(trunk, 1.0), ([parameter for name, parameter in named if not name.startswith("backbone.")], factor)]


def classify(work: Work) -> None:
    """Train a classifier."""
    import torch.nn.functional as F

    from wsss.models.classifier import load_classifier

    network, _ = load_classifier(work.results / "classify")
    groups = halves(network, work.settings["optimiser"]["head_lr_factor"])
    train(
        work,
        network,
        groups,
        labelled(work),
        lambda model, batch: F.multilabel_soft_margin_loss(model(batch[0]), batch[1]),
    )


def sampler(work: Work, stage: str, name: str) -> None:
    """Train a sampler."""
    from wsss.models.classifier import load_classifier
    from wsss.train.config import AdamWConfig
    from wsss.train.tasks.sampler_training import LogitsAndArea, area_loss, sampler_groups

    classifier, _ = load_classifier(work.results / stage)
    settings = work.settings
    optimiser = AdamWConfig.model_validate(
        {k: v for k, v in settings["optimiser"].items() if k != "name"} | {"name": "adamw"}
    )
    groups = sampler_groups(
        classifier,
        getattr(classifier.samplers, name),
        optimiser,
        trainable=settings["trainable"],
        offset_factor=settings["offset_lr_factor"],
        kernel_factor=settings["kernel_lr_factor"],
    )
    pairs = [(group.parameters, group.factor) for group in groups]
    train(
        work,
        LogitsAndArea(classifier),
        pairs,
        labelled(work),
        lambda model, batch: area_loss(settings["area"], model, batch),
    )


def segment(work: Work) -> None:
    """Train a segmentation network."""
    import torch.nn.functional as F

    from wsss.models.segmentation_networks.segmenters import load_segmenter

    network, _ = load_segmenter(work.results / "segment")
    settings, indices = work.settings["augmentation"], work.indices
    groups = halves(network, work.settings["optimiser"]["head_lr_factor"])

    def example(sample: dict[str, Any], rng: np.random.Generator) -> tuple[Pixels, NDArray[np.int64]]:
        factor = rng.uniform(*settings["scale"])
        image = scaled(read_rgb(sample["image"]), factor, cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        mask = read_labels(work.results / "crf" / "masks" / f"{sample['id']}.png")
        image, mask = crop(image, scaled(indices[mask], factor, cv2.INTER_NEAREST), settings, rng)
        return jitter(image, settings["colour"], rng), mask.astype(np.int64)

    train(
        work,
        network,
        groups,
        example,
        lambda model, batch: F.cross_entropy(model(batch[0]), batch[1], ignore_index=255),
    )
