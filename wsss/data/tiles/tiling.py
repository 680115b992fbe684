"""Small tiles of images, of which only this is kept: which classes can be seen in each, yes or no.

An annotator who looks at a tile and says "there is mortar in it" gives far less than a mask, in a second. Here the
answers come from masks of a dataset: a mask is asked nothing but those questions, and no mask is written. So that half
of the tiles can be without any class (where classes are everywhere, random tiles hardly ever are), masks also say where
such tiles may be drawn; an annotator would go on until there are enough of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from wsss.data.sample import read_truth
from wsss.data.tiles.tile_table import Tile, write_tables
from wsss.errors import InvalidInput
from wsss.io.rasters.label_masks import IGNORE
from wsss.io.rasters.rgb_images import read_image, write_png
from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.sample import Classes, Sample


class TilesConfig(Settings):
    """How tiles are drawn."""

    count: int = Field(default=1000, ge=2, le=1_000_000, description="number of tiles")
    size: int = Field(default=18, ge=3, le=1024, description="side length of a tile in pixels")
    share_without: float = Field(default=0.5, ge=0, le=1, description="share of tiles without any class")
    least: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="minimum share of a tile's pixels for a class to count; tiles with a smaller share are not drawn",
    )
    label_noise: float = Field(default=0.0, ge=0, le=0.5, description="share of wrong labels")


@dataclass(frozen=True)
class Places:
    """How many places an image has for tiles without any class, and with one at least."""

    without: int
    having: int


def count_places(sample: Sample, *, classes: Classes, config: TilesConfig) -> Places:
    """Count the places of one image.

    Raises:
        InvalidInput: see `wsss.data.sample.read_truth`.
    """
    having, without = _places(read_truth(sample, classes), len(classes), config)
    return Places(int(without.sum()), int(having.any(0).sum()))


def share_out(places: Sequence[Places], config: TilesConfig, seed: int) -> list[Places]:
    """Return how many tiles each image gives: as evenly as their places allow.

    Args:
        places: of each image.
        config: ``count`` and ``share_without``.
        seed: decides which images give one more than others.

    Raises:
        InvalidInput: there aren't as many places.
    """
    without = round(config.count * config.share_without)
    order = np.random.default_rng([seed, 0]).permutation(len(places)).tolist()
    quotas = {
        "without any class": _evenly(without, [one.without for one in places], order),
        "with a class": _evenly(config.count - without, [one.having for one in places], order[::-1]),
    }
    for what, quota in quotas.items():
        if quota is None:
            raise InvalidInput(
                f"tiles: the {len(places)} images have no places for as many tiles {what} as count {config.count} and "
                f"share_without {config.share_without:g} ask for, at size {config.size}.",
                hint="Ask for fewer or smaller tiles, or change share_without or least.",
            )
    chosen = [quota for quota in quotas.values() if quota is not None]
    return [Places(*pair) for pair in zip(*chosen, strict=True)]


@dataclass(frozen=True)
class Request:
    """How many tiles an image gives.

    Args:
        number: of the image in its split; with the seed it decides which places are drawn.
        sample: the image.
        quota: how many tiles.
    """

    number: int
    sample: Sample
    quota: Places

    @property
    def id(self) -> str:
        """The image's id."""
        return self.sample.id


def cut_tiles(request: Request, *, out: Path, classes: Classes, config: TilesConfig, seed: int) -> list[Tile]:
    """Draw the tiles of one image and write their pictures, unless they are there.

    Args:
        request: the image, and how many.
        out: folder of all tiles.
        classes: of the dataset.
        config: see `TilesConfig`.
        seed: another one draws other tiles.

    Raises:
        InvalidInput: image or mask are broken, or of different sizes.
    """
    sample, quota = request.sample, request.quota
    if not quota.without and not quota.having:
        return []
    image = read_image(sample.image)
    mask = read_truth(sample, classes, size=(image.shape[0], image.shape[1]))
    having, without = _places(mask, len(classes), config)
    rng = np.random.default_rng([seed, 1, request.number])
    places = [*_draw(without, quota.without, rng), *_draw(np.asarray(having.any(0)), quota.having, rng)]
    mean, std = colour_statistics(image)
    tiles = []
    for row, column in places:
        seen = having[:, row, column] ^ (rng.random(len(having)) < config.label_noise)
        labels = tuple(int(index) + 1 for index in np.flatnonzero(seen))
        tile = Tile(sample.id, row, column, config.size, labels, mean, std)
        if not tile.path(out).is_file():
            write_png(tile.path(out), image[row : row + config.size, column : column + config.size].copy())
        tiles.append(tile)
    return tiles


def colour_statistics(image: NDArray[np.uint8]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation of red, green and blue of ``(H, W, 3)`` uint8, in [0, 1]."""
    pixels = image.reshape(-1, 3) / 255.0
    mean, std = pixels.mean(0).tolist(), pixels.std(0).tolist()
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def summary(config: TilesConfig, tiles: Sequence[Tile], *, split: str, images: int, seed: int) -> dict[str, Any]:
    """Return how tiles were drawn, for metrics and ``tiles.json``."""
    return {
        "tiles": len(tiles),
        "tile_size": config.size,
        "images": images,
        "split": split,
        "without_any_class": sum(not tile.labels for tile in tiles),
        "label_noise": config.label_noise,
        "seen_from_share": config.least,
        "seed": seed,
        "answers": f"read from the masks of split {split!r}: a class is seen in a tile if it has at least "
        f"{config.least:g} of its pixels; tiles with less, but some, are not drawn. Masks also decide where tiles with "
        "and without classes are drawn, and are used for nothing else.",
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
    """Draw all tiles, write pictures and tables, and return the `summary`; equal arguments give equal bytes.

    Args:
        samples: images with masks.
        out: folder for the tiles.
        classes: of the dataset.
        config, seed: how to draw.
        split: what the samples are called.
        each: function, items, description → the results for every item, in order; a pool of processes, say.

    Raises:
        InvalidInput: an image has no mask; see `share_out` and `cut_tiles`.
    """
    places = each(partial(count_places, classes=classes, config=config), samples, "looking for tiles")
    quotas = share_out(places, config, seed)
    requests = [Request(*of_image) for of_image in zip(range(len(samples)), samples, quotas, strict=True)]
    cut = each(partial(cut_tiles, out=out, classes=classes, config=config, seed=seed), requests, "tiles")
    tiles = [tile for of_image in cut for tile in of_image]
    drawn = summary(config, tiles, split=split, images=len(samples), seed=seed)
    write_tables(out, tiles, classes=classes, drawn=drawn)
    return drawn


def _places(mask: NDArray[np.uint8], classes: int, config: TilesConfig) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, per upper left pixel ``(H', W')`` of a tile, which classes ``(K, H', W')`` are seen, and if none is.

    Where a tile holds ignored pixels, or less than ``least`` but some of any class, both are false.
    """
    size = config.size
    if min(mask.shape) < size:
        return np.zeros((classes - 1, 0, 0), bool), np.zeros((0, 0), bool)
    pixels = np.stack([_inside(mask == index, size) for index in range(1, classes)])
    seen = pixels >= config.least * size**2
    clear = (seen | (pixels == 0)).all(0) & (_inside(mask == IGNORE, size) == 0)
    return seen & clear, clear & ~seen.any(0)


def _inside(mask: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
    """Return how many pixels of ``mask`` every square of ``size``² holds, by the position of its upper left pixel."""
    total = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside: NDArray[np.int64] = (
        total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    )
    return inside


def _draw(places: NDArray[np.bool_], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return ``count`` different places (row, column)."""
    chosen = rng.choice(np.flatnonzero(places), count, replace=False)
    rows, columns = np.unravel_index(chosen, places.shape)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _evenly(count: int, places: Sequence[int], order: Sequence[int]) -> list[int] | None:
    """Deal ``count`` out in turns to those that have places left; ``None`` where there are too few places."""
    if sum(places) < count:
        return None
    given = [0] * len(places)
    while count:
        open_ones = [index for index in order if given[index] < places[index]]
        for index in open_ones[:count]:
            given[index] += 1
        count -= min(count, len(open_ones))
    return given
