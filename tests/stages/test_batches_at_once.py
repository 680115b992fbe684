"""Several batches at once, as on a GPU: reading, computing and writing overlap, and results are the same."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import BACKBONE, CLASSES, coloured_dataset, contents, random_segmenter, run_stage
from onethread import one_thread
from torch import Tensor, nn

from wsss.data.sample import Sample
from wsss.errors import DamagedFile, InvalidInput
from wsss.models.backbones import OwnStatistics
from wsss.models.classifier import build_classifier, save_classifier
from wsss.models.config import ClassifierConfig
from wsss.models.segmentation_networks.blockwise_prediction import probability_array
from wsss.models.windows.tile_windows import Tiling
from wsss.stages import cam, predict
from wsss.stages.common.inference import batches
from wsss.stages.common.inference.batches import GPU_BATCHES, Batch, batches_at_once

__all__ = ["one_thread"]  # a fixture of every test here


def samples(count: int) -> list[Batch]:
    return [(Sample(f"image{number}", Path(f"image{number}.png")),) for number in range(count)]


def test_a_cpu_processes_one_batch_at_a_time() -> None:
    assert (batches_at_once("cpu"), batches_at_once("cuda")) == (1, GPU_BATCHES)


def test_batches_overlap_and_are_returned_in_order() -> None:
    both, running, most = threading.Barrier(2), [], []

    def work(batch: Batch) -> None:
        running.append(batch)
        most.append(len(running))
        both.wait(10)  # raises an error unless two batches are processed at once
        running.remove(batch)

    done = [batch for batch, _ in batches._processed(work, samples(6), print, 2)]
    assert done == samples(6) and max(most) == 2


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_failures_are_those_of_their_batches(at_once: int) -> None:
    def work(batch: Batch) -> None:
        if batch[0].id in ("image1", "image4"):
            raise InvalidInput("cannot be read", subject=batch[0].id)

    lines: list[str] = []
    results = list(batches._processed(work, samples(5), lines.append, at_once))
    assert [list(errors) for _, errors in results] == [[], ["image1"], [], [], ["image4"]]
    assert len(lines) == 2


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_damaged_file_ends_the_stage_after_the_batches_in_progress(at_once: int) -> None:
    seen = []

    def work(batch: Batch) -> None:
        seen.append(batch[0].id)
        if batch[0].id == "image0":
            raise DamagedFile("damaged", subject="weights")

    with pytest.raises(DamagedFile):
        list(batches._processed(work, samples(5), print, at_once))
    assert len(seen) <= at_once


@pytest.mark.parametrize("stage", ["cam", "predict"])
def test_results_of_stages_are_the_same(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = coloured_dataset(tmp_path / "data")
    if stage == "cam":
        torch.manual_seed(0)
        model = build_classifier(ClassifierConfig.model_validate({"backbone": BACKBONE}), len(CLASSES.foreground))
        save_classifier(tmp_path / "model", model, CLASSES)
        chosen, inputs = cam.STAGE, {"classifier": tmp_path / "model"}
        config: dict[str, Any] = {"scales": [1, 2], "splits": ["train"]}
    else:
        chosen, inputs = predict.STAGE, {"segmenter": random_segmenter(tmp_path / "model")}
        config = {"splits": ["train"], "save_probabilities": True}
    threads = set()
    failures = batches._failures
    monkeypatch.setattr(batches, "_failures", lambda *words: threads.add(threading.get_ident()) or failures(*words))
    run_stage(chosen, config, tmp_path / "one", data, **inputs)
    assert threads == {threading.get_ident()}
    monkeypatch.setattr(batches, "batches_at_once", lambda device: 2)
    result = run_stage(chosen, config, tmp_path / "two", data, **inputs)
    assert result.metrics["images"] == 4 and len(threads) == 3
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


class Meeting(nn.Module):
    """A network that normalises by the image's own statistics, after all threads have started a forward pass."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(threads, timeout=10)
        self.normalise, self.weight = OwnStatistics(), nn.Parameter(torch.tensor([[1.0, 2, 3], [3, 2, 1]]))

    def forward(self, images: Tensor) -> Tensor:
        self.barrier.wait()
        return torch.einsum("ck,bkhw->bchw", self.weight, self.normalise(images))


def test_tiles_of_two_images_use_the_statistics_of_their_own() -> None:
    bright = np.random.default_rng(0).integers(120, 256, (70, 140, 3), dtype=np.uint8)
    pictures = {"image0": bright, "image1": bright // 3}

    def tiled(at_once: int) -> dict[str, np.ndarray]:
        network, results = Meeting(at_once).eval(), {}

        def work(batch: Batch) -> None:
            results[batch[0].id] = probability_array(network, pictures[batch[0].id], 2, tiling=Tiling(64, 32))

        assert not any(errors for _, errors in batches._processed(work, samples(2), print, at_once))
        return results

    one, two = tiled(1), tiled(2)
    for name, whole in pictures.items():
        assert np.array_equal(one[name], two[name])
        np.testing.assert_allclose(two[name], probability_array(Meeting(1).eval(), whole, 2), atol=1e-5)
