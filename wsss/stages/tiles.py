"""Draw tiles and keep of each only which classes are in it: the labels that a `classify` stage learns from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wsss.data.tiles import TilesConfig, draw_tiles
from wsss.errors import InvalidInput, listing
from wsss.pipeline.stage import Context, Read, Result, Stage, StageConfig

if TYPE_CHECKING:
    from wsss.data.sample import Dataset


class TilesStageConfig(TilesConfig, StageConfig):
    """Config of `tiles`."""

    split: str = Field(default="train", description="split whose images are cut and whose masks give labels")


def run(ctx: Context[TilesStageConfig]) -> Result:
    """Draw the tiles, in one process."""
    from wsss.data.tiletable import DRAWN
    from wsss.pipeline.items import map_items

    config = ctx.config
    if ctx.ranks.rank == 0:
        draw_tiles(
            ctx.data.split(config.split),
            ctx.out,
            classes=ctx.data.classes,
            config=config,
            split=config.split,
            seed=ctx.seed,
            each=lambda work, items, description: map_items(ctx, items, work, description),
        )
    ctx.ranks.barrier()
    drawn: dict[str, Any] = json.loads((ctx.out / DRAWN).read_text())
    noise = f", {config.label_noise:.0%} of them wrong" if config.label_noise else ""
    labels = f"{config.count} yes/no labels of {config.size}-pixel tiles{noise}"
    return Result(drawn, {"supervision": labels})


def _check(config: TilesStageConfig, data: Dataset) -> None:
    without = [sample.id for sample in data.split(config.split) if sample.mask is None]
    if without:
        raise InvalidInput(
            f"tiles: {len(without)} images of split {config.split!r} have no mask to answer from: {listing(without)}.",
            mend="Choose a split that has masks; tiles that people have labelled are a dataset of layout folder.",
        )


STAGE = Stage(
    name="tiles",
    version=1,
    config=TilesStageConfig,
    run=run,
    provides="tiles",
    help="Cut random tiles out of images, with image-level labels from the masks.",
    reads=lambda config: [Read(config.split, "images"), Read(config.split, "masks")],
    check=_check,
)
