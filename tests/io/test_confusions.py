"""Confusion counts per image on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsss.errors import InvalidInput
from wsss.io.confusions import Confusions, read_confusions, write_confusions

counts = arrays(np.int64, (3, 4), elements=st.integers(0, 10**12))


@given(st.dictionaries(st.text(min_size=1), counts, max_size=4))
def test_what_is_written_is_read_in_order(tmp_path_factory, images):
    path = tmp_path_factory.mktemp("confusions") / "confusions.json"
    write_confusions(path, Confusions(("background", "a", 'quote"'), images))
    found = read_confusions(path)
    assert list(found.images) == list(images) and found.classes == ("background", "a", 'quote"')
    assert all(np.array_equal(found.images[name], images[name]) for name in images)
    assert found.stacked().shape == (len(images), 3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 7}, "this version"),
        ({"images": {"a": [[0, 9, 1]]}}, "IndexError"),
        ({"images": {"a": [[0, -1, 1]]}}, "whole numbers of 0 or more"),
        ({"images": {"a": [[0, 1]]}}, "ValueError"),
        ({"images": [1]}, "AttributeError"),
        ({"classes": None}, "TypeError"),
    ],
)
def test_a_file_of_something_else_is_named(tmp_path: Path, change, message):
    path = tmp_path / "confusions.json"
    good = {"format": 1, "classes": ["background", "a"], "images": {"a": [[0, 1, 5]]}}
    path.write_text(json.dumps(good))
    assert read_confusions(path).images["a"].sum() == 5
    path.write_text(json.dumps({**good, **change}))
    with pytest.raises(InvalidInput, match=message):
        read_confusions(path)
    path.write_text("{")
    with pytest.raises(InvalidInput, match="not a readable JSON"):
        read_confusions(path)
    with pytest.raises(InvalidInput, match="no such file"):
        read_confusions(tmp_path / "none.json")
