"""Training steps on a device, by the training loop of wsss, from examples in main memory to the optimiser's step."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from gpu_setting import CLASSES, Setting, classifier, masks, photographs
from torch import Tensor, nn

from wsss.data.image_transforms.augmentation import SegmentationAugmentation
from wsss.losses.base import Loss, build_loss
from wsss.models.segmentation_networks.segmenters import build_segmenter
from wsss.pipeline.config.source import read_yaml
from wsss.pipeline.processes.ranks import SingleRank
from wsss.stages.segment import SegmentConfig
from wsss.train.config import TrainConfig
from wsss.train.image_cache import ArrayCache
from wsss.train.loop import MAX_LOADERS, TrainingJob, fit
from wsss.train.optim import trunk_and_head
from wsss.train.tasks.classification import multilabel_loss
from wsss.train.tasks.segmentation import SegmentationExamples, mask_loss

COLUMNS = ("training step", "precision", "batch", "ms", "images/s", "peak GiB", "waits per step")
CONFIGS = Path(__file__).parents[1] / "configs"


class Silent:
    """No progress bars."""

    def track(self, description: str, total: int, done: int = 0) -> Callable[[int], None]:
        """Return a function that does nothing."""
        return lambda steps: None


@dataclass
class Run:
    """Where the loop runs; see `wsss.train.training_job.RunContext`."""

    out: Path
    device: str
    workers: int
    seed: int = 0
    identity: str = "benchmark"
    precision: str | None = None
    progress: Any = field(default_factory=Silent)
    ranks: Any = field(default_factory=SingleRank)
    log: Callable[[str], None] = lambda line: None


class Stored:
    """Examples in main memory, without augmentation."""

    def __init__(self, *tensors: Tensor) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, ...]:
        return tuple(tensor[item[0]] for tensor in self.tensors)


@dataclass(frozen=True)
class Case:
    """One kind of training."""

    name: str
    model: nn.Module
    loss: Callable[..., Tensor]
    examples: Any
    config: dict[str, Any]
    collate: Any = None
    workers: int = 0


@dataclass
class Steps:
    """What is measured between two steps."""

    started: float = 0.0
    seconds: float = 0.0
    waits: int = 0


def measured(case: Case, setting: Setting, *, first: int, steps: int) -> Steps:
    """Train ``first`` steps that are not counted, then ``steps``; one more step ends the measurement."""
    result = Steps()

    def begin_step(step: int, total: int) -> None:
        if step == first:
            setting.synchronise()
            setting.reset_peak()
            caught.clear()
            result.started = time.perf_counter()
        elif step == first + steps:
            result.waits = sum("synchroniz" in str(each.message) for each in caught)
            setting.synchronise()
            result.seconds = time.perf_counter() - result.started

    config = TrainConfig.model_validate({**case.config, "epochs": None, "steps": first + steps + 1})
    groups = trunk_and_head(case.model, config.optimiser)
    job = TrainingJob(
        "benchmark", case.model, groups, case.examples, case.loss, begin_step=begin_step, collate=case.collate
    )
    with tempfile.TemporaryDirectory() as out, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(job, config, Run(Path(out), setting.device.type, case.workers))
    return result


def row(case: Case, setting: Setting) -> tuple[str, ...]:
    """Measure a case; the waits in another run, since reporting them takes time."""
    first, steps = setting.sized((4, 12), (1, 1))
    found = measured(case, setting, first=first, steps=steps)
    milliseconds, peak, waits = found.seconds / steps * 1000, setting.peak(), "–"
    if setting.device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
        try:
            waits = f"{measured(case, setting, first=2, steps=4).waits / 4:g}"
        finally:
            torch.cuda.set_sync_debug_mode("default")
    batch = case.config["batch_size"]
    precision = case.config.get("precision", "32-true")
    speed = f"{batch / milliseconds * 1000:.1f}"
    return case.name, precision, str(batch), f"{milliseconds:.1f}", speed, peak, waits


def cases(setting: Setting) -> Iterator[Case]:
    """Yield photographs with ResNet-50, and TopoMortar's protocol with three losses."""
    side, batch = setting.sized(512, 32), setting.sized(16, 2)
    images = torch.from_numpy(photographs(2 * batch, (side, side))).permute(0, 3, 1, 2).contiguous()
    labels = (torch.rand(2 * batch, CLASSES) < 0.1).float()
    target = torch.from_numpy(masks(2 * batch, (side, side), CLASSES + 1))
    # Quick sizes leave one feature per image, which BatchNorm normalises over two images: larger steps diverge.
    config = {"batch_size": batch, "optimiser": {"name": "sgd", "lr": setting.sized(1e-4, 1e-6)}}
    head = {"backbone": setting.trunk, "head": setting.sized("deeplabv3", "lraspp"), "batch_size": batch}
    segment = SegmentConfig.model_validate(head)
    loss = mask_loss(build_loss(segment.loss), segment.deep_supervision)
    for precision in setting.sized(("32-true", "bf16-mixed"), ("32-true",)):
        keys = {**config, "precision": precision}
        yield Case("classify", classifier(setting), multilabel_loss, Stored(images, labels), keys)
        model = build_segmenter(segment, CLASSES + 1)
        yield Case("segment", model, loss, Stored(images, target), keys, SegmentationExamples.collate)
    yield _loaded(setting, segment, loss, {**config, "precision": setting.sized("bf16-mixed", "32-true")})
    yield from topomortar(setting)


def _loaded(setting: Setting, segment: SegmentConfig, loss: Callable[..., Tensor], config: dict[str, Any]) -> Case:
    """Return training with augmentation by worker processes, of decoded photographs."""
    count, size = 4 * config["batch_size"], setting.sized((375, 500), (30, 40))
    rgb, target = photographs(count, size), masks(count, size, CLASSES + 1)
    pairs = ArrayCache(
        lambda index: torch.cat([torch.from_numpy(rgb[index]), torch.from_numpy(target[index])[..., None]], 2).numpy(),
        count,
        cache_bytes=1 << 30,
    )
    augmentation = SegmentationAugmentation.model_validate({"size": setting.sized(512, 32), "scale": (0.5, 2.0)})
    examples = SegmentationExamples(pairs, augmentation)
    name = f"segment, augmented by {min(setting.workers // 2, MAX_LOADERS)} processes"
    model = build_segmenter(segment, CLASSES + 1)
    return Case(name, model, loss, examples, config, SegmentationExamples.collate, setting.workers)


def topomortar(setting: Setting) -> Iterator[Case]:
    """Yield the paper's network and recipe: seven outputs, batches of 10 images of 512²."""
    for name in ("ce_dice", "cldice", "betti_matching"):
        values = {**read_yaml(CONFIGS / "segment" / "topomortar.yaml").value, **topomortar_loss(name)}
        if setting.quick:
            small = {"unet": {"levels": 3, "filters": [4, 8, 8], "deep_supervision": 1}, "deep_supervision": {}}
            values |= {**small, "batch_size": 2, "precision": "32-true"}
        config = SegmentConfig.model_validate(values)
        side, count = setting.sized(512, 32), 2 * config.batch_size
        images = torch.from_numpy(photographs(count, (side, side))).permute(0, 3, 1, 2).contiguous()
        target = torch.from_numpy(masks(count, (side, side), 2)).clamp(max=1)
        keys = {key: values[key] for key in ("batch_size", "precision", "optimiser", "clip_norm")}
        loss = mask_loss(build_loss(config.loss), config.deep_supervision)
        model = build_segmenter(config, 2)
        label = f"TopoMortar, {name}"
        yield Case(label, model, loss, Stored(images, target), keys, SegmentationExamples.collate)


def topomortar_loss(name: str) -> dict[str, Any]:
    """Return the settings of a loss in the preset ``loss/topomortar/NAME``."""
    return dict(read_yaml(CONFIGS / "loss" / "topomortar" / f"{name}.yaml").value)


def loss_rows(setting: Setting, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Time losses alone, forward and backward, on a batch of TopoMortar that is on the device."""
    shape = setting.sized((10, 2, 512, 512), (2, 2, 32, 32))
    target = torch.from_numpy(masks(shape[0], shape[2:], 2)).clamp(max=1).long().to(setting.device)
    logits = (torch.randn(shape) + 2 * torch.nn.functional.one_hot(target.cpu(), 2).movedim(-1, 1)).to(setting.device)
    for name in names:
        loss = build_loss(SegmentConfig.model_validate(topomortar_loss(name)).loss)
        setting.reset_peak()
        yield name, f"{setting.milliseconds(lambda loss=loss: _step(loss, logits)(target)):.1f}", setting.peak()


def _step(loss: Loss, logits: Tensor) -> Callable[[Tensor], None]:
    return lambda target: loss(logits.detach().requires_grad_(), target).backward()
