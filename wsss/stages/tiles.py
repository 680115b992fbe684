"""Tiles with image-level labels from masks or from people's answers, as training data for `classify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from wsss.data.masks.encodings import check_encoding
from wsss.data.tiles.answered_tiles import LEFT_OUT, cut_answered, left_out_text, read_answered
from wsss.data.tiles.tile_table import DRAWN
from wsss.data.tiles.tiling import TilesConfig, draw_tiles
from wsss.errors import counted
from wsss.io.files.json_files import read_json
from wsss.pipeline.run.items import map_items
from wsss.pipeline.stage import Context, Read, Result, Stage, StageConfig
from wsss.stages.common.input_masks.mask_inputs import survey
from wsss.stages.common.require_inputs import require_truth

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset


class TilesStageConfig(TilesConfig, StageConfig):
    """Config of `tiles`."""

    split: str = Field(default="train", description="split whose images are cut into tiles")


def run(ctx: Context[TilesStageConfig]) -> Result:
    """Draw the tiles, on the first rank only."""
    config = ctx.config
    if ctx.ranks.rank == 0:
        (_draw if config.answers is None else _cut_answered)(ctx)
    ctx.ranks.barrier()
    drawn: dict[str, Any] = read_json(ctx.out / DRAWN)
    noise = f", {config.label_noise:.0%} of them wrong" if config.label_noise else ""
    labels = f"{config.count} yes/no labels of {config.size}-pixel tiles{noise}"
    if config.answers is not None:
        people = counted(drawn["annotators"], "person", "people")
        labels = f"{drawn['answers_given']} yes/no answers by {people} on {drawn['tile_size']}-pixel tiles{noise}"
    return Result(drawn, {"supervision": labels})


def _draw(ctx: Context[TilesStageConfig]) -> None:
    """Draw tiles with labels from the masks."""
    config = ctx.config
    samples = ctx.data.split(config.split)
    seen = zip(samples, (summary.shown for summary in survey(ctx, samples)), strict=True)
    check_encoding(seen, ctx.data.classes, where=f"tiles: split {config.split!r}")
    draw_tiles(
        samples,
        ctx.out,
        classes=ctx.data.classes,
        config=config,
        split=config.split,
        seed=ctx.seed,
        each=lambda work, items, description: map_items(ctx, items, work, description),
    )


def _cut_answered(ctx: Context[TilesStageConfig]) -> None:
    """Cut the tiles that people have answered questions about."""
    config, classes = ctx.config, ctx.data.classes
    samples = ctx.data.split(config.split)
    assert config.answers is not None
    answered = read_answered(config.answers, samples, classes, config)
    if left_out := left_out_text({key: answered.counts[f"left_out_{key}"] for key in LEFT_OUT}):
        ctx.log(f"note: left out: {left_out}.")
    cut_answered(
        samples,
        ctx.out,
        answered=answered,
        classes=classes,
        config=config,
        split=config.split,
        seed=ctx.seed,
        each=lambda work, items, description: map_items(ctx, items, work, description),
    )


def _check(config: TilesStageConfig, data: Dataset) -> None:
    if config.answers is not None:
        from wsss.data.tiles.answered_tiles import read_answered

        read_answered(config.answers, data.split(config.split), data.classes, config)
        return
    hint = "Choose a split with masks, or collect answers with `wsss ask` and set answers: FILE."
    require_truth(data, (config.split,), where="tiles", hint=hint)


def _reads(config: TilesStageConfig) -> list[Read]:
    images = Read(config.split, "images")
    return [images] if config.answers is not None else [images, Read(config.split, "masks")]


STAGE = Stage(
    name="tiles",
    version=2,
    config=TilesStageConfig,
    run=run,
    provides="tiles",
    reads=_reads,
    check=_check,
)
