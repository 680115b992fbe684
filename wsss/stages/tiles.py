"""Draw tiles with image-level labels from the masks, as training data for `classify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from wsss.data.tiles.tiling import TilesConfig, draw_tiles
from wsss.pipeline.stage import Context, Read, Result, Stage, StageConfig
from wsss.stages.common.input_masks.mask_inputs import survey
from wsss.stages.common.require_inputs import require_truth

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset


class TilesStageConfig(TilesConfig, StageConfig):
    """Config of `tiles`."""

    split: str = Field(default="train", description="split whose images are cut into tiles, labelled from its masks")


def run(ctx: Context[TilesStageConfig]) -> Result:
    """Draw the tiles, on the first rank only."""
    from wsss.data.masks.encodings import check_encoding
    from wsss.data.tiles.tile_table import DRAWN
    from wsss.io.files.json_files import read_json
    from wsss.pipeline.run.items import map_items

    config = ctx.config
    if ctx.ranks.rank == 0:
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
    ctx.ranks.barrier()
    drawn: dict[str, Any] = read_json(ctx.out / DRAWN)
    noise = f", {config.label_noise:.0%} of them wrong" if config.label_noise else ""
    labels = f"{config.count} yes/no labels of {config.size}-pixel tiles{noise}"
    return Result(drawn, {"supervision": labels})


def _check(config: TilesStageConfig, data: Dataset) -> None:
    hint = "Choose a split with masks. For tiles labelled by hand, use a dataset with layout folder."
    require_truth(data, (config.split,), where="tiles", hint=hint)


STAGE = Stage(
    name="tiles",
    version=1,
    config=TilesStageConfig,
    run=run,
    provides="tiles",
    reads=lambda config: [Read(config.split, "images"), Read(config.split, "masks")],
    check=_check,
)
