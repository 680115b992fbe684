"""Maps from a colour channel: a baseline without labels or training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wsss.errors import InvalidInput, Verbatim, listing
from wsss.io.files.stage_files import cam_path
from wsss.pipeline.stage import Context, Result, Stage, StageConfig, reads_of
from wsss.stages.common.check_outputs import check_maps
from wsss.stages.common.footprint import image_bytes

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample

BYTES_PER_PIXEL = 110

Channel = Literal["L", "-L", "a", "-a", "b", "-b"]


class ColourConfig(StageConfig):
    """Config of `colour`."""

    splits: tuple[str, ...] = Field(default=("train",), min_length=1, description="splits to compute maps for")
    channel: Channel = Field(
        default="-a",
        description="CIELAB channel: lightness L, a (green to red) or b (blue to yellow); a minus sign inverts it",
    )


def run(ctx: Context[ColourConfig]) -> Result:
    """Write the maps at the size of the image, scaled so that the channel's minimum is 0 and its maximum 1."""
    from wsss.pipeline.run.items import map_items, pending

    config = ctx.config
    samples = ctx.data.samples(config.splits)
    work = partial(_write_map, out=ctx.out, channel=config.channel)
    check = partial(check_maps, out=ctx.out, classes=ctx.data.classes, of=(1,), stride=1)
    todo = pending(ctx, samples, output=lambda sample: cam_path(ctx.out, sample.id), check=check)
    map_items(ctx, todo, work, "colour maps", memory=partial(image_bytes, per_pixel=BYTES_PER_PIXEL))
    return Result(
        {"images": len(samples), "channel": config.channel},
        {"cam": {"method": "colour", "channel": f"CIELAB {config.channel}"}, "supervision": "none"},
    )


def _write_map(sample: Sample, *, out: Path, channel: Channel) -> None:
    import numpy as np
    from skimage.color import rgb2lab

    from wsss.io.rasters.cams import Cams, write_cams
    from wsss.io.rasters.rgb_images import read_image

    image = read_image(*sample.source)
    values = rgb2lab(image)[..., "Lab".index(channel[-1])]
    values = -values if channel.startswith("-") else values
    spread = values.max() - values.min()
    scaled = (values - values.min()) / spread if spread > 0 else np.zeros_like(values)
    write_cams(cam_path(out, sample.id), Cams(scaled[None].astype(np.float32), (1,), scaled.shape))


def _check(config: ColourConfig, data: Dataset) -> None:
    data.samples(config.splits)
    if len(data.classes.foreground) != 1:
        raise InvalidInput(
            subject="colour",
            found=Verbatim(listing(data.classes.foreground, limit=30) or "none"),
            allowed="one foreground class",
            hint="Select a single class with data.classes.",
        )


STAGE = Stage(
    name="colour",
    version=1,
    config=ColourConfig,
    run=run,
    provides="cams",
    resumes=True,
    reads=lambda config: reads_of(config.splits, "images"),
    covers=lambda config: config.splits,
    check=_check,
)
