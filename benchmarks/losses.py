"""Speed of the topological losses: what a step costs beside the matching, and clDice beside its published form.

Run it with ``python benchmarks/losses.py`` (``--help`` for the options). Times are CPU time of one thread, the median
over repetitions, after compilation, forward and backward; what is compared is timed in turn, so that changes of the
machine's speed even out.

clDice is compared with its published formulation (jocpae/clDice, written out below): soft skeletons of all channels of
prediction and label, an erosion computed twice where two lines need it.

The last table times every loss with TopoMortar's settings, beside what its public implementation took on another
machine: batch 2, two channels, 256², binary labels never seen before, the least of many repetitions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from pydantic import TypeAdapter
from topology import KINDS, cpu_ms, pair
from torch import Tensor, nn

from wsss.losses.any_loss import LossConfig
from wsss.losses.base import build_loss
from wsss.losses.betti_matching import BettiMatchingLoss
from wsss.losses.cldice import ClDiceLoss
from wsss.losses.skeleton_recall import SkeletonRecallLoss
from wsss.topology import betti_matching, warmup

PUBLISHED_CLDICE = {3: 131, 10: 296, 25: 585}
"""Milliseconds of the public implementation at batch 2, 256², by iterations, measured on another machine."""

PUBLISHED_LOSSES: dict[str, float | None] = {
    "ce_dice": 1.6,
    "region_wise": 10,
    "topoloss": 245,
    "topo": None,
    "cldice": 131,
    "warping": 732,
    "skeleton_recall": 4.7,
    "cbdice": 4509,
    "betti_matching": 90,
}
"""Milliseconds of the public implementations, by preset; of Betti matching the C++ one (Python: 8648)."""


def in_turn(functions: dict[str, Callable[[], object]], budget: float) -> dict[str, float]:
    """Return the median CPU milliseconds of each function."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    end = time.perf_counter() + budget
    while time.perf_counter() < end or min(map(len, times.values())) < 3:
        for name, function in functions.items():
            times[name].append(cpu_ms(function))
    return {name: statistics.median(found) for name, found in times.items()}


def step(loss: nn.Module, logits: Tensor, target: Tensor) -> Callable[[], None]:
    """Return a function that runs a loss forward and backward."""

    def run() -> None:
        logits.grad = None
        loss(logits, target).backward()

    return run


def betti_lines(sizes: list[int], budget: float) -> list[dict[str, Any]]:
    """Time matching alone, the term's step, and the step with its base loss, on one pair."""
    lines: list[dict[str, Any]] = []
    for kind in KINDS:
        for size in sizes:
            pred, gt = pair(kind, size)
            margin = torch.logit(torch.from_numpy(pred).clamp(1e-3, 1 - 1e-3))
            logits = torch.stack([-margin / 2, margin / 2])[None].requires_grad_()
            target = torch.from_numpy(gt > 0.5).long()[None]
            probabilities = (logits[:, 1] - logits[:, 0]).sigmoid()[0].detach().numpy()
            label = target[0].numpy() == 1
            alone = BettiMatchingLoss(base_weight=0, threads=1)
            with_base = BettiMatchingLoss(threads=1)
            ms = in_turn(
                {
                    "matching": lambda p=probabilities, g=label: betti_matching(p, g),
                    "term": step(alone, logits, target),
                    "with_dice": step(with_base, logits, target),
                },
                budget,
            )
            line = {"kind": kind, "size": size, **ms, "ratio": ms["term"] / ms["matching"]}
            print(
                f"{kind:>9}{size:>9}{ms['matching']:>10.2f}{ms['term']:>10.2f}{line['ratio']:>8.2f}"
                f"{ms['with_dice']:>10.2f}",
                flush=True,
            )
            lines.append(line)
    return lines


def published_cldice(logits: Tensor, classes: Tensor, iterations: int) -> Tensor:
    """Soft clDice in its published formulation, of softmax probabilities and one-hot labels ``(B, C, H, W)``."""

    def erode(image: Tensor) -> Tensor:
        return torch.min(-F.max_pool2d(-image, (3, 1), (1, 1), (1, 0)), -F.max_pool2d(-image, (1, 3), (1, 1), (0, 1)))

    def opened(image: Tensor) -> Tensor:
        return F.max_pool2d(erode(image), (3, 3), (1, 1), (1, 1))

    def thin(image: Tensor) -> Tensor:
        skeleton = F.relu(image - opened(image))
        for _ in range(iterations):
            image = erode(image)
            delta = F.relu(image - opened(image))
            skeleton = skeleton + F.relu(delta - skeleton * delta)
        return skeleton

    probabilities = logits.softmax(1)
    predicted, true = thin(probabilities), thin(classes)
    precision = ((predicted * classes)[:, 1:].sum() + 1) / (predicted[:, 1:].sum() + 1)
    sensitivity = ((true * probabilities)[:, 1:].sum() + 1) / (true[:, 1:].sum() + 1)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def cldice_lines(budget: float) -> list[dict[str, Any]]:
    """Time clDice at batch 2, two classes, 256², for labels never seen and for labels seen before."""
    pred, gt = zip(*(pair("blurred", 256) for _ in range(2)), strict=True)
    margin = torch.logit(torch.stack([torch.from_numpy(one) for one in pred]).clamp(1e-3, 1 - 1e-3))
    margin = margin + 0.1 * torch.randn(margin.shape, generator=torch.Generator().manual_seed(0))
    logits = torch.stack([-margin / 2, margin / 2], 1).requires_grad_()
    target = torch.stack([torch.from_numpy(one > 0.5) for one in gt]).long()
    classes = F.one_hot(target, 2).movedim(-1, 1).float().contiguous()
    lines: list[dict[str, Any]] = []
    for iterations, published in PUBLISHED_CLDICE.items():
        settings = {"base_weight": 0, "alpha": 1, "iterations": iterations}
        fresh, seen = (ClDiceLoss(**settings, cache_mb=mb) for mb in (0, 64))

        def public(n: int = iterations) -> None:
            logits.grad = None
            published_cldice(logits, classes, n).backward()

        ms = in_turn({"public": public, "new": step(fresh, logits, target), "seen": step(seen, logits, target)}, budget)
        difference = abs(float(fresh(logits, target).detach() - published_cldice(logits, classes, iterations).detach()))
        print(
            f"clDice, {iterations:>2} iterations: published form {ms['public']:.0f} (elsewhere {published}), ours "
            f"{ms['new']:.0f} ({ms['public'] / ms['new']:.1f}×), with a label seen before {ms['seen']:.0f} "
            f"({ms['public'] / ms['seen']:.1f}×); values differ by {difference:.0e}",
            flush=True,
        )
        lines.append({"iterations": iterations, **ms, "ratio": ms["public"] / ms["new"], "difference": difference})
    recall = [SkeletonRecallLoss(base_weight=0, cache_mb=mb) for mb in (0, 64)]
    ms = in_turn({"new": step(recall[0], logits, target), "seen": step(recall[1], logits, target)}, budget)
    print(f"Skeleton Recall: new label {ms['new']:.1f}, seen before {ms['seen']:.1f} (public, elsewhere: 4.7)")
    return lines


def every_loss(budget: float) -> list[dict[str, Any]]:
    """Time a step of every loss with TopoMortar's settings, on labels that no cache knows."""
    pred, gt = zip(*(pair("blurred", 256) for _ in range(2)), strict=True)
    margin = torch.logit(torch.stack([torch.from_numpy(one) for one in pred]).clamp(1e-3, 1 - 1e-3))
    logits = torch.stack([-margin / 2, margin / 2], 1).requires_grad_()
    target = torch.stack([torch.from_numpy(one > 0.5) for one in gt]).long()
    presets = Path(__file__).parents[1] / "configs" / "loss" / "topomortar"
    lines: list[dict[str, Any]] = []
    for name, published in PUBLISHED_LOSSES.items():
        read = yaml.safe_load((presets / f"{name}.yaml").read_text(encoding="utf-8"))["loss"]
        config = TypeAdapter(LossConfig).validate_python(read)
        config = config.model_copy(update={k: v for k, v in (("cache_mb", 0), ("threads", 1)) if hasattr(config, k)})
        run = step(build_loss(config), logits, target)
        run()
        times: list[float] = []
        end = time.perf_counter() + budget
        while time.perf_counter() < end or len(times) < 5:
            times.append(cpu_ms(run))
        least, median = min(times), statistics.median(times)
        ratio = f"{published / least:>9.1f}×" if published else ""
        print(f"{name:>16}{least:>10.2f}{median:>10.2f}{published or '–':>10}{ratio}", flush=True)
        lines.append({"loss": name, "least": least, "median": median, "published": published})
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512], metavar="N")
    parser.add_argument("--budget", type=float, default=3.0, help="seconds per line")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    options = parser.parse_args()

    torch.set_num_threads(1)
    print(f"compilation, or loading from the cache: {warmup():.1f} s", file=sys.stderr)
    print("Betti matching loss, one pair, two channels: milliseconds")
    print(f"{'kind':>9}{'size':>9}{'matching':>10}{'term':>10}{'ratio':>8}{'+ Dice':>10}")
    betti = betti_lines(options.sizes, options.budget)
    print("Batch 2, two channels, 256²: milliseconds")
    cldice = cldice_lines(options.budget)
    print("Every loss with TopoMortar's settings, batch 2, two channels, 256²: milliseconds")
    print(f"{'loss':>16}{'least':>10}{'median':>10}{'public':>10}")
    every = every_loss(options.budget)
    if options.json:
        print(json.dumps({"betti_matching": betti, "cldice": cldice, "losses": every}))


if __name__ == "__main__":
    main()
