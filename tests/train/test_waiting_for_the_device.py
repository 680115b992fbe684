"""A training step fetches no value from its tensors, since a GPU would be idle until new work arrives.

The tests run on a CPU, and record operators and methods that would wait for a GPU. They see neither transfers between
devices nor the branches of `ClDiceLoss` and the samplers that only a GPU takes; `benchmarks/gpu.py` counts these.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import Run
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE
from wsss.losses import build
from wsss.losses.targets import Contents, check_indices, contents_of, has_ignored, has_labelled, known_contents
from wsss.models.samplers import finite_or_nan
from wsss.train import loop
from wsss.train.config import DeepSupervisionConfig, TrainConfig
from wsss.train.corrected_examples import CorrectedExamples, weighted_mask_loss
from wsss.train.loop import TrainingJob, fit
from wsss.train.optim import Group
from wsss.train.tasks.classification import soft_margin
from wsss.train.tasks.segmentation import SegmentationExamples, mask_loss

FETCHING = {"_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "_unique2"}
"""Operators whose result, or its size, is a number in main memory."""

METHODS = {"cpu", "numpy", "tolist", "item", "__bool__", "__float__", "__int__", "__index__", "__array__"}
"""Methods of tensors that copy values to main memory; on a CPU, some of them are no operators."""


@contextmanager
def recorded_waits() -> Iterator[list[str]]:
    """Record the lines of the package that wait for a device, except those that make a batch in main memory."""
    lines: list[str] = []

    def add(what: str) -> None:
        frames = [frame for frame in traceback.extract_stack() if "/wsss/" in frame.filename]
        if frames and not any(frame.name == "collate" for frame in frames):
            lines.append(f"{Path(frames[-1].filename).name}: {frames[-1].line}: {what}")

    class Operators(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = function.overloadpacket.__name__
            indices = args[1] if name in ("index", "index_put", "index_put_", "_index_put_impl_") else ()
            if name in FETCHING or any(each is not None and each.dtype == torch.bool for each in indices):
                add(name)
            return function(*args, **(kwargs or {}))

    class Methods(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(function, "__name__", "") in METHODS:
                add(function.__name__)
            return function(*args, **(kwargs or {}))

    with Operators(), Methods():
        yield lines


class Pixels(nn.Module):
    """A 1×1 convolution, with several outputs of three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        logits = self.layer(images.float() / 255)
        return [logits, 2 * logits]


class Masks:
    """Six random images with one or two masks."""

    def __init__(self, *, ignored: bool = True, masks: int = 1) -> None:
        self.ignored, self.masks = ignored, masks

    def __len__(self) -> int:
        return 6

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, ...]:
        random = np.random.default_rng(item[0])
        image, *masks = (random.integers(0, n, (n, 12, 12), dtype=np.uint8) for n in (3, *[3] * self.masks))
        for mask in masks if self.ignored else []:
            mask[:, :4] = IGNORE
        return torch.from_numpy(image), *(torch.from_numpy(mask[0]) for mask in masks)


def waits_of_training(
    out: Path, monkeypatch: pytest.MonkeyPatch, loss: Callable[..., Tensor], examples: Masks, collate: Any
) -> list[str]:
    """Train two steps as on a GPU, forward, backward and optimiser; return what waited."""
    seen: list[str] = []
    step = loop._Loop._step

    def watched(self: Any, batches: Any) -> Tensor:
        with recorded_waits() as waits:
            value = step(self, batches)
        seen.extend(waits)
        return value

    monkeypatch.setattr(loop, "steps_between_fetches", lambda device: 100)
    monkeypatch.setattr(loop._Loop, "_step", watched)
    model = Pixels()
    keys = {"steps": 2, "batch_size": 2, "accumulate": 2, "clip_norm": 1.0, "optimiser": {"name": "sgd", "lr": 0.1}}
    groups = [Group(list(model.parameters()))]
    before = model.layer.weight.clone()
    job = TrainingJob(name="watched", model=model, groups=groups, examples=examples, loss=loss, collate=collate)
    fit(job, TrainConfig.model_validate(keys), Run(out))
    assert not torch.equal(model.layer.weight, before)
    return seen


@pytest.mark.parametrize("name", ["ce", "dice", "ce_dice", "symmetric_ce", "bootstrap", "label_distribution"])
def test_a_step_of_segmentation_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for ignored in (False, True):
        with monkeypatch.context() as patch:
            loss, examples = mask_loss(build(name), DeepSupervisionConfig()), Masks(ignored=ignored)
            out = tmp_path / str(ignored)
            assert waits_of_training(out, patch, loss, examples, SegmentationExamples.collate) == []


def test_a_step_on_corrected_masks_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = weighted_mask_loss(build("ce_dice"), DeepSupervisionConfig(), 3.0)
    assert waits_of_training(tmp_path, monkeypatch, loss, Masks(masks=2), CorrectedExamples.collate) == []


def test_a_wait_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without their contents, the device is asked whether masks are valid; TopoLoss needs probabilities."""
    loss = mask_loss(build("ce_dice"), DeepSupervisionConfig())
    waits = waits_of_training(tmp_path / "plain", monkeypatch, loss, Masks(), None)
    assert {line.partition(":")[0] for line in waits} == {"targets.py"}
    loss = mask_loss(build("topoloss"), DeepSupervisionConfig())
    monkeypatch.undo()
    waits = waits_of_training(tmp_path / "topoloss", monkeypatch, loss, Masks(), SegmentationExamples.collate)
    # Sparse gradients of more than two classes need the probabilities of all classes.
    assert {line.partition(":")[0] for line in waits} == {"host_copy.py", "sparse.py"}


def test_the_loss_of_classifiers_waits_for_nothing() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    labels = torch.tensor([[0.0, 1.0, math.nan], [1.0, 0.0, 0.0]])
    with recorded_waits() as waits:
        soft_margin(logits, labels).backward()
    assert waits == [] and logits.grad is not None


@pytest.mark.filterwarnings("ignore::wsss.losses.targets.OnlyBackground")
@pytest.mark.parametrize("values", [(0, 1, 2), (0, 255, 2), (0, 255, 0), (255, 255, 255), (0, 0, 0)])
def test_contents_agree_with_a_search(values: tuple[int, ...]) -> None:
    masks = torch.tensor(values, dtype=torch.uint8).view(1, 1, 3)
    target, known = masks.long(), contents_of(masks)
    assert known == Contents(max([value for value in values if value != IGNORE], default=-1), IGNORE in values)
    searched = check_indices(target, 3), has_ignored(target), has_labelled(target)
    with known_contents(target, known), recorded_waits() as waits:
        assert (check_indices(target, 3), has_ignored(target), has_labelled(target)) == searched
    assert waits == []


@pytest.mark.parametrize("name", ["ce_dice", "cldice", "betti_matching"])
def test_classes_out_of_range_are_refused_whatever_is_known(name: str) -> None:
    masks = torch.tensor([[[0, 1], [3, 255]]], dtype=torch.uint8)
    target = masks.long()
    with known_contents(target, contents_of(masks)), pytest.raises(InvalidInput) as error:
        build(name)(torch.zeros(1, 3, 2, 2), target)
    assert error.value.found == [3]


def test_known_contents_are_of_one_tensor_and_version() -> None:
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    with known_contents(target, Contents(0, False)):
        assert not has_ignored(target)
        assert has_ignored(torch.full_like(target, IGNORE))
        target[0, 0, 0] = IGNORE
        assert has_ignored(target)
    assert has_ignored(target)


def test_on_a_gpu_offsets_that_are_not_finite_make_the_features_nan() -> None:
    offsets = torch.tensor([0.5, math.nan, math.inf, -2.0], requires_grad=True)
    kept, nan = finite_or_nan(offsets)
    assert kept.tolist() == [0.5, 0.0, 0.0, -2.0] and nan.isnan()
    kept.sum().backward()
    assert offsets.grad is not None and offsets.grad.tolist() == [1, 0, 0, 1]
    with recorded_waits() as waits:
        kept, nan = finite_or_nan(torch.tensor([0.5, -2.0]))
    assert kept.tolist() == [0.5, -2.0] and nan.item() == 0 and waits == []
