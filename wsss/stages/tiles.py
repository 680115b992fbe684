"""Tiles with image-level labels from masks or from people's answers, as training data for `classify`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wsss.data.masks.encodings import check_encoding
from wsss.data.tiles.answered_tiles import LEFT_OUT, Answered, cut_answered, left_out_text, read_answered
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
    from wsss.data.sample import Sample


class TilesStageConfig(TilesConfig, StageConfig):
    """Config of `tiles`."""

    split: str = Field(default="train", description="split whose images are cut into tiles")


def run(ctx: Context[TilesStageConfig]) -> Result:
    """Draw the tiles, on the first rank only."""
    config = ctx.config
    if ctx.ranks.rank == 0:
        samples = ctx.data.split(config.split)
        work: Callable[..., dict[str, Any]] = draw_tiles
        if config.answers is None:
            _check_encodings(ctx, samples)
        else:
            work = partial(cut_answered, answered=_answered(ctx, samples, config.answers))
        work(
            samples,
            ctx.out,
            classes=ctx.data.classes,
            config=config,
            split=config.split,
            seed=ctx.seed,
            each=lambda work, items, description: map_items(ctx, items, work, description),
        )
    ctx.ranks.barrier()
    drawn: dict[str, Any] = read_json(ctx.out / DRAWN)
    noise = f", {config.label_noise:.0%} of them wrong" if config.label_noise else ""
    labels = f"{config.count} yes/no labels of {config.size}-pixel tiles{noise}"
    if config.answers is not None:
        people = counted(drawn["annotators"], "person", "people")
        labels = f"{drawn['answers_given']} yes/no answers by {people} on {drawn['tile_size']}-pixel tiles{noise}"
    return Result(drawn, {"supervision": labels})


def _check_encodings(ctx: Context[TilesStageConfig], samples: Sequence[Sample]) -> None:
    """Read all masks, and reject a split that mixes two encodings."""
    seen = zip(samples, (summary.shown for summary in survey(ctx, samples)), strict=True)
    check_encoding(seen, ctx.data.classes, where=f"tiles: split {ctx.config.split!r}")


def _answered(ctx: Context[TilesStageConfig], samples: Sequence[Sample], answers: Path) -> Answered:
    """Return the tiles that people have answered questions about, and log how many are left out."""
    answered = read_answered(answers, samples, ctx.data.classes, ctx.config)
    if left_out := left_out_text({key: answered.counts[f"left_out_{key}"] for key in LEFT_OUT}):
        ctx.log(f"note: left out: {left_out}.")
    return answered


def _check(config: TilesStageConfig, data: Dataset) -> None:
    if config.answers is not None:
        read_answered(config.answers, data.split(config.split), data.classes, config)
        return
    hint = "Choose a split with masks, or collect answers with `wsss ask` and set answers: FILE."
    require_truth(data, (config.split,), where="tiles", hint=hint)


def _reads(config: TilesStageConfig) -> list[Read]:
    images = Read(config.split, "images")
    return [images] if config.answers is not None else [images, Read(config.split, "masks")]


STAGE = Stage(name="tiles", version=2, config=TilesStageConfig, run=run, provides="tiles", reads=_reads, check=_check)
