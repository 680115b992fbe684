"""Speed of the losses: Betti matching beside the matching alone, CE + Dice and clDice beside public forms.

Run it with ``python benchmarks/losses.py`` (``--help`` for the options). Times are CPU time of one thread, the median
over repetitions, after compilation, forward and backward; what is compared is timed in turn, so that changes of the
machine's speed even out.

The bound of a step of Betti matching is a step without the matching's loss, settings or checks (`MatchingOnly`):
probabilities and label mask, the matching, and a gradient of zeros through autograd: what any such loss does in torch.

CE + Dice is compared with MONAI's ``DiceCELoss``, which TopoMortar uses, and with the plain form of many repositories
(`plain_ce_dice`); clDice with its published formulation (jocpae/clDice, written out below): soft skeletons of all
channels of prediction and label, an erosion computed twice where two lines need it.

The last table times every loss with TopoMortar's settings, beside what its public implementation took on another
machine: batch 2, two channels, 256², binary labels never seen before, the least of many repetitions.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from monai.losses import DiceCELoss
from pydantic import TypeAdapter
from topology import KINDS, cpp_matching, cpp_reference, cpu_ms, pair
from torch import Tensor

from wsss.losses.any_loss import LossConfig
from wsss.losses.base import build_loss
from wsss.losses.region import CrossEntropyDiceLoss
from wsss.losses.topological.betti_matching import BettiMatchingLoss
from wsss.losses.topological.cldice import ClDiceLoss
from wsss.losses.topological.skeleton_recall import SkeletonRecallLoss
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
    "betti_matching": None,
}
"""Milliseconds of the public implementations, by preset. The C++ one of Betti matching is timed if it is built."""


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


def step(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Callable[[], None]:
    """Return a function that runs a loss forward and backward."""

    def run() -> None:
        logits.grad = None
        loss(logits, target).backward()

    return run


class MatchingOnly(torch.autograd.Function):
    """A matching within autograd, with gradients of zeros: the least that a step of a Betti matching loss does."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        """Match the probabilities of channel 1 with its mask."""
        ctx.save_for_backward(logits)
        probabilities = (logits[:, 1] - logits[:, 0]).sigmoid_()
        betti_matching(probabilities[0].numpy(), target[0].numpy() == 1)
        return logits.new_zeros(())

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        """Return zeros."""
        return torch.zeros_like(ctx.saved_tensors[0]), None


def betti_lines(sizes: list[int], budget: float) -> list[dict[str, Any]]:
    """Time matching alone, its bound, the term's step, and the step with its base loss, on one pair."""
    lines: list[dict[str, Any]] = []
    cpp = cpp_reference()
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
                    "bound": step(MatchingOnly.apply, logits, target),
                    "term": step(alone, logits, target),
                    "with_dice": step(with_base, logits, target),
                    **({"cpp_matching": lambda p=probabilities, g=label: cpp_matching(cpp, p, g)} if cpp else {}),
                },
                budget,
            )
            ratios = {f"{name}_ratio": ms[name] / ms["matching"] for name in ("bound", "term")}
            line = {"kind": kind, "size": size, **ms, **ratios}
            print(
                f"{kind:>9}{size:>9}{ms['matching']:>10.2f}{ms['bound']:>10.2f}{ratios['bound_ratio']:>8.2f}"
                f"{ms['term']:>10.2f}{ratios['term_ratio']:>8.2f}{ms['with_dice']:>10.2f}"
                + (f"{ms['cpp_matching']:>14.2f}" if cpp else ""),
                flush=True,
            )
            lines.append(line)
    return lines


def plain_ce_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy + Dice of all classes and images, without checks and ignored pixels."""
    probabilities = logits.softmax(1)
    classes = torch.zeros_like(probabilities).scatter_(1, target.unsqueeze(1), 1.0)
    overlap, area = (probabilities * classes).sum((2, 3)), classes.sum((2, 3))
    dice = (2 * overlap + 1e-5) / (probabilities.sum((2, 3)) + area + 1e-5)
    return F.cross_entropy(logits, target) + 1 - dice.mean()


def ce_dice_line(budget: float) -> dict[str, float]:
    """Time CE + Dice and its public forms at batch 2, two classes, 256²."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 256, 256, generator=random).requires_grad_()
    target = torch.randint(0, 2, (2, 256, 256), generator=random)
    dice = {"name": "dice", "background": True, "absent": "count", "per_image": True, "smooth": 1e-5}
    ours, monai = CrossEntropyDiceLoss(dice=dice), DiceCELoss(to_onehot_y=True, softmax=True)
    forms = {"ours": ours, "plain": plain_ce_dice, "monai": lambda x, y: monai(x, y.unsqueeze(1))}
    values = [float(form(logits, target).detach()) for form in forms.values()]
    if not all(math.isclose(value, values[0], rel_tol=1e-5) for value in values):
        raise RuntimeError(f"the forms of CE + Dice differ: {values}")
    ms = in_turn({name: step(form, logits, target) for name, form in forms.items()}, budget)
    print(
        f"CE + Dice: ours {ms['ours']:.2f}, plain form {ms['plain']:.2f} ({ms['plain'] / ms['ours']:.2f}×), MONAI "
        f"{ms['monai']:.2f} ({ms['monai'] / ms['ours']:.2f}×)",
        flush=True,
    )
    return ms


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
    head = f"{'kind':>9}{'size':>9}{'matching':>10}{'bound':>10}{'ratio':>8}{'term':>10}{'ratio':>8}{'+ Dice':>10}"
    print(head + (f"{'C++ matching':>14}" if cpp_reference() else ""))
    betti = betti_lines(options.sizes, options.budget)
    print("Batch 2, two channels, 256²: milliseconds")
    ce_dice = ce_dice_line(options.budget)
    cldice = cldice_lines(options.budget)
    print("Every loss with TopoMortar's settings, batch 2, two channels, 256²: milliseconds")
    print(f"{'loss':>16}{'least':>10}{'median':>10}{'public':>10}")
    every = every_loss(options.budget)
    if options.json:
        print(json.dumps({"betti_matching": betti, "ce_dice": ce_dice, "cldice": cldice, "losses": every}))


if __name__ == "__main__":
    main()
