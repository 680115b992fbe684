"""Classifiers that are fine-tuned on the tiles of one image before its maps are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wsss.errors import InvalidInput

if TYPE_CHECKING:
    from wsss.data.sample import Sample
    from wsss.models.classifier import CAMClassifier
    from wsss.pipeline.stage import Context


def adapting(ctx: Context[Any], model: CAMClassifier) -> Callable[[Sample], CAMClassifier]:
    """Return a function that fine-tunes the classifier on the tiles of an image, if it has any.

    Args:
        ctx: context of `cam`; its config has ``adapt``.
        model: the classifier, which is not modified.

    Raises:
        InvalidInput: the stage has no tiles.
    """
    from wsss.data.tiles.tile_table import Tile, read_tiles
    from wsss.train.sample_order import derive_seed
    from wsss.train.tasks.classification import tile_examples
    from wsss.train.tasks.test_time_adaptation import adapted

    config, artifact = ctx.config.adapt, ctx.inputs["tiles"]
    if artifact is None or config is None:
        raise InvalidInput(
            "no tiles to fine-tune the classifier on",
            subject="cam.adapt",
            hint="Add a tiles stage to its needs (or pass --tiles DIR), or omit adapt.",
        )
    tiles: dict[str, list[Tile]] = {}
    for tile in read_tiles(artifact.path, ctx.data.classes):
        tiles.setdefault(tile.image, []).append(tile)

    def classifier_of(sample: Sample) -> CAMClassifier:
        if sample.id not in tiles:
            return model
        examples = tile_examples(artifact.path, tiles[sample.id], model.head.out_channels, cache_bytes=1 << 30)
        seed = derive_seed("image", ctx.seed, sample.id)
        return adapted(model, examples, steps=config.steps, lr=config.lr, seed=seed)

    return classifier_of
