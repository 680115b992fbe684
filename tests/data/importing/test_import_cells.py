"""Lists of names as other programs print them into a cell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.data.importers.rules.cells import names_in, separator_of
from wsss.errors import InvalidInput


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"])), max_size=5))
def test_lists_of_python_and_json(names: list[str]) -> None:
    for cell in (str(names), json.dumps(names), json.dumps(names, ensure_ascii=False), json.dumps({"choices": names})):
        assert names_in(cell, ",", "here") == names


@given(st.lists(st.text("ab '\"[],", min_size=1), min_size=1, max_size=5))
def test_arrays_of_numpy(names: list[str]) -> None:
    with np.printoptions(threshold=100, linewidth=20):
        assert names_in(str(np.array(names, object)), ",", "here") == names


@pytest.mark.parametrize("cell", ["['cat'", "[cat, dog]", "[1, 2]", "{'cat': 1}", "['cat', 2]", "['cat', f()]"])
def test_invalid_lists(cell: str) -> None:
    with pytest.raises(InvalidInput) as error:
        names_in(cell, ",", "here")
    assert (error.value.subject, error.value.found) == ("here", cell)


def test_names_and_separators() -> None:
    assert names_in("big cat, dog,", ",", "here") == ["big cat", " dog"]
    assert names_in("big cat, dog", None, "here") == ["big cat, dog"]
    assert names_in("", ",", "here") == []
    assert separator_of(["['a', 'b']", "c|d"]) == "|"
    assert separator_of(["['a;b']", "c d"]) is None
