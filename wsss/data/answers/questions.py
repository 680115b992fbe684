"""The tiles or images that people are asked about, in their order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from wsss.data.answers.answer_rows import Item
from wsss.data.answers.uncertainty import image_uncertainty, tile_uncertainty, uncertainty_at
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import image_size
from wsss.validation import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsss.data.sample import Sample

Order = Literal["random", "file", "uncertain"]

MapsOf = Callable[["Sample"], "NDArray[np.float32]"]
"""Image → probabilities of the asked classes, ``(K, H, W)``."""

ENUMERATED = 4096
"""Maximum number of positions in an image that are enumerated; above it, they are drawn by rejection sampling."""


class QuestionsConfig(Settings):
    """Which tiles or images are asked about."""

    size: int = Field(default=18, ge=3, le=1024, description="side length of a tile in pixels")
    count: int = Field(default=1000, ge=1, le=1_000_000, description="number of tiles")
    whole: bool = Field(default=False, description="ask about whole images instead of tiles")
    order: Order = Field(default="random", description="order of the questions")


def question_items(
    samples: Sequence[Sample],
    config: QuestionsConfig,
    *,
    seed: int,
    answered: Iterable[Item] = (),
    unfinished: Collection[Item] = (),
    maps_of: MapsOf | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Item]:
    """Return the items in the order in which they are asked; equal arguments give equal items.

    Positions depend on the id of an image, and not on the other images. Answered items are always among the items, in
    addition to ``count`` if they would not be drawn, so that every person can continue after images were added. With
    maps, ``count`` is the number of items that nobody has answered yet, or not about all classes. Items with answers
    about other classes come first, except in the order ``"file"``: a tile has a label once all classes have an answer.

    Random tiles are distributed evenly: each round draws one from every image, in a random order, so that any number of
    first answers covers all images. With maps, each round asks about the tile of every image whose answer is least
    certain, the least certain of all first; whole images are sorted by uncertainty.

    Args:
        samples: the images, in order.
        config: see `QuestionsConfig`.
        seed: random seed of positions and order.
        answered: items with answers; those of other images or another size are left out.
        unfinished: those of them without an answer about every asked class.
        maps_of: for the order ``"uncertain"``.
        advance: called with 1 for each image whose maps were read.

    Raises:
        InvalidInput: there are no images, one is unreadable, all are smaller than a tile, or see ``maps_of``.
    """
    if not samples:
        raise InvalidInput("the split has no images", subject="--split")
    place = {sample.id: number for number, sample in enumerate(samples)}
    size = 0 if config.whole else config.size
    kept = [item for item in answered if item.image in place and item.size == size]
    shuffled = sorted(samples, key=lambda sample: float(_generator(seed, 2, sample).random()))
    partly = frozenset(unfinished)
    begun = [item for item in kept if item in partly]
    if config.order == "uncertain" and maps_of is not None:
        items = _uncertain(samples, config, seed, maps_of, advance, set(kept), begun)
    elif config.whole:
        items = [Item(sample.id) for sample in shuffled]
    else:
        items = _rounds([_positions(sample, size, seed) for sample in shuffled], config.count)
    first = [item for item in items if item in partly]
    items = list(dict.fromkeys([*first, *begun, *items, *kept]))
    if not items:
        raise InvalidInput("all images are smaller than a tile", subject=f"--size {config.size}")
    if config.order == "file":
        items.sort(key=lambda item: (place[item.image], item.y, item.x))
    return items


def _rounds(sources: list[Iterator[Item]], count: int) -> list[Item]:
    """Return the next item of each source in turn, until there are ``count`` or all sources are exhausted."""
    items: list[Item] = []
    while sources and len(items) < count:
        remaining = []
        for source in sources:
            item = next(source, None) if len(items) < count else None
            if item is not None:
                items.append(item)
                remaining.append(source)
        sources = remaining
    return items


def _generator(seed: int, purpose: int, sample: Sample) -> np.random.Generator:
    """Return a random generator for an image, which does not depend on other images."""
    words = np.frombuffer(hashlib.sha256(sample.id.encode(errors="surrogatepass")).digest(), "<u4")
    return np.random.default_rng([seed, purpose, *words.tolist()])


def _positions(sample: Sample, size: int, seed: int) -> Iterator[Item]:
    """Yield distinct tiles of an image at random positions."""
    height, width = image_size(*sample.source)
    rows, columns = height - size + 1, width - size + 1
    if min(rows, columns) < 1:
        return
    rng = _generator(seed, 3, sample)
    for index in _distinct(rows * columns, rng):
        yield Item(sample.id, index % columns, index // columns, size)


def _distinct(total: int, rng: np.random.Generator) -> Iterator[int]:
    """Yield the numbers below ``total`` in a random order."""
    if total <= ENUMERATED:
        yield from rng.permutation(total).tolist()
        return
    seen: set[int] = set()
    while len(seen) < total:
        index = int(rng.integers(total))
        if index not in seen:
            seen.add(index)
            yield index


Ranking = list[tuple[float, int, Item]]
"""Negative uncertainty, index of the image, and item; the least certain first."""


def _uncertain(
    samples: Sequence[Sample],
    config: QuestionsConfig,
    seed: int,
    maps_of: MapsOf,
    advance: Callable[[int], None],
    answered: Collection[Item],
    begun: Sequence[Item],
) -> list[Item]:
    """Return the least certain items: those of ``begun`` first, then others without answers."""
    begun_of: dict[str, list[Item]] = {}
    for item in begun:
        begun_of.setdefault(item.image, []).append(item)
    again: list[Ranking] = []
    new: list[Ranking] = []
    for number, sample in enumerate(samples):
        maps = maps_of(sample)
        items = begun_of.get(sample.id, [])
        if config.whole:
            score = image_uncertainty(maps)
            scored = [(score, Item(sample.id))]
            again.append(_ranking([(score, item) for item in items], number))
        else:
            scored = [
                (score, Item(sample.id, x, y, config.size))
                for score, y, x in tile_uncertainty(maps, config.size, _generator(seed, 4, sample))
            ]
            again.append(_ranking([(uncertainty_at(maps, item.y, item.x, item.size), item) for item in items], number))
        new.append(_ranking([(score, item) for score, item in scored if item not in answered], number))
        advance(1)
    count = len(samples) if config.whole else config.count
    first = _least_certain(again, count)
    return [*first, *_least_certain(new, count - len(first))]


def _ranking(scored: Sequence[tuple[float, Item]], number: int) -> Ranking:
    """Sort the items of an image by uncertainty; ties keep their order."""
    return [(-score, number, item) for score, item in sorted(scored, key=lambda pair: -pair[0])]


def _least_certain(ranked: list[Ranking], count: int) -> list[Item]:
    """Return the first of each list, sorted by score, then the second of each, and so on."""
    items: list[Item] = []
    for place in range(max(map(len, ranked), default=0)):
        if len(items) >= count:
            break
        items.extend(item for _, _, item in sorted(tiles[place] for tiles in ranked if place < len(tiles)))
    return items[:count]
