"""Stored values as dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from wsss.io.text.typed_json import typed


@dataclass(frozen=True)
class Cell:
    """A value of a table, and its row."""

    row: str
    value: float


def test_values_that_fit() -> None:
    assert typed(list[Cell], [{"row": "a", "value": 1}]) == [Cell("a", 1.0)]


def test_each_problem_is_named_in_one_line() -> None:
    with pytest.raises(ValueError) as caught:
        typed(dict[str, list[Cell]], {"cells": [{"row": "a", "value": "x"}, {"row": "b"}]})
    text = str(caught.value)
    assert "\n" not in text and "://" not in text
    first, second = text.split("; ")
    assert first.startswith("cells.0.value: ") and second.startswith("cells.1.value: ")


def test_a_value_of_another_type() -> None:
    with pytest.raises(ValueError, match=r"^[^:]*$"):  # no key to name
        typed(Cell, 3)
