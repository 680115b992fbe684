"""Draw the tiles of a dataset into a folder of their own: what ``wsss data tiles`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.data.checks.ground_truth import check_truth, require_masks
from wsss.data.masks.encodings import read_and_check_encoding
from wsss.data.tiles.tiling import TilesConfig, draw_tiles
from wsss.errors import InvalidInput
from wsss.io.files.atomic import TEMPORARY, explain_os_errors, write_json
from wsss.io.files.contained import check_tree
from wsss.io.text.json_files import read_json

if TYPE_CHECKING:
    from wsss.data.sample import Dataset

MARKER = "drawing.json"
"""Written first: says what a folder of tiles is being drawn with."""


def draw_into(
    out: Path,
    dataset: Dataset,
    *,
    config: TilesConfig,
    split: str,
    seed: int,
    start: Callable[[int], Callable[[int], None]],
) -> dict[str, Any]:
    """Draw the tiles of a split into a folder of their own, in this process; see `draw_tiles`.

    Args:
        out: a new folder, an empty one, or one that holds the same tiles.
        dataset: with masks.
        config, split, seed: what to draw.
        start: number of steps → function that advances a progress bar.

    Raises:
        InvalidInput: no such split, masks that are missing, show no class or mix two encodings, or ``out`` holds
            something else; see `draw_tiles`.
        RunFailed: ``out`` can't be written to.
    """
    samples, of = dataset.split(split), f"split {split!r}"
    require_masks(dataset, samples, of=of, hint="Choose a split that has masks.")
    check_truth(samples, dataset.classes, where=of)
    read_and_check_encoding(samples, dataset.classes, where=of)
    claim = {"split": split, "seed": seed, **config.model_dump()}
    marker = out / MARKER
    with explain_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        others = (path.name for path in out.iterdir() if path != marker and not path.name.startswith(TEMPORARY))
        stranger = next(others, None)  # a marker alone is of a drawing that came to nothing
    if stranger is not None and _read_json(marker) != claim:
        raise InvalidInput(
            f"{out}: the folder already holds something else ({stranger}).",
            hint="Choose a new folder, or delete this one.",
        )
    check_tree(out)
    write_json(marker, claim)

    def each(work: Callable[[Any], Any], items: Sequence[Any], description: str) -> list[Any]:
        advance, found = start(len(items)), []
        for item in items:
            found.append(work(item))
            advance(1)
        return found

    return draw_tiles(samples, out, classes=dataset.classes, config=config, split=split, seed=seed, each=each)


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None
