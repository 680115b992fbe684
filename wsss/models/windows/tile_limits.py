"""Valid tile sizes of a network, and its layers that depend on more than the tile."""

from __future__ import annotations

import math

from torch import nn

from wsss.errors import InvalidInput, Verbatim
from wsss.models.windows.tile_windows import MULTIPLE, Tiling

STRIDES = ("stride", "output_stride", "low_stride")
"""Attributes of networks and trunks with their pixels per feature."""

GLOBAL_NORMS = (nn.InstanceNorm2d, nn.GroupNorm)
"""Layers that normalise by statistics of all positions."""

ATTENTION = ("attention", "attn")
"""Parts of the names of classes whose positions depend on all others, or on a grid of the image."""


def tile_multiple(network: nn.Module) -> int:
    """Return the number of pixels that sides and overlaps of tiles have to be multiples of."""
    inner = getattr(network, "network", network)  # of a `MixedPrecision`
    trunk = getattr(inner, "backbone", inner)
    strides = [getattr(trunk, name, 1) for name in STRIDES]
    return math.lcm(MULTIPLE, *(stride for stride in strides if isinstance(stride, int)))


def default_overlap(tile: int, multiple: int = MULTIPLE) -> int:
    """Return the overlap if none is set: 256 pixels, at most half of the tile."""
    return max(multiple, min(256, tile // 2) // multiple * multiple)


def tiling_of(network: nn.Module, tile: int | None, overlap: int | None, *, subject: str = "") -> Tiling | None:
    """Return the tiles of a network; ``None`` if ``tile`` is.

    Args:
        tile, overlap: see `wsss.models.windows.tile_windows.Tiling`; ``overlap`` defaults to `default_overlap`.
        subject: prefix of the settings' names in errors.

    Raises:
        InvalidInput: a side or an overlap is not a multiple of the network's stride, or the overlap exceeds half of the
            tile.
    """
    if tile is None:
        return None
    multiple = tile_multiple(network)
    overlap = default_overlap(tile, multiple) if overlap is None else overlap
    for name, value in (("tile", tile), ("overlap", overlap)):
        if value % multiple:
            raise InvalidInput(
                f"tiles must be aligned with the features of this network, which are {multiple} pixels apart",
                subject=f"{subject}{name}",
                allowed=f"a multiple of {multiple}",
                found=value,
            )
    if overlap > tile // 2:
        raise InvalidInput(
            subject=f"{subject}tile", allowed=f"at least twice the overlap ({2 * overlap})", found=Verbatim(f"{tile}")
        )
    return Tiling(tile, overlap)


def approximations(network: nn.Module, poolings: int) -> list[str]:
    """Return the kinds of layers that depend on all pixels, so that tiles can only approximate the whole image.

    Args:
        poolings: number of global poolings in a forward pass. A single one gets the mean of the whole image, and
            several, as in squeeze-and-excitation, means that are measured on tiles.
    """
    parts = list(network.modules())
    names = {type(part).__name__.lower() for part in parts}
    samplers = (getattr(part, "samplers", None) for part in parts)
    reasons = {
        f"{poolings} global poolings": poolings > 1,
        "instance or group normalisation": any(isinstance(part, GLOBAL_NORMS) for part in parts),
        "BatchNorm with statistics of each tile": "calibratednorm" in names,
        "global response normalisation": any("globalresponsenorm" in name for name in names),
        "attention": any(word in name for name in names for word in ATTENTION),
        "samplers": any(any(True for _ in each.parameters()) for each in samplers if isinstance(each, nn.Module)),
    }
    return [reason for reason, holds in reasons.items() if holds]
