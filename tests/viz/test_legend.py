from __future__ import annotations

import numpy as np

from wsss.viz.drawing.legend import GAP, SIZE, Entry, with_legend
from wsss.viz.drawing.palette import HATCH

ENTRIES: list[Entry] = [("cat", (64, 0, 0)), ("dining table", (192, 128, 0)), ("ignore", None)]


def test_the_picture_stays_and_every_colour_is_below_it() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (50, 400, 3), dtype=np.uint8)
    found = with_legend(picture, ENTRIES)
    assert found.dtype == np.uint8 and found.shape == (50 + SIZE + 2 * GAP, 400, 3)
    assert np.array_equal(found[:50], picture)
    colours = {tuple(colour) for colour in found[50:].reshape(-1, 3).tolist()}
    assert {(64, 0, 0), (192, 128, 0), *HATCH, (255, 255, 255)} <= colours
    assert (found[50:, -GAP:] == 255).all()


def test_a_narrow_picture_gets_more_lines_and_a_margin() -> None:
    picture = np.zeros((10, 20, 3), np.uint8)
    found = with_legend(picture, ENTRIES)
    assert found.shape[0] == 10 + 3 * (SIZE + GAP) + GAP
    assert (found[:10, 20:] == 255).all() and found.shape[1] < 140
    assert (found[:, -1] == 255).all()  # nothing is cut off
    wide = with_legend(np.zeros((10, 120, 3), np.uint8), ENTRIES[:2])
    assert wide.shape == (10 + 2 * (SIZE + GAP) + GAP, 120, 3)


def test_nothing_to_say_and_the_same_bytes() -> None:
    picture = np.zeros((10, 20, 3), np.uint8)
    assert with_legend(picture, []) is picture
    assert np.array_equal(with_legend(picture, ENTRIES), with_legend(picture, ENTRIES))
