"""Small datasets, networks and contexts for tests of training and inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wsss.data.classes import Classes
from wsss.data.corrections.correction_folder import Corrections, write_corrections
from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.io.files.stage_files import CHECKPOINT, cam_path
from wsss.io.rasters.cams import Cams, write_cams
from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.pipeline.processes.precision import usable_precision
from wsss.pipeline.processes.ranks import SingleRank
from wsss.pipeline.stage import Artifact, Context, Result, Stage
from wsss.validation import validate

CLASSES = Classes(("background", "red", "green"), ((0,), (40,), (90,)))
"""Mask values on disk differ from indices, to detect missing conversions."""

BACKBONE = {"name": "timm/test_resnet", "weights": "none"}
"""A step takes a fifth of that of mobilenet_v2, and a checkpoint a twentieth of its disk space."""

SMALL_TRAINING: dict[str, Any] = {
    "backbone": BACKBONE,
    "epochs": 2,
    "batch_size": 2,
    "augmentation": {"size": 32},
    "optimiser": {"name": "adamw", "lr": 0.003, "head_lr_factor": 3},
}

SMALL_SEGMENTATION = {**SMALL_TRAINING, "head_channels": 8}


def coloured_dataset(
    root: Path, *, train: int = 4, val: int = 2, size: tuple[int, int] = (36, 44), classes: Classes = CLASSES
) -> Dataset:
    """Return a dataset of noise images with a square in the colour of each class, with masks."""
    splits: dict[str, tuple[Sample, ...]] = {}
    for name, count in (("train", train), ("val", val)):
        splits[name] = tuple(_sample(root, f"{name}{number}", number, size, classes) for number in range(count))
    return Dataset("coloured", root, classes, splits)


def _sample(root: Path, image_id: str, number: int, size: tuple[int, int], classes: Classes) -> Sample:
    generator = np.random.default_rng(list(image_id.encode()))
    image = generator.integers(90, 160, (*size, 3), dtype=np.uint8)
    mask = np.zeros(size, np.uint8)
    foreground = len(classes) - 1
    labels = tuple(sorted({1 + number % foreground, 1 + (number // 2) % foreground}))
    for number, index in enumerate(labels):
        top, left = int(generator.integers(0, size[0] - 16)), 2 + number * size[1] // 2
        image[top : top + 14, left : left + 16] = 30
        image[top : top + 14, left : left + 16, index - 1] = 240
        mask[top : top + 14, left : left + 16] = classes.values[index][0]
    write_png(root / "images" / f"{image_id}.png", image)
    write_mask(root / "masks" / f"{image_id}.png", mask)
    return Sample(image_id, root / "images" / f"{image_id}.png", labels, root / "masks" / f"{image_id}.png")


def write_corrected(folder: Path, masks: Mapping[str, np.ndarray], kept: Corrections | None = None) -> Path:
    """Write corrected masks of class indices ``(H, W)`` with their record, and return the folder."""
    write_corrections(folder, CLASSES, masks.items(), dict.fromkeys(masks, ("folder", "x")), kept)
    return folder


def write_maps(
    folder: Path,
    data: Dataset,
    splits: Sequence[str] = ("train",),
    *,
    inside: float = 0.8,
    outside: float = 0.1,
    step: int = 4,
) -> Path:
    """Write maps of the ground truth, with one element per ``step`` pixels; return the folder."""
    for sample in data.samples(splits):
        truth = read_sample_mask(sample, data.classes)
        labels = sample.labels or ()
        maps = [np.where(truth == index, inside, outside)[::step, ::step] for index in labels]
        size = (truth.shape[0], truth.shape[1])
        write_cams(cam_path(folder, sample.id), Cams(np.stack(maps).astype(np.float32), labels, size))
    return folder


class Silent:
    """Progress that displays nothing and records its calls."""

    def __init__(self) -> None:
        self.bars: list[tuple[str, int, int]] = []
        self.advanced = 0

    def track(self, description: str, total: int, done: int = 0) -> Callable[[int], None]:
        self.bars.append((description, total, done))
        return self._advance

    def _advance(self, count: int) -> None:
        self.advanced += count


@dataclass
class Run:
    """Context of the training loop."""

    out: Path
    seed: int = 0
    device: str = "cpu"
    precision: str | None = None
    workers: int = 0
    progress: Any = field(default_factory=Silent)
    ranks: Any = field(default_factory=SingleRank)
    lines: list[str] = field(default_factory=list)
    identity: str = "training"

    @property
    def log(self) -> Callable[[str], None]:
        return self.lines.append


def run_stage(
    stage: Stage[Any],
    config: dict[str, Any],
    out: Path,
    data: Any,
    *,
    lines: list[str] | None = None,
    seed: int = 0,
    workers: int = 0,
    **inputs: Path | Artifact,
) -> Result:
    """Validate and run one stage like the runner, without a run store."""
    artifacts = {name: value if isinstance(value, Artifact) else Artifact(value) for name, value in inputs.items()}
    checked = validate(stage.config, config, where=stage.name)
    stage.check(checked, data)
    out.mkdir(parents=True, exist_ok=True)
    context = Context(
        config=checked,
        out=out,
        inputs={name: artifacts.get(name) for name in stage.inputs},
        data=data,
        seed=seed,
        device="cpu",
        workers=workers,
        progress=Silent(),
        ranks=SingleRank(),
        log=(lines if lines is not None else []).append,
        run_dir=out.parent,
        precision=usable_precision(checked.precision, "cpu") if hasattr(checked, "precision") else None,
    )
    stage.ready(context)
    return stage.run(context)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files that must be reproducible."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "tensorboard" not in path.parts and path.name != CHECKPOINT
    }


def random_classifier(name: str = "resnet18", **config: Any) -> Any:
    """Return a classifier of three classes with random weights.

    Args:
        name: the backbone.
        config: other keys of the config.
    """
    import torch

    from wsss.models.classifier import build_classifier
    from wsss.models.config import ClassifierConfig

    torch.manual_seed(0)
    backbone = {"name": name, "weights": "none"}
    model = build_classifier(ClassifierConfig.model_validate({"backbone": backbone, **config}), 3).eval()
    torch.nn.init.normal_(model.head.weight)
    return model.to(memory_format=torch.channels_last)


def classifier_with_samplers(placement: str, merge: str) -> Any:
    """Return a classifier of three classes with random weights and both samplers, whose paths ``merge`` merges."""
    import torch

    from wsss.models.backbones import build_backbone
    from wsss.models.classifier import CAMClassifier
    from wsss.models.config import BackboneConfig, TrainedClassifierConfig

    torch.manual_seed(0)
    sampler = {"offset_init": 0.5}
    sampling = {"placement": placement, "expansion": sampler, "shrinkage": sampler | {"clip": 0.5}, "merge": merge}
    config = {"backbone": {"name": "mobilenet_v2", "weights": "none"}, "sampling": sampling}
    backbone, origin = build_backbone(BackboneConfig.model_validate(config["backbone"]))
    model = CAMClassifier(TrainedClassifierConfig.model_validate(config), backbone, origin, 3).eval()
    torch.nn.init.normal_(model.head.weight)
    return model


def noise_pictures(count: int = 2, height: int = 48, width: int = 36) -> Any:
    """Return pictures ``(count, height, width, 3)`` of noise."""
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def random_segmenter(folder: Path) -> Path:
    """Write a network with a random head that predicts every class somewhere; return its folder."""
    import torch

    from wsss.models.config import SegmenterConfig
    from wsss.models.segmentation_networks.segmenters import build_segmenter, save_segmenter

    torch.manual_seed(0)
    network = build_segmenter(SegmenterConfig.model_validate({"backbone": BACKBONE}), len(CLASSES))
    with torch.no_grad():  # logits of a standard deviation of two, with the same mean for all classes
        for weight in network.head.parameters():
            weight.normal_(0, 1)
        logits = network.eval()(torch.from_numpy(picture_of_colours()).permute(2, 0, 1)[None])
        scale, layers = 2 / logits.std(), network.head.layers
        for layer in (layers.low_classifier, layers.high_classifier):
            layer.weight *= scale
            layer.bias *= scale
        layers.low_classifier.bias -= scale * logits.mean((0, 2, 3))
    save_segmenter(folder, network, CLASSES)
    return folder


def picture_of_colours() -> Any:
    """Return a picture ``(40, 30, 3)`` of noise and red."""
    picture = np.random.default_rng(1).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    picture[:20] = (255, 0, 0)
    picture[:, 20:] //= 4
    return picture
