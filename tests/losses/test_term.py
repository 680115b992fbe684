"""Base and term: weights, activation, the cache of labels, and the documentation."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from wsss.errors import InvalidInput
from wsss.losses import build
from wsss.losses.cache import LabelCache
from wsss.losses.catalogue import LOSSES
from wsss.losses.topological.host_copy import host_copy

NAMES = ("betti_matching", "cbdice", "cldice", "skeleton_recall", "warping")


def case() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 12, 12, generator=generator), torch.randint(0, 3, (2, 12, 12), generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_sum_of_base_and_term(name: str) -> None:
    logits, target = case()
    alone = build(name, base_weight=0, alpha=1)(logits, target)
    base = build("ce_dice")(logits, target)
    both = build(name, base={"name": "ce_dice"}, base_weight=0.25, alpha=3)(logits, target)
    torch.testing.assert_close(both, 0.25 * base + 3 * alone)
    assert alone.item() > 0


@pytest.mark.parametrize("name", ["betti_matching", "topoloss"])
def test_a_term_on_the_cpu_is_computed_after_the_base_loss(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy for the term is started before the base loss is queued, and only waited for after that."""
    loss, order = build(name), []
    module, base = sys.modules[type(loss).__module__], loss.base.forward

    def recorded(values: Tensor) -> Callable[[], Any]:
        order.append("copy")
        array = host_copy(values)
        return lambda: order.append("wait") or array()

    monkeypatch.setattr(module, "host_copy", recorded)
    monkeypatch.setattr(loss.base, "forward", lambda *args: order.append("base") or base(*args))
    loss(*case())
    assert order == ["copy", "base", "wait"]  # a GPU computes the base loss while a CPU computes the term


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("active_from", "first"), [(0, 0), (4, 4), (0.7, 7), (20, 10), (0.55, 6)])
def test_the_term_is_active_from_a_step_on(name: str, active_from: float, first: int) -> None:
    logits, target = case()
    loss = build(name, base={"name": "ce"}, active_from=active_from)
    base = loss.config.base_weight * build("ce")(logits, target)
    counted = []
    for step in range(10):
        loss.begin_step(step, 10)
        counted.append(loss(logits, target).item() != pytest.approx(base.item(), rel=1e-6))
    assert counted == [step >= first for step in range(10)]


@pytest.mark.parametrize(("fraction", "steps"), [(0.07, 100), (0.55, 100), (0.3, 10), (0.29, 100), (0.7, 12_000)])
def test_a_fraction_of_the_steps_is_not_rounded_up(fraction: float, steps: int) -> None:
    loss = build("cldice", active_from=fraction)
    active = []
    for step in range(steps):
        loss.begin_step(step, steps)
        active.append(loss.active)
    assert active.index(True) == round(fraction * steps)


@pytest.mark.parametrize("name", NAMES)
def test_one_channel_equals_two_with_a_background_of_zeros(name: str) -> None:
    logits, target = case()
    target = target.clamp(max=1)
    single = logits[:, :1]
    double = torch.cat([torch.zeros_like(single), single], 1)
    for base in ("ce", "dice", "ce_dice"):
        loss = build(name, base={"name": base})
        torch.testing.assert_close(loss(single, target), loss(double, target))


@pytest.mark.parametrize("name", NAMES)
def test_memory_format_changes_nothing(name: str) -> None:
    logits, target = case()
    grads = []
    for layout in (torch.contiguous_format, torch.channels_last):
        x = logits.to(memory_format=layout).detach().requires_grad_()
        build(name)(x, target).backward()
        grads.append(x.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_invalid_settings() -> None:
    for wrong in ({"stride": 4}, {"crop": 1}, {"alpha": -1}, {"base": {"name": "cldice"}}, {"dimension_weights": [1]}):
        with pytest.raises(InvalidInput):
            build("betti_matching", **wrong)


def test_the_cache_drops_the_least_recently_used_results() -> None:
    calls: list[int] = []

    def compute(label: Tensor) -> Tensor:
        calls.append(int(label.sum()))
        return ~label

    cache = LabelCache(compute, 1)
    labels = torch.zeros(4, 1, 512, 512, dtype=torch.bool)  # a quarter of a MiB each
    for number in range(4):
        labels[number, 0, 0, : number + 1] = True
    assert torch.equal(cache(labels), ~labels)
    cache(labels[:1])
    assert calls == [1, 2, 3, 4]
    fifth = torch.ones(1, 1, 512, 512, dtype=torch.bool)
    cache(fifth)  # drops the second
    cache(labels[[0, 2, 3]])
    assert len(calls) == 5 and cache.size <= cache.capacity
    cache(labels[1:2])
    assert len(calls) == 6
    assert LabelCache(compute, 0)(labels).shape == labels.shape


def test_the_example_of_the_documentation_runs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "losses.md").read_text()
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], names)
    assert names["logits"].grad.abs().sum() > 0
    listed = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert listed == set(LOSSES), "the table lists every loss"
