"""What the sections of `gpu` share: the device, sizes, generated data, networks with random weights, and timing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wsss.models.classifier import CAMClassifier, build_classifier
from wsss.models.config import ClassifierConfig
from wsss.models.weights.folding import freeze_batchnorm

CLASSES = 20
"""Foreground classes of photographs, as in PASCAL VOC."""


@dataclass(frozen=True)
class Setting:
    """Where and how much is measured.

    Args:
        device: the device that is compared with the CPU, and measured.
        quick: tiny sizes, to check that the program runs; its numbers mean nothing.
        seconds: time of each measurement.
        workers: processes that load images, times two; see `wsss.train.training_job.RunContext`.
    """

    device: torch.device
    quick: bool
    seconds: float
    workers: int

    def sized(self, full: Any, quick: Any) -> Any:
        """Return one of two values."""
        return quick if self.quick else full

    @property
    def trunk(self) -> dict[str, Any]:
        """Settings of the backbone."""
        return {"name": self.sized("resnet50", "mobilenet_v2"), "output_stride": self.sized(16, 32), "weights": "none"}

    def synchronise(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def reset_peak(self) -> None:
        """Forget the peak of the memory."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> str:
        """Return the peak of the memory allocated by torch since `reset_peak`; a CPU has none."""
        return f"{torch.cuda.max_memory_allocated(self.device) / 2**30:.2f}" if self.device.type == "cuda" else "–"

    def milliseconds(self, call: Callable[[], object]) -> float:
        """Return the median wall-clock time of a call, after one that is not counted."""
        call()
        times: list[float] = []
        end = time.perf_counter() + self.seconds
        while len(times) < self.sized(3, 1) or time.perf_counter() < end:
            self.synchronise()
            start = time.perf_counter()
            call()
            self.synchronise()
            times.append((time.perf_counter() - start) * 1000)
        return statistics.median(times)


def photographs(count: int, size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Return smooth random pictures with noise, ``(N, H, W, 3)``."""
    random = np.random.default_rng(seed)
    pictures = np.empty((count, *size, 3), np.uint8)
    for picture in pictures:
        coarse = random.uniform(0, 255, (8, 8, 3)).astype(np.float32)
        smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
        picture[:] = (smooth + random.normal(0, 6, smooth.shape)).clip(0, 255)
    return pictures


def masks(count: int, size: tuple[int, int], classes: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return masks of smooth random regions, ``(N, H, W)``, with a band of ignored pixels."""
    random = np.random.default_rng(seed)
    result = np.empty((count, *size), np.uint8)
    for mask in result:
        coarse = random.uniform(0, classes, (max(2, size[0] // 16), max(2, size[1] // 16))).astype(np.float32)
        mask[:] = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR).clip(0, classes - 1)
    result[:, : size[0] // 16] = 255
    return result


def classifier(setting: Setting, *, frozen: bool = True) -> CAMClassifier:
    """Return a classifier with random weights; ``frozen``: with frozen BatchNorm, as in most presets."""
    torch.manual_seed(0)
    model = build_classifier(ClassifierConfig.model_validate({"backbone": setting.trunk}), CLASSES)
    nn.init.normal_(model.head.weight, std=0.1)
    if frozen:
        freeze_batchnorm(model.backbone)
    return model
