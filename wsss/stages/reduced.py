"""What a stage says of images that were too large to be worked on at their own size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsss.errors import listing
from wsss.pipeline.stage import Context

FILE = "reduced.json"
"""The ids of the images, in a stage's folder; only where there are any."""


def note_reduced(
    ctx: Context[Any], sizes: Sequence[tuple[str, tuple[int, int]]], max_side: int | None, *, how: str
) -> dict[str, Any]:
    """Log which images were reduced, write their ids to ``reduced.json``, and return what metrics and scores carry.

    Args:
        ctx: the stage's context.
        sizes: id and (height, width) of every image.
        max_side: longer side in pixels to which larger images were reduced; ``None``: none was.
        how: how the result was brought back to full size.

    Returns:
        ``{"reduced": {"max_side": …, "images": number}}``; nothing where no image was reduced.
    """
    from wsss.io.atomic import write_json

    ids = [id for id, size in sizes if max_side is not None and max(size) > max_side]
    if not ids:
        return {}
    if ctx.ranks.rank == 0:
        write_json(ctx.out / FILE, {"max_side": max_side, "images": ids})
    ctx.log(
        f"note: {len(ids)} of {len(sizes)} images are longer than {max_side} pixels and were reduced to that for "
        f"{ctx.out.name}; {how}: {listing(ids)}. max_side changes it."
    )
    return {"reduced": {"max_side": max_side, "images": len(ids)}}
