"""Hand-written minimal loops that do the work of each stage: the floor of its cost; see `pipeline`.

    python benchmarks/pipeline_floors.py STAGE SAMPLES RESULTS OUT

The networks are those that the stage has saved in RESULTS, with the stage's batch size, crops, scales and learning
rates; the loops read and write the same kinds of files. There are no checks, progress, checkpoints, logs, worker
processes or guarantees that a result does not depend on chance.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Work:
    """Input and output of a loop.

    Args:
        samples: images with ``id``, ``image``, ``mask`` and ``labels`` (indices ≥ 1).
        values: value in masks by class index.
        results: folder of the finished stages.
        out: folder for the loop's own results.
        settings: config of the stage.
    """

    samples: list[dict[str, Any]]
    values: list[int]
    results: Path
    out: Path
    settings: dict[str, Any]

    @classmethod
    def load(cls, stage: str, samples: str, results: str, out: str) -> Work:
        """Read the list of samples and the config recorded by the stage."""
        listed = json.loads(Path(samples).read_text())
        record = json.loads((Path(results) / stage / "stage.json").read_text())
        Path(out).mkdir(parents=True, exist_ok=True)
        return cls(listed["samples"], listed["values"], Path(results), Path(out), record["config"])

    @property
    def indices(self) -> Pixels:
        """Table value in masks → class index; unknown values are background."""
        table = np.zeros(256, np.uint8)
        table[255] = 255
        table[self.values] = range(len(self.values))
        return table

    @property
    def stored(self) -> Pixels:
        """Table class index → value in masks."""
        table = np.full(256, 255, np.uint8)
        table[: len(self.values)] = self.values
        return table


def read_rgb(path: str | Path) -> Pixels:
    """Read an image ``(H, W, 3)``."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)


def read_labels(path: str | Path) -> Pixels:
    """Read the values of a mask ``(H, W)``."""
    with Image.open(path) as image:
        return np.asarray(image)


def write_labels(path: Path, mask: Pixels) -> None:
    """Write a mask as a palette PNG."""
    image = Image.fromarray(mask)
    image.putpalette([value for index in range(256) for value in (index, index, index)])
    image.save(path)


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


def scaled(array: Pixels, factor: float, interpolation: int = cv2.INTER_LINEAR) -> Pixels:
    """Resize an image or a mask by a factor."""
    return np.asarray(cv2.resize(array, None, fx=factor, fy=factor, interpolation=interpolation), np.uint8)


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
    from wsss.train.sampler_training import LogitsAndArea, area_loss, sampler_groups

    classifier, _ = load_classifier(work.results / stage)
    settings = work.settings
    optimiser = AdamWConfig.model_validate(
        {k: v for k, v in settings["optimiser"].items() if k != "name"} | {"name": "adamw"}
    )
    groups = sampler_groups(
        classifier,
        getattr(classifier.samplers, name),
        optimiser,
        update=settings["update"],
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

    from wsss.models.segmenters import load_segmenter

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


def views(image: Pixels, settings: dict[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Yield the network's inputs ``(1, 3, H', W')`` at every scale, and mirrored."""
    import torch

    for scale in settings["scales"]:
        batch = torch.from_numpy(scaled(image, scale))[None].permute(0, 3, 1, 2)
        yield batch, False
        if settings["flip"]:
            yield batch.flip(3), True


def cam(work: Work, classifier: str) -> None:
    """Compute class activation maps."""
    import torch
    import torch.nn.functional as F

    from wsss.models.classifier import load_classifier

    network, _ = load_classifier(work.results / classifier)
    network.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for sample in work.samples:
            image = read_rgb(sample["image"])
            size = [-(-side // work.settings["stride"]) for side in image.shape[:2]]
            total = torch.zeros(len(work.values) - 1, *size)
            for view, mirrored in views(image, work.settings):
                scores = network.maps(network.features(view)).relu()
                maps = F.interpolate(scores, size, mode="bilinear")[0]
                total += maps.flip(2) if mirrored else maps
            kept = total[[index - 1 for index in sample["labels"]]]
            kept /= kept.amax((1, 2), keepdim=True).clamp(min=1e-9)
            np.savez(work.out / f"{sample['id']}.npz", maps=kept.half().numpy(), classes=np.array(sample["labels"]))


def pseudo(work: Work) -> None:
    """Threshold maps by Otsu's method, over all maps of a class."""
    from skimage.filters import threshold_otsu

    files = {sample["id"]: work.results / "cam" / "cams" / f"{sample['id']}.npz" for sample in work.samples}
    counts = np.zeros((len(work.values), 256))
    for file in files.values():
        cams = np.load(file)
        for index, one in zip(cams["classes"], cams["maps"], strict=True):
            counts[index] += np.histogram(one, 256, (0, 1))[0]
    centres = (np.arange(256) + 0.5) / 256
    thresholds = [threshold_otsu(hist=(each, centres)) if each.any() else 1.0 for each in counts]
    for sample in work.samples:
        cams = np.load(files[sample["id"]])
        height, width = cams["size"]
        mask, best = np.zeros((height, width), np.uint8), np.zeros((height, width), np.float32)
        for index, one in zip(cams["classes"], cams["maps"], strict=True):
            full = cv2.resize(one.astype(np.float32), (int(width), int(height)))
            mask[(full > thresholds[index]) & (full > best)] = index
            best = np.maximum(full, best)
        write_labels(work.out / f"{sample['id']}.png", work.stored[mask])


def present(work: Work, sample: dict[str, Any]) -> tuple[Pixels, Pixels, Pixels]:
    """Return an image, its pseudo mask as positions in the sorted values of its classes, and those values."""
    mask = read_labels(work.results / "pseudo" / "masks" / f"{sample['id']}.png")
    values = np.array(sorted({0, *(work.values[index] for index in sample["labels"])}), np.uint8)
    return read_rgb(sample["image"]), np.searchsorted(values, mask).clip(0, len(values) - 1).astype(np.uint8), values


def crf(work: Work) -> None:
    """Refine pseudo masks by the lattice."""
    from wsss.refine.dense_crf import CrfConfig, refine_labels

    config = CrfConfig.model_validate(
        {key: work.settings[key] for key in CrfConfig.model_fields if key in work.settings}
    )
    for sample in work.samples:
        image, labels, values = present(work, sample)
        refined = refine_labels(image, labels, len(values), config)
        write_labels(work.out / f"{sample['id']}.png", values[refined])


def predict(work: Work) -> None:
    """Predict masks and class probabilities."""
    import torch
    import torch.nn.functional as F

    from wsss.models.segmenters import load_segmenter

    network, _ = load_segmenter(work.results / "segment")
    network.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for sample in work.samples:
            image = read_rgb(sample["image"])
            total = torch.zeros(len(work.values), *image.shape[:2])
            for view, mirrored in views(image, work.settings):
                probabilities = network(view).softmax(1)
                probabilities = probabilities.flip(3) if mirrored else probabilities
                total += F.interpolate(probabilities, image.shape[:2], mode="bilinear")[0]
            total /= len(work.settings["scales"]) * (1 + work.settings["flip"])
            np.savez(work.out / f"{sample['id']}.npz", probabilities=total.half().numpy())
            write_labels(work.out / f"{sample['id']}.png", work.stored[total.argmax(0).numpy()])


def score(work: Work) -> None:
    """Compute the IoU of every class."""
    count, table = len(work.values), work.indices
    confusion = np.zeros((count, count + 1), np.int64)
    for sample in work.samples:
        truth = table[read_labels(sample["mask"])]
        predicted = table[read_labels(work.results / "predict" / "masks" / f"{sample['id']}.png")]
        known = truth != 255
        pairs = truth[known].astype(np.int64) * (count + 1) + np.minimum(predicted[known], count)
        confusion += np.bincount(pairs, minlength=confusion.size).reshape(confusion.shape)
    hits = confusion.diagonal()
    union = confusion.sum(1) + confusion[:, :count].sum(0) - hits
    (work.out / "scores.json").write_text(json.dumps((hits / union.clip(1)).tolist()))


FLOORS: dict[str, Callable[[Work], None]] = {
    "classify": classify,
    "expand": lambda work: sampler(work, "expand", "expansion"),
    "shrink": lambda work: sampler(work, "shrink", "shrinkage"),
    "cam": lambda work: cam(work, "shrink"),
    "cam-plain": lambda work: cam(work, "classify"),
    "pseudo": pseudo,
    "crf": crf,
    "segment": segment,
    "predict": predict,
    "score": score,
}

if __name__ == "__main__":
    FLOORS[sys.argv[1]](Work.load(*sys.argv[1:]))
