from __future__ import annotations

import numpy as np

from wsss.viz.drawing.legend import GAP, SIZE, Entry, with_legend
from wsss.viz.drawing.palette import HATCH

ENTRIES: list[Entry] = [("cat", (64, 0, 0)), ("dining table", (192, 128, 0)), ("ignore", None)]


def test_the_picture_is_unchanged_and_every_colour_is_below_it() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (50, 400, 3), dtype=np.uint8)
    result = with_legend(picture, ENTRIES)
    assert result.dtype == np.uint8 and result.shape == (50 + SIZE + 2 * GAP, 400, 3)
    assert np.array_equal(result[:50], picture)
    colours = {tuple(colour) for colour in result[50:].reshape(-1, 3).tolist()}
    assert {(64, 0, 0), (192, 128, 0), *HATCH, (255, 255, 255)} <= colours
    assert (result[50:, -GAP:] == 255).all()


def test_the_legend_of_a_narrow_picture_wraps() -> None:
    picture = np.zeros((10, 20, 3), np.uint8)
    result = with_legend(picture, ENTRIES)
    assert result.shape[0] == 10 + 3 * (SIZE + GAP) + GAP
    assert (result[:10, 20:] == 255).all() and result.shape[1] < 140
    assert (result[:, -1] == 255).all()  # nothing is cut off
    wide = with_legend(np.zeros((10, 120, 3), np.uint8), ENTRIES[:2])
    assert wide.shape == (10 + 2 * (SIZE + GAP) + GAP, 120, 3)


def test_without_entries_the_picture_is_returned() -> None:
    picture = np.zeros((10, 20, 3), np.uint8)
    assert with_legend(picture, []) is picture
    assert np.array_equal(with_legend(picture, ENTRIES), with_legend(picture, ENTRIES))
