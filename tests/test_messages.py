"""The wording of errors is pinned in one place: ``tests/messages.txt``."""

from __future__ import annotations

from messages import CATALOGUE, catalogue


def test_catalogue_is_up_to_date() -> None:
    expected = "run: python tests/support/messages.py --write, and read what changed"
    assert CATALOGUE.read_text(encoding="utf-8") == catalogue(), expected
