"""Drawing of tiles with image-level labels, which are derived from ground-truth masks.

Labelling a tile ("contains mortar") takes an annotator a second, drawing a mask takes minutes. Here the masks of a
dataset replace the annotator: the labels of the tiles are derived from them, and no other information of them is
written. Masks also determine the positions, so that the required fraction of tiles shows no class: if classes are
everywhere, random tiles without any are rare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from wsss.data.sample_mask import read_sample_mask
from wsss.data.tiles.tile_table import Tile, write_tables
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import read_image, write_png
from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.sample import Sample


class TilesConfig(Settings):
    """Settings of the tiles."""

    count: int = Field(default=1000, ge=2, le=1_000_000, description="number of tiles")
    size: int = Field(default=18, ge=3, le=1024, description="side length of a tile in pixels")
    negative_fraction: float = Field(default=0.5, ge=0, le=1, description="fraction of tiles without any class")
    min_class_fraction: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="minimum fraction of a tile that a class must cover to be labelled; tiles with a smaller, nonzero "
        "fraction are not drawn",
    )
    label_noise: float = Field(
        default=0.0, ge=0, le=0.5, description="fraction of the labels to invert, to simulate wrong answers"
    )
    answers: Path | None = Field(
        default=None, description="table of answers written by wsss ask; its tiles and labels are used instead of masks"
    )
    disagreement: Literal["majority", "exclude"] = Field(
        default="majority",
        description="tiles about which people disagree: label by majority (ties are excluded), or exclude all of them",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        unused = [key for key in ("count", "negative_fraction", "min_class_fraction") if self._is_set(key)]
        if self.answers is not None and unused:
            raise ValueError(f"{unused[0]} has no effect with answers, which determine the tiles")
        if self.answers is None and self._is_set("disagreement"):
            raise ValueError("disagreement has no effect without answers")
        return self

    @property
    def answered_size(self) -> int | None:
        """Side length that tiles of answers must have; ``None`` for any."""
        return self.size if self._is_set("size") else None

    def _is_set(self, key: str) -> bool:
        """Return whether a setting was set explicitly; the record of a run lists all settings, most with defaults."""
        recorded = self.model_fields_set >= set(type(self).model_fields)
        changed = getattr(self, key) != type(self).model_fields[key].default
        return bool(changed or (key in self.model_fields_set and not recorded))


@dataclass(frozen=True)
class Counts:
    """Numbers of tiles of an image that show no class, and that show at least one."""

    negative: int
    positive: int


def count_positions(sample: Sample, *, classes: Classes, config: TilesConfig) -> Counts:
    """Count the possible tiles of an image.

    Raises:
        InvalidInput: see `wsss.data.sample_mask.read_sample_mask`.
    """
    positive, negative = _positions(read_sample_mask(sample, classes), len(classes), config)
    return Counts(int(negative.sum()), int(positive.any(0).sum()))


def tiles_per_image(possible: Sequence[Counts], config: TilesConfig, seed: int) -> list[Counts]:
    """Return the numbers of tiles to draw from each image, as even as the numbers of possible tiles allow.

    Args:
        possible: numbers of possible tiles, per image.
        config: ``count`` and ``negative_fraction``.
        seed: random seed of the choice of images that get one tile more than others.

    Raises:
        InvalidInput: there are too few possible tiles.
    """
    negative = round(config.count * config.negative_fraction)
    order = np.random.default_rng([seed, 0]).permutation(len(possible)).tolist()
    kinds = {
        "without any class": (negative, [counts.negative for counts in possible], order),
        "with a class": (config.count - negative, [counts.positive for counts in possible], order[::-1]),
    }
    for kind, (count, available, _) in kinds.items():
        if sum(available) < count:
            raise InvalidInput(
                f"too few tiles {kind} at size {config.size}",
                subject="tiles",
                found=sum(available),
                allowed=f"at least {count} (count {config.count}, negative_fraction {config.negative_fraction:g})",
                hint="Draw fewer or smaller tiles, or change negative_fraction or min_class_fraction.",
            )
    return [Counts(*pair) for pair in zip(*(_even_shares(*kind) for kind in kinds.values()), strict=True)]


@dataclass(frozen=True)
class Request:
    """The tiles to draw from an image.

    Args:
        number: index of the image in its split; the positions depend on it and on the seed.
    """

    number: int
    sample: Sample
    quota: Counts

    @property
    def id(self) -> str:
        """The image's id."""
        return self.sample.id


def cut_tiles(request: Request, *, out: Path, classes: Classes, config: TilesConfig, seed: int) -> list[Tile]:
    """Draw the tiles of one image, and write the ones that do not exist yet.

    Args:
        config: see `TilesConfig`.
        seed: random seed of the positions.

    Raises:
        InvalidInput: image or mask is invalid, or their sizes differ.
    """
    sample, quota = request.sample, request.quota
    if not quota.negative and not quota.positive:
        return []
    image = read_image(*sample.source)
    mask = read_sample_mask(sample, classes, size=(image.shape[0], image.shape[1]))
    positive, negative = _positions(mask, len(classes), config)
    rng = np.random.default_rng([seed, 1, request.number])
    positions = [*_choose(negative, quota.negative, rng), *_choose(np.asarray(positive.any(0)), quota.positive, rng)]
    mean, std = colour_statistics(image)
    tiles = []
    for row, column in positions:
        present = positive[:, row, column] ^ (rng.random(len(positive)) < config.label_noise)
        labels = tuple(int(index) + 1 for index in np.flatnonzero(present))
        tile = Tile(sample.id, row, column, config.size, labels, mean, std)
        if not tile.path(out).is_file():
            write_png(tile.path(out), image[row : row + config.size, column : column + config.size].copy())
        tiles.append(tile)
    return tiles


def colour_statistics(image: NDArray[np.uint8]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation of red, green and blue, in [0, 1], of an ``(H, W, 3)`` uint8 image."""
    pixels = image.reshape(-1, 3) / 255.0
    mean, std = pixels.mean(0).tolist(), pixels.std(0).tolist()
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def summary(config: TilesConfig, tiles: Sequence[Tile], *, split: str, images: int, seed: int) -> dict[str, Any]:
    """Return settings and counts, for metrics and ``tiles.json``."""
    return {
        "tiles": len(tiles),
        "tile_size": config.size,
        "images": images,
        "split": split,
        "without_any_class": sum(not tile.labels for tile in tiles),
        "label_noise": config.label_noise,
        "min_class_fraction": config.min_class_fraction,
        "seed": seed,
        "answers": f"read from the masks of split {split!r}: a tile shows a class if at least "
        f"{config.min_class_fraction:g} of its pixels have it; tiles with a smaller, nonzero fraction are not "
        "drawn. The masks also determine where tiles of each kind are drawn, and are used for nothing else.",
    }


def draw_tiles(
    samples: Sequence[Sample],
    out: Path,
    *,
    classes: Classes,
    config: TilesConfig,
    split: str,
    seed: int,
    each: Callable[[Callable[[Any], Any], Sequence[Any], str], list[Any]],
) -> dict[str, Any]:
    """Draw all tiles, write them with their tables, and return the `summary`; equal arguments give equal bytes.

    Args:
        samples: images with masks.
        each: (function, items, description) → results in order, for example computed by a pool of processes.

    Raises:
        InvalidInput: an image has no mask; see also `tiles_per_image` and `cut_tiles`.
    """
    possible = each(partial(count_positions, classes=classes, config=config), samples, "looking for tiles")
    quotas = tiles_per_image(possible, config, seed)
    requests = [Request(*of_image) for of_image in zip(range(len(samples)), samples, quotas, strict=True)]
    cut = each(partial(cut_tiles, out=out, classes=classes, config=config, seed=seed), requests, "tiles")
    tiles = [tile for of_image in cut for tile in of_image]
    drawn = summary(config, tiles, split=split, images=len(samples), seed=seed)
    write_tables(out, tiles, classes=classes, drawn=drawn)
    return drawn


def _positions(
    mask: NDArray[np.uint8], classes: int, config: TilesConfig
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, per upper left pixel of a tile, its classes ``(K, H', W')`` and whether it has none ``(H', W')``.

    Both are false for tiles with ignored pixels, or in which the fraction of any class is above 0 but below
    ``min_class_fraction``.
    """
    size = config.size
    if min(mask.shape) < size:
        return np.zeros((classes - 1, 0, 0), bool), np.zeros((0, 0), bool)
    pixels = np.stack([_count_inside(mask == index, size) for index in range(1, classes)])
    present = pixels >= config.min_class_fraction * size**2
    clear = (present | (pixels == 0)).all(0) & (_count_inside(mask == IGNORE, size) == 0)
    return present & clear, clear & ~present.any(0)


def _count_inside(mask: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
    """Return the number of pixels of ``mask`` in every square of side ``size``, indexed by its upper left pixel."""
    total = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside: NDArray[np.int64] = (
        total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    )
    return inside


def _choose(possible: NDArray[np.bool_], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return ``count`` distinct random positions (row, column)."""
    chosen = rng.choice(np.flatnonzero(possible), count, replace=False)
    rows, columns = np.unravel_index(chosen, possible.shape)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _even_shares(count: int, available: Sequence[int], order: Sequence[int]) -> list[int]:
    """Distribute ``count`` one by one over the indices in ``order``, at most ``available`` to each."""
    shares = [0] * len(available)
    while count:
        remaining = [index for index in order if shares[index] < available[index]]
        for index in remaining[:count]:
            shares[index] += 1
        count -= min(count, len(remaining))
    return shares
