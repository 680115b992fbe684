"""Classes: encoding, decoding and serialisation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.data.classes import Classes
from wsss.errors import InvalidInput

CLASSES = Classes(("background", "cat", "pet"), ((0,), (8,), (12, 13)), other=frozenset({20}), other_as=255)


@given(st.lists(st.sampled_from([0, 1, 2, 255]), min_size=1, max_size=30))
def test_encode_inverts_decode(indices: list[int]) -> None:
    mask = np.array([indices], np.uint8)
    assert np.array_equal(CLASSES.encode(CLASSES.decode(mask), where="m"), mask)


def test_encode_merges_and_ignores_values() -> None:
    mask = np.array([[0, 8, 12, 13, 20, 255]], np.uint8)
    assert CLASSES.encode(mask, where="m").tolist() == [[0, 1, 2, 2, 255, 255]]


def test_encode_rejects_unknown_values() -> None:
    with pytest.raises(InvalidInput) as error:
        CLASSES.encode(np.array([[9, 8]], np.uint8), where="m")
    assert (error.value.subject, error.value.found) == ("m", [9])
    assert error.value.allowed == "0, 8, 12, 13, 20, 255 (255 = ignore)"


def test_json_round_trip() -> None:
    assert Classes.from_json(json.loads(json.dumps(CLASSES.to_json()))) == CLASSES


def test_index() -> None:
    assert CLASSES.index("pet") == 2 and CLASSES.foreground == ("cat", "pet") and len(CLASSES) == 3
    for unknown in ("cats", "background"):
        with pytest.raises(InvalidInput) as error:
            CLASSES.index(unknown)
        assert (error.value.found, error.value.allowed) == (unknown, ("cat", "pet"))
