"""Cost of a training step of DeepLabV3 with MobileNetV2, with frozen first layers and in bfloat16.

    MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1 python benchmarks/frozen_layers.py

CPU time of one thread, best of some rounds in turn, relative to training all layers in single precision. The
environment variables keep memory in the process, as wsss does in training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from wsss.models.backbones import build_backbone
from wsss.models.config import BackboneConfig, LocalWeights, SegmenterConfig
from wsss.models.segmentation_networks.segmenters import Segmenter
from wsss.models.weights.initial import Origin

CLASSES = 7


def training_step(stride: int | None, precision: str, batch: int, side: int) -> Callable[[], None]:
    """Return a function that makes one step on random images with random weights."""
    torch.manual_seed(0)
    weights = LocalWeights(path="unused")
    backbone = BackboneConfig(name="mobilenet_v2", freeze_batchnorm=True, freeze_to_stride=stride, weights=weights)
    origin = Origin({}, weights.mean, weights.std)
    trunk, _ = build_backbone(backbone, last=False, origin=origin)
    network = Segmenter(SegmenterConfig(backbone=backbone, head="deeplabv3"), trunk, origin, CLASSES).train()
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 1e-4)
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
    masks = torch.randint(0, CLASSES, (batch, side, side))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            logits = network(images)
        optimiser.zero_grad()
        F.cross_entropy(logits.float(), masks).backward()
        optimiser.step()

    return step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16, help="images per step; default 16")
    parser.add_argument("--size", type=int, default=256, help="side of the images; default 256")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = [(stride, precision) for stride in (None, 4, 8) for precision in ("32-true", "bf16-mixed")]
    steps = {case: training_step(*case, arguments.batch, arguments.size) for case in cases}
    best = dict.fromkeys(cases, float("inf"))
    for number in range(arguments.rounds + 1):
        for case, step in steps.items():
            began = time.process_time()
            step()
            if number:  # the first round allocates memory
                best[case] = min(best[case], time.process_time() - began)
    print("| | 32-true | bf16-mixed |\n|---|---|---|")
    for stride in (None, 4, 8):
        name = "all layers" if stride is None else f"`freeze_to_stride: {stride}`"
        ratios = [best[stride, precision] / best[None, "32-true"] for precision in ("32-true", "bf16-mixed")]
        print(f"| {name} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
