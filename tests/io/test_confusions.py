from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsss.errors import InvalidInput
from wsss.io.confusions import cells_of, read_confusions, write_confusions

counts = arrays(np.int64, (3, 4), elements=st.integers(0, 10**12))


@given(st.dictionaries(st.text(min_size=1), counts, max_size=4))
def test_round_trip_keeps_the_order(tmp_path_factory, images):
    path = tmp_path_factory.mktemp("confusions") / "confusions.json"
    write_confusions(path, ("background", "a", 'quote"'), [(name, cells_of(image)) for name, image in images.items()])
    result = read_confusions(path)
    assert list(result.images) == list(images) and result.classes == ("background", "a", 'quote"')
    dense = result.counts().dense()
    assert dense.shape == (len(images), 3, 4)
    assert all(np.array_equal(one, two) for one, two in zip(dense, images.values(), strict=True))
    assert all((result.images[name][:, 2] > 0).all() for name in images)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 7},
        {"images": {"a": [[0, 9, 1]]}},
        {"images": {"a": [[0, -1, 1]]}},
        {"images": {"a": [[0, 1]]}},
        {"images": [1]},
        {"classes": None},
        None,
    ],
)
def test_other_files_are_refused(tmp_path: Path, change):
    path = tmp_path / "confusions.json"
    good = {"format": 1, "classes": ["background", "a"], "images": {"a": [[0, 1, 5]]}}
    path.write_text(json.dumps(good))
    assert read_confusions(path).counts().total().sum() == 5
    path.write_text("{" if change is None else json.dumps({**good, **change}))
    for file in (path, tmp_path / "none.json"):
        with pytest.raises(InvalidInput) as error:
            read_confusions(file)
        assert error.value.subject == str(file)
