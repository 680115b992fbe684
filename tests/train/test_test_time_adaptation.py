from __future__ import annotations

import numpy as np
import torch
from learning import CLASSES

from wsss.models.backbones import build_backbone
from wsss.models.classifier import CAMClassifier, build_classifier
from wsss.models.config import BackboneConfig, ClassifierConfig, TrainedClassifierConfig
from wsss.models.sampler_config import ExpansionConfig, SamplingConfig, ShrinkageConfig
from wsss.models.weights.initial import Origin
from wsss.train.image_cache import ArrayCache
from wsss.train.tasks.classification import TileExamples, multilabel_loss
from wsss.train.tasks.test_time_adaptation import adapted


def examples(count: int = 6) -> TileExamples:
    rng = np.random.default_rng(0)
    labels = np.arange(count)[:, None] % 2 == [0, 1]
    images = rng.integers(0, 120, (count, 9, 9, 3), dtype=np.uint8)
    images[::2, 4, 4] = 255
    statistics = np.tile(np.float32([[0.3, 0.3, 0.3], [0.2, 0.2, 0.2]]), (count, 1, 1))
    return TileExamples(ArrayCache(lambda index: images[index], count, cache_bytes=1 << 20), labels, statistics)


def classifier() -> CAMClassifier:
    torch.manual_seed(0)
    config = ClassifierConfig.model_validate({"convnet": {"widths": [4]}, "pooling": "max"})
    return build_classifier(config, len(CLASSES.foreground)).eval()


def loss(model: CAMClassifier, tiles: TileExamples) -> float:
    batch = [torch.stack(parts) for parts in zip(*(tiles[index, 0] for index in range(len(tiles))), strict=True)]
    with torch.no_grad():
        return float(multilabel_loss(model, batch))


def test_it_fits_the_tiles_and_leaves_the_original_unchanged() -> None:
    model, tiles = classifier(), examples()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copy = adapted(model, tiles, steps=120, lr=0.02, seed=3)
    assert loss(copy, tiles) < 0.6 * loss(model, tiles)
    assert not copy.training
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0)


def test_results_depend_on_the_seed() -> None:
    model, tiles = classifier(), examples()
    torch.manual_seed(11)  # has no effect
    first = adapted(model, tiles, steps=3, lr=0.02, seed=3).state_dict()
    again = adapted(model, tiles, steps=3, lr=0.02, seed=3).state_dict()
    other = adapted(model, tiles, steps=3, lr=0.02, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_tiles_are_augmented_by_all_symmetries_of_a_square() -> None:
    tile = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    statistics = np.zeros((1, 2, 3), np.float32)
    tiles = TileExamples(ArrayCache(lambda index: tile, 1, cache_bytes=0), np.ones((1, 1), bool), statistics)
    augmented = {tiles[0, seed][0].numpy().tobytes() for seed in range(100)}
    assert len(augmented) == 8
    assert tiles[0, 5][0].shape == (3, 3, 3) and torch.equal(tiles[0, 5][0], tiles[0, 5][0])


def test_samplers_are_frozen() -> None:
    model, tiles = classifier(), examples()
    expansion, shrinkage = ExpansionConfig(offset_init=0.1), ShrinkageConfig(offset_init=0.1)
    model.resample(SamplingConfig(placement="features", expansion=expansion, shrinkage=shrinkage))
    weights = adapted(model.eval(), tiles, steps=3, lr=0.02, seed=3).state_dict()
    same = {name for name, value in model.state_dict().items() if torch.equal(value, weights[name])}
    assert {name for name in weights if name.startswith("samplers.")} <= same
    assert "head.weight" not in same


def test_frozen_layers_of_the_trunk_stay_frozen() -> None:
    backbone = {"name": "resnet18", "weights": {"path": "unused"}, "freeze_batchnorm": True, "freeze_to_stride": 4}
    config = TrainedClassifierConfig.model_validate({"backbone": backbone})
    origin = Origin({}, (0.5,) * 3, (0.5,) * 3)
    trunk, _ = build_backbone(BackboneConfig.model_validate(backbone), origin=origin)
    model = CAMClassifier(config, trunk, origin, len(CLASSES.foreground)).eval()
    weights = adapted(model, examples(), steps=1, lr=0.02, seed=3).state_dict()
    same = {name for name, value in model.named_parameters() if torch.equal(value, weights[name])}
    assert same == {name for name, value in model.named_parameters() if not value.requires_grad}
    assert "backbone.low.0.0.weight" in same and "head.weight" not in same
