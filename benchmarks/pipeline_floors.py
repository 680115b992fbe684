"""Hand-written minimal loops that do the work of each stage: the floor of its cost; see `pipeline`.

    python benchmarks/pipeline_floors.py STAGE SAMPLES RESULTS OUT

The networks are those that the stage has saved in RESULTS, with the stage's batch size, crops, scales and learning
rates; the loops read and write the same kinds of files. There are no checks, progress, checkpoints, logs, worker
processes or guarantees that a result does not depend on chance.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import cv2
import numpy as np
from pipeline_training import classify, sampler, segment
from pipeline_work import Work, present, read_labels, read_rgb, views, write_labels


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

    from wsss.models.segmentation_networks.segmenters import load_segmenter

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
