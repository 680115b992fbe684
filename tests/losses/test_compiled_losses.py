"""Losses in steps that users compile with ``torch.compile``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from wsss.losses import build
from wsss.losses.catalogue import LOSSES

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Forget compiled code: recompilations have a limit."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("name", "step"),
    # `Loss` decides whether it is traced; alone, one of each kind.
    [("betti_matching", "alone"), ("cldice", "alone"), *((name, "in a step") for name in sorted(LOSSES))],
)
def test_values_and_gradients_are_those_without_compilation(name: str, step: str) -> None:
    loss = build(name)
    torch.manual_seed(0)
    logits, target = torch.randn(2, 2, 24, 24, requires_grad=True), torch.randint(0, 2, (2, 24, 24))
    target[0, :3] = 255
    expected = loss(logits * 2, target)
    called = loss if step == "alone" else lambda logits, target: loss(logits, target) * 1
    value = torch.compile(called, backend="eager")(logits * 2, target)
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    gradients = [torch.autograd.grad(one, logits)[0] for one in (expected, value)]
    torch.testing.assert_close(*gradients)
    assert gradients[0].any()
