"""Letters in pictures: missing ones are not drawn as boxes."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wsss.viz.drawing.legend import with_legend
from wsss.viz.drawing.lettering import drawable, font
from wsss.viz.drawing.overlay import contact_sheet


def boxes(text: str) -> list[str]:
    """Return the letters of a text that the font draws like an unassigned code point."""
    box = font(20).getmask("\uffff")
    return [one for one in text if bytes(font(20).getmask(one)) == bytes(box)]


def test_accents_are_dropped_and_other_letters_become_question_marks() -> None:
    assert drawable(string.ascii_letters + string.digits + string.punctuation + " …") == (
        string.ascii_letters + string.digits + string.punctuation + " …"
    )
    assert drawable("café, Ärger, niño, Straße, Łódź, naïve") == "cafe, Arger, nino, Strasse, Lodz, naive"
    assert drawable("cafe\u0301") == "cafe" and drawable("кот 猫") == "??? ?" and drawable("a\tb") == "a?b"


@given(st.text(max_size=30))
def test_no_letter_is_drawn_as_a_box(text: str) -> None:
    assert boxes(drawable(text)) == []
    assert drawable(drawable(text)) == drawable(text)


def test_legends_and_headings_use_drawable_letters(tmp_path: Path) -> None:
    picture = np.zeros((10, 200, 3), np.uint8)
    assert np.array_equal(with_legend(picture, [("é", (1, 2, 3))]), with_legend(picture, [("e", (1, 2, 3))]))
    for name, title in (("a", "Ü"), ("b", "U")):
        contact_sheet([[picture]], [title], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
