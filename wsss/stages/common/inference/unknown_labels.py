"""Note on classes of unknown presence, which get no map in stages that compute maps of the labelled classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wsss.errors import counted, listing
from wsss.pipeline.stage import Context

if TYPE_CHECKING:
    from wsss.data.sample import Sample


def note_unknown(ctx: Context[Any], samples: Sequence[Sample]) -> None:
    """Log which images have classes of unknown presence."""
    unknown = [sample.id for sample in samples if sample.unknown]
    if unknown and ctx.ranks.rank == 0:
        ctx.log(
            f"note: {counted(len(unknown), 'image')} with classes of unknown presence ({listing(unknown)}): these "
            "classes get no map, so their pixels count as background in masks computed from the maps."
        )
