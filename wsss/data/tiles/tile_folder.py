"""``wsss data tiles``: extract the tiles of a dataset into a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.data.masks.encodings import read_and_check_encoding
from wsss.data.masks.ground_truth import check_truth, require_masks
from wsss.data.tiles.answered_tiles import cut_answered, read_answered
from wsss.data.tiles.tiling import TilesConfig, draw_tiles
from wsss.errors import InvalidInput, Verbatim, listing
from wsss.io.files.atomic import TEMPORARY, convert_os_errors, sha256_file, write_json
from wsss.io.files.contained import check_tree
from wsss.io.files.json_files import read_json_object

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset, Kind

MARKER = "drawing.json"
"""File with the settings of the tiles and the content of the images and masks, written first."""


def draw_tile_folder(
    out: Path,
    dataset: Dataset,
    *,
    config: TilesConfig,
    split: str,
    seed: int,
    start: Callable[[int], Callable[[int], None]],
) -> dict[str, Any]:
    """Extract the tiles of a split into a folder, in this process; see `draw_tiles`.

    Args:
        out: a new or empty folder, or one with the same tiles of the same images and masks.
        dataset: with masks, unless there are answers.
        config, split, seed: see `draw_tiles`.
        start: called with the number of steps; returns a function that advances a progress bar.

    Raises:
        InvalidInput: no such split, masks that are missing, show no class or mix two encodings, or ``out`` contains
            other files; see `draw_tiles` and `read_answered`.
        RunFailed: ``out`` cannot be written to.
    """
    samples, of = dataset.split(split), f"split {split!r}"
    answered = None
    if config.answers is None:
        hint = "Choose a split that has masks, or collect answers with `wsss ask` and pass --answers FILE."
        require_masks(dataset, samples, of=of, hint=hint)
        check_truth(samples, dataset.classes, where=of)
        read_and_check_encoding(samples, dataset.classes, where=of)
    else:
        answered = read_answered(config.answers, samples, dataset.classes, config)
    settings = {"split": split, "seed": seed, **_settings(config), **_contents(dataset, split, config)}
    marker = out / MARKER
    with convert_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        others = (path.name for path in out.iterdir() if path != marker and not path.name.startswith(TEMPORARY))
        other = next(others, None)
    if other is not None and (earlier := read_json_object(marker)) != settings:
        raise _other_files(out, other, earlier, settings)
    check_tree(out)
    write_json(marker, settings)

    def each(work: Callable[[Any], Any], items: Sequence[Any], description: str) -> list[Any]:
        advance, results = start(len(items)), []
        for item in items:
            results.append(work(item))
            advance(1)
        return results

    work: Callable[..., dict[str, Any]] = draw_tiles if answered is None else partial(cut_answered, answered=answered)
    return work(samples, out, classes=dataset.classes, config=config, split=split, seed=seed, each=each)


def _settings(config: TilesConfig) -> dict[str, Any]:
    """Return the settings that determine the tiles; a table of answers is identified by its content."""
    if config.answers is None:
        return config.model_dump(exclude={"answers", "disagreement"})
    read = config.model_dump(include={"label_noise", "disagreement"})
    return {"answers_sha256": sha256_file(config.answers), **read}


def _contents(dataset: Dataset, split: str, config: TilesConfig) -> dict[str, str]:
    """Return hashes of the images and masks, which also cover their ids, how they are read, and the classes."""
    kinds: tuple[Kind, ...] = ("images", "masks") if config.answers is None else ("images",)
    return {kind: dataset.fingerprint(split, kind) for kind in kinds}


def _other_files(out: Path, other: str, earlier: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> InvalidInput:
    hint = "Choose a new output folder, or delete this one."
    if earlier is None:
        return InvalidInput("contains files other than these tiles", subject=out, found=other, hint=hint)
    keys = sorted(earlier.keys() | settings.keys())
    differing = Verbatim(listing((key for key in keys if earlier.get(key) != settings.get(key)), limit=len(keys)))
    return InvalidInput("contains tiles drawn with other settings or data", subject=out, found=differing, hint=hint)
