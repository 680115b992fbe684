"""Tiles whose labels are people's answers, instead of being derived from masks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss.data.answers.annotation_session import check_known
from wsss.data.answers.answer_rows import Item, read_answers
from wsss.data.answers.votes import Ballot, Votes
from wsss.data.tiles.tile_table import Tile, write_tables
from wsss.data.tiles.tiling import TilesConfig, colour_statistics
from wsss.errors import InvalidInput, Verbatim, counted
from wsss.io.files.atomic import sha256_file
from wsss.io.rasters.rgb_images import read_image, write_png

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.sample import Sample

LEFT_OUT = {
    "ties": "as many people answered yes as no",
    "disagreements": "people disagree",
    "skipped": "nobody could tell",
    "incomplete": "no answer about some of the classes",
}
"""Reasons why a tile has no label, as in the keys ``left_out_…`` of ``tiles.json``."""


@dataclass(frozen=True)
class Answered:
    """The tiles of a table of answers that have a label.

    Args:
        labels: tile → sorted indices (≥ 1) of its classes, in a fixed order.
        size: side length of the tiles.
        counts: numbers of answers, people, and tiles that are left out, for ``tiles.json``.
    """

    labels: Mapping[Item, tuple[int, ...]]
    size: int
    counts: Mapping[str, Any]


@dataclass(frozen=True)
class Crops:
    """The labelled tiles of one image.

    Args:
        tiles: its tiles with their labels.
    """

    sample: Sample
    tiles: tuple[tuple[Item, tuple[int, ...]], ...]

    @property
    def id(self) -> str:
        """The image's id."""
        return self.sample.id


def read_answered(path: Path, samples: Sequence[Sample], classes: Classes, config: TilesConfig) -> Answered:
    """Read a table of answers, and decide on the label of each tile.

    A class is in a tile if more people answered yes than no. Tiles with a tie, or without an answer about every class,
    are left out; so are tiles on which people disagree at all, with ``disagreement: exclude``.

    Args:
        config: ``size`` if it is not the default, and ``disagreement``.

    Raises:
        InvalidInput: the table is damaged, is about unknown images or classes, whole images or tiles of a different
            size, or no tile has a label.
    """
    ballot = Ballot(read_answers(path), path)
    images = {sample.id for sample in samples}
    check_known(ballot, path, images=images, classes=classes.foreground, size=config.answered_size)
    votes = ballot.votes()
    if votes and not next(iter(votes)).size:
        raise InvalidInput(
            "answers about whole images, not tiles",
            subject=path,
            hint="Use them as image-level labels: wsss ask PATH --answers FILE --export labels.csv",
        )
    decided = {item: _decide(of_item, classes, config) for item, of_item in sorted(votes.items())}
    labels = {item: label for item, label in decided.items() if isinstance(label, tuple)}
    left_out = Counter(reason for reason in decided.values() if isinstance(reason, str))
    if not labels:
        raise InvalidInput("no tile has a label", subject=path, found=Verbatim(left_out_text(left_out) or "no answers"))
    counts = {
        "answers_given": sum(len(vote.yes) + len(vote.no) for of_item in votes.values() for vote in of_item.values()),
        "annotators": len(ballot.annotators()),
        "disagreements": sum(any(vote.disagree for vote in of_item.values()) for of_item in votes.values()),
        **{f"left_out_{reason}": left_out[reason] for reason in LEFT_OUT},
        "answers_sha256": sha256_file(path),
    }
    return Answered(labels, next(iter(labels)).size, counts)


def left_out_text(counts: Mapping[str, int]) -> str:
    """Return the numbers of tiles that are left out, by reason; ``""`` without any.

    Args:
        counts: key of `LEFT_OUT` → number of tiles.
    """
    return "; ".join(f"{counted(counts[key], 'tile')}: {why}" for key, why in LEFT_OUT.items() if counts.get(key))


def _decide(votes: Mapping[str, Votes], classes: Classes, config: TilesConfig) -> tuple[int, ...] | str:
    """Return the labels of a tile, or the reason why it has none."""
    of_classes = [votes.get(name, Votes()) for name in classes.foreground]
    if any(vote == Votes() for vote in of_classes):
        return "incomplete"
    if any(not vote.yes and not vote.no for vote in of_classes):
        return "skipped"
    if config.disagreement == "exclude" and any(vote.disagree for vote in of_classes):
        return "disagreements"
    decisions = [vote.majority() for vote in of_classes]
    if None in decisions:
        return "ties"
    return tuple(index for index, present in enumerate(decisions, start=1) if present)


def cut_answered(
    samples: Sequence[Sample],
    out: Path,
    *,
    answered: Answered,
    classes: Classes,
    config: TilesConfig,
    split: str,
    seed: int,
    each: Callable[[Callable[[Any], Any], Sequence[Any], str], list[Any]],
) -> dict[str, Any]:
    """Cut the tiles of a table of answers, write them with their tables, and return settings and counts.

    Args:
        answered: see `read_answered`.
        config, split, seed, each: see `wsss.data.tiles.tiling.draw_tiles`; the seed chooses the wrong labels of
            ``label_noise``.

    Raises:
        InvalidInput: an image is unreadable, or a tile is not inside its image.
    """
    of_image: dict[str, list[tuple[Item, tuple[int, ...]]]] = {}
    for item, labels in answered.labels.items():
        of_image.setdefault(item.image, []).append((item, labels))
    crops = [Crops(sample, tuple(of_image[sample.id])) for sample in samples if sample.id in of_image]
    work = partial(_cut, out=out, classes=len(classes), noise=config.label_noise, seed=seed)
    tiles = [tile for of_one in each(work, crops, "tiles") for tile in of_one]
    drawn = {
        "tiles": len(tiles),
        "tile_size": answered.size,
        "images": len(crops),
        "split": split,
        "without_any_class": sum(not tile.labels for tile in tiles),
        "label_noise": config.label_noise,
        "seed": seed,
        **answered.counts,
        "answers": f"answers by {counted(int(answered.counts['annotators']), 'person', 'people')}; the majority "
        "decides, tiles with a tie are left out"
        + (", and so are all on which people disagree" if config.disagreement == "exclude" else ""),
    }
    write_tables(out, tiles, classes=classes, drawn=drawn)
    return drawn


def _cut(crops: Crops, *, out: Path, classes: int, noise: float, seed: int) -> list[Tile]:
    """Cut the tiles of one image, and write those that do not exist yet."""
    image = read_image(*crops.sample.source)
    mean, std = colour_statistics(image)
    tiles = []
    for item, labels in crops.tiles:
        if item.y + item.size > image.shape[0] or item.x + item.size > image.shape[1]:
            size = f"{image.shape[1]}×{image.shape[0]}"
            raise InvalidInput(f"the tile is not inside the image of {size} pixels", subject=item.id)
        wrong = _noise_generator(seed, item).random(classes - 1) < noise
        present = np.isin(np.arange(1, classes), labels) ^ wrong
        noisy = tuple(int(index) + 1 for index in np.flatnonzero(present))
        tile = Tile(item.image, item.y, item.x, item.size, noisy, mean, std)
        if not tile.path(out).is_file():
            write_png(tile.path(out), image[item.y : item.y + item.size, item.x : item.x + item.size].copy())
        tiles.append(tile)
    return tiles


def _noise_generator(seed: int, item: Item) -> np.random.Generator:
    """Return the generator of a tile's wrong labels: they do not depend on other tiles, so more answers keep them."""
    digest = hashlib.sha256(repr(("label noise", item.image, item.x, item.y)).encode()).digest()
    return np.random.default_rng([seed, 5, *np.frombuffer(digest, "<u4").tolist()])
