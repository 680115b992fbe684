"""`segment` on small coloured images."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from learning import BACKBONE, SMALL_SEGMENTATION, SMALL_TRAINING, contents, run_stage
from onethread import one_thread
from safetensors.torch import load_file

from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import CHECKPOINT
from wsss.io.rasters.label_masks import write_mask
from wsss.stages import classify, segment
from wsss.validation import validate

__all__ = ["one_thread"]  # a fixture of every test here


def test_supervision_is_recorded(data: Dataset, tmp_path: Path) -> None:
    config = SMALL_SEGMENTATION | {"epochs": 1}
    full = run_stage(segment.STAGE, config | {"labels": "ground-truth"}, tmp_path / "full", data)
    weak = run_stage(segment.STAGE, config, tmp_path / "weak", data, masks=data.root)
    assert full.provenance["supervision"] == "ground-truth masks"
    assert weak.provenance["supervision"] == "masks of unstated origin"
    noisy = replace(data, mask_kinds={"train": "noisy"})
    result = run_stage(segment.STAGE, config | {"labels": "ground-truth"}, tmp_path / "noisy", noisy)
    assert result.provenance["supervision"] == "noisy masks of the dataset"
    assert full.provenance["segmenter"] == f"lraspp on {BACKBONE['name']}"
    # The masks are the same files.
    assert contents(tmp_path / "full") == contents(tmp_path / "weak")
    assert {(read.split, read.kind) for read in segment.STAGE.reads(_config(config))} == {("train", "images")}
    reads = segment.STAGE.reads(_config(config | {"labels": "ground-truth"}))
    assert {(read.split, read.kind) for read in reads} == {("train", "images"), ("train", "masks")}


def _config(values: dict[str, Any]) -> Any:
    return segment.SegmentConfig.model_validate(values)


def test_the_moving_average_is_saved(data: Dataset, tmp_path: Path) -> None:
    def trained(name: str, **keys: Any) -> tuple[dict[str, torch.Tensor], Any]:
        result = run_stage(segment.STAGE, SMALL_SEGMENTATION | keys, tmp_path / name, data, masks=data.root)
        return load_file(tmp_path / name / "model.safetensors"), result

    last, without = trained("last")
    average, with_it = trained("average", ema=0.9)
    assert "weight_average" not in without.provenance
    assert with_it.provenance["weight_average"] == "moving average, decay 0.9"
    assert with_it.metrics == without.metrics  # training itself is the same
    checkpoint = torch.load(tmp_path / "average" / CHECKPOINT, weights_only=True)
    assert average.keys() == last.keys() == checkpoint["average"].keys()
    assert all(torch.equal(value, checkpoint["average"][name]) for name, value in average.items())
    assert all(torch.equal(value, checkpoint["model"][name]) for name, value in last.items())
    trained_parts = [name for name, value in last.items() if value.is_floating_point()]
    assert not any(torch.equal(average[name], last[name]) for name in trained_parts if name.endswith("weight"))


@pytest.mark.parametrize("decay", [0, 1, -0.5, 2])
def test_decays_that_average_nothing_are_refused(decay: float) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(segment.SegmentConfig, SMALL_SEGMENTATION | {"ema": decay}, where="segment")
    assert error.value.subject == "segment.ema" and error.value.found == decay


def test_segment_requires_masks_of_all_images(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        run_stage(segment.STAGE, SMALL_SEGMENTATION, tmp_path / "s", data)
    assert error.value.subject == "segment" and "labels: ground-truth" in str(error.value.hint)
    write_mask(tmp_path / "some/masks/train0.png", np.zeros((36, 44), np.uint8))
    with pytest.raises(InvalidInput) as error:
        run_stage(segment.STAGE, SMALL_SEGMENTATION, tmp_path / "s", data, masks=tmp_path / "some")
    assert error.value.subject == str(tmp_path / "some/masks") and "train1, train2, train3" in error.value.problem


@pytest.mark.parametrize(
    ("mask", "found"), [(np.full((36, 44), 3, np.uint8), [3]), (np.zeros((36, 40), np.uint8), "40×36")]
)
def test_segment_refuses_invalid_masks(data: Dataset, tmp_path: Path, mask: np.ndarray, found: Any) -> None:
    shutil.copytree(data.root / "masks", tmp_path / "masks")
    write_mask(tmp_path / "masks/train2.png", mask)
    with pytest.raises(InvalidInput) as error:
        run_stage(segment.STAGE, SMALL_SEGMENTATION, tmp_path / "s", data, masks=tmp_path)
    assert (error.value.subject, error.value.found) == (str(tmp_path / "masks/train2.png"), found)


def test_segment_refuses_masks_without_labelled_pixels(data: Dataset, tmp_path: Path) -> None:
    for number in range(4):
        write_mask(tmp_path / f"masks/train{number}.png", np.full((36, 44), 255, np.uint8))
    with pytest.raises(InvalidInput) as error:
        run_stage(segment.STAGE, SMALL_SEGMENTATION, tmp_path / "s", data, masks=tmp_path)
    assert error.value.subject == str(tmp_path / "masks")


def test_segment_on_sparse_masks(data: Dataset, tmp_path: Path) -> None:
    """Batches without labelled pixels have zero loss; a single labelled image is enough."""
    for number in range(4):
        mask = np.full((36, 44), 255, np.uint8)
        mask[:4, :4] = 40 if number == 3 else 255
        write_mask(tmp_path / f"masks/train{number}.png", mask)
    config = SMALL_SEGMENTATION | {"loss": {"name": "ce_dice"}}
    result = run_stage(segment.STAGE, config, tmp_path / "s", data, masks=tmp_path)
    assert np.isfinite(result.metrics["train_loss"])


def test_segment_from_the_trunk_of_a_classifier(data: Dataset, classified: Path, tmp_path: Path) -> None:
    from wsss.models.classifier import load_classifier
    from wsss.models.config import SegmenterConfig
    from wsss.models.segmentation_networks.segmenters import build_segmenter

    result = run_stage(
        segment.STAGE, SMALL_SEGMENTATION | {"epochs": 1}, tmp_path / "s", data, masks=data.root, classifier=classified
    )
    assert result.provenance["segmenter_initial_weights"] == "none, trained as classifier"
    start, _ = load_classifier(classified)
    built = build_segmenter(SegmenterConfig.model_validate({"backbone": BACKBONE}), 3, start=start)
    trained, kept = start.backbone.state_dict(), built.backbone.state_dict()
    assert kept and all(torch.equal(value, trained[name]) for name, value in kept.items())
    other = SMALL_SEGMENTATION | {"backbone": {"name": "resnet18", "weights": "none"}}
    with pytest.raises(InvalidInput) as error:
        run_stage(segment.STAGE, other, tmp_path / "t", data, masks=data.root, classifier=classified)
    assert (error.value.subject, error.value.found) == ("backbone.name", "resnet18")


@pytest.fixture(scope="module")
def folded(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with weights whose BatchNorm is folded into the convolutions, and the `classify` stage trained on them."""
    import torchvision

    folder = tmp_path_factory.mktemp("folded")
    network = torchvision.models.mobilenet_v2(weights=None)
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(norm.bias, std=0.1)
    torch.save(network.state_dict(), folder / "weights.pth")
    run_stage(classify.STAGE, SMALL_TRAINING | {"epochs": 1} | _frozen(folder), folder / "classify", data)
    return folder


def _frozen(folder: Path) -> dict[str, Any]:
    weights = {"path": folder / "weights.pth"}
    return {"backbone": {"name": "mobilenet_v2", "weights": weights, "freeze_batchnorm": True}}


@pytest.mark.parametrize(
    ("backbone", "subject"),
    [
        ({"name": "mobilenet_v2", "weights": "none"}, "backbone.freeze_batchnorm"),
        ({"name": "resnet18", "weights": "none"}, "backbone.name"),
    ],
)
def test_an_unfitting_classifier_is_refused_before_an_earlier_result_is_discarded(
    backbone: dict[str, Any], subject: str, data: Dataset, folded: Path, tmp_path: Path
) -> None:
    def never(ctx: Any) -> NoReturn:
        raise AssertionError("trained")

    config, inputs = (
        SMALL_SEGMENTATION | {"backbone": backbone},
        {"masks": data.root, "classifier": folded / "classify"},
    )
    with pytest.raises(InvalidInput) as error:
        run_stage(replace(segment.STAGE, run=never), config, tmp_path / "s", data, **inputs)
    assert error.value.subject == subject and subject in str(error.value.hint)


def test_folded_weights_of_a_classifier_stay_frozen(data: Dataset, folded: Path, tmp_path: Path) -> None:
    from wsss.io.weights import load_weights

    config, inputs = SMALL_SEGMENTATION | {"epochs": 1} | _frozen(folded), {"classifier": folded / "classify"}
    run_stage(segment.STAGE, config, tmp_path / "s", data, masks=data.root, **inputs)
    before, after = load_weights(folded / "classify"), load_weights(tmp_path / "s")
    names = [name for name in after if name.endswith("running_mean") and name in before]
    assert names and all(torch.equal(after[name], before[name]) for name in names)


@pytest.mark.parametrize("frozen", [True, False])
def test_layers_up_to_a_stride_keep_the_weights_of_the_classifier(
    frozen: bool, data: Dataset, folded: Path, tmp_path: Path
) -> None:
    from wsss.io.weights import load_weights
    from wsss.models.classifier import load_classifier

    backbone = _frozen(folded)["backbone"] | {"freeze_to_stride": 4}
    run_stage(classify.STAGE, SMALL_TRAINING | {"epochs": 1, "backbone": backbone}, tmp_path / "c", data)
    loaded, _ = load_classifier(tmp_path / "c")
    assert [part.weight.requires_grad for part in (loaded.backbone.low[0][0], loaded.backbone.low[4].conv[2])] == [
        False,
        True,
    ]
    own = backbone if frozen else backbone | {"freeze_to_stride": None}
    config = SMALL_SEGMENTATION | {"epochs": 1, "backbone": own}
    run_stage(segment.STAGE, config, tmp_path / "s", data, masks=data.root, classifier=tmp_path / "c")
    initial, before, after = (torch.load(folded / "weights.pth"), *map(load_weights, (tmp_path / "c", tmp_path / "s")))
    stem, later = "backbone.low.0.0.weight", "backbone.low.4.conv.2.weight"
    assert torch.equal(before[stem], initial["features.0.0.weight"])
    assert torch.equal(after[stem], before[stem]) == frozen
    assert not torch.equal(before[later], initial["features.4.conv.2.weight"])
    assert not torch.equal(after[later], before[later])


def test_deeplab_refuses_batches_of_one(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        run_stage(segment.STAGE, SMALL_TRAINING | {"head": "deeplabv3", "batch_size": 1}, tmp_path / "x", data)
    assert error.value.subject == "segment" and "batch_size" in error.value.problem
