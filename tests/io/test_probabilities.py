from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import write_arrays
from wsss.io.rasters.probabilities import read_probabilities, write_probabilities


def probabilities(classes: int = 21) -> np.ndarray:
    """Return the softmax of noise, rounded to half precision."""
    scores = np.exp(np.random.default_rng(0).normal(0, 3, (classes, 5, 7)).astype(np.float32))
    return (scores / scores.sum(0)).astype(np.float16)


def changed(value: float) -> np.ndarray:
    result = probabilities(3)
    result[1, 2, 3] = value
    return result


@pytest.mark.parametrize("classes", [2, 254])
def test_round_trip_allows_half_precision(tmp_path: Path, classes: int) -> None:
    write_probabilities(tmp_path / "x.npz", probabilities(classes))
    result = read_probabilities(tmp_path / "x.npz", classes=classes, size=(5, 7))
    assert result.dtype == np.float16 and np.array_equal(result, probabilities(classes))


@pytest.mark.parametrize(
    ("change", "place", "found"),
    [
        ({"probabilities": changed(np.nan)}, "probabilities[1, 2, 3]", "nan"),
        ({"probabilities": changed(-0.25)}, "probabilities[1, 2, 3]", "-0.25"),
        ({"probabilities": changed(1.5)}, "probabilities[1, 2, 3]", "1.5"),
        ({"probabilities": changed(0) * 0}, "row 0, column 0", "0"),
        ({"probabilities": probabilities(4)}, "probabilities", "float16 (4, 5, 7)"),
        ({"probabilities": changed(0).transpose(0, 2, 1)}, "probabilities", "float16 (3, 7, 5)"),
        ({"probabilities": np.zeros((3, 5, 7), np.int64)}, "probabilities", "int64 (3, 5, 7)"),
        ({"classes": np.array([0, 2, 1])}, "classes", "[0, 2, 1]"),
        ({"size": np.array([7, 5])}, "size", "[7, 5]"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, change: Any, place: str, found: str) -> None:
    write_arrays(tmp_path / "x.npz", {"probabilities": probabilities(3), **change})
    with pytest.raises(InvalidInput) as error:
        read_probabilities(tmp_path / "x.npz", classes=3, size=(5, 7))
    assert error.value.subject == f"{tmp_path / 'x.npz'}: {place}" and str(error.value.found) == found
