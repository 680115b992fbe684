"""Training images in memory, and their reduction to a working size."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from wsss.data.classes import Classes
from wsss.data.image_transforms.resizing import reduced, reduced_mask
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.io.rasters.arrays import write_arrays
from wsss.io.rasters.label_masks import IGNORE, write_mask
from wsss.io.rasters.rgb_images import write_png
from wsss.train.image_cache import ArrayCache, cached_images
from wsss.train.tasks.segmentation import PairLoader
from wsss.train.tasks.soft import SoftPairLoader

CLASSES = Classes(("background", "thing"), ((0,), (5,)))


class Loader:
    """Returns arrays of 1000 bytes and records the calls."""

    def __init__(self) -> None:
        self.loaded: list[int] = []
        self.lock = threading.Lock()

    def __call__(self, index: int) -> np.ndarray:
        with self.lock:
            self.loaded.append(index)
        return np.full(1000, index % 256, np.uint8)


@pytest.mark.parametrize(("cache_bytes", "kept"), [(0, 0), (999, 0), (1000, 1), (7500, 7), (10**9, 100)])
def test_the_first_arrays_that_fit_are_kept(cache_bytes: int, kept: int) -> None:
    loader = Loader()
    cached = ArrayCache(loader, 100, cache_bytes=cache_bytes)
    assert len(cached.kept) == kept and len(cached) == 100
    assert all(cached[index][0] == index for index in (0, 6, 50, 99))
    assert cached.largest == 1000


def test_few_arrays_are_loaded_ahead() -> None:
    """Large photographs would otherwise exhaust memory: 64 of them take 6 GB."""
    loader = Loader()
    ArrayCache(loader, 1000, cache_bytes=12_000, threads=2)
    assert len(loader.loaded) <= 12 + 4


@pytest.mark.parametrize("cache_bytes", [0, 1000])
def test_arrays_are_measured_even_if_they_are_not_kept(cache_bytes: int) -> None:
    """Otherwise nothing would limit the number of processes that load them."""
    sizes = [1000, 5000, 3000, 20]
    cached = ArrayCache(lambda index: np.zeros(sizes[index], np.uint8), 4, cache_bytes=cache_bytes)
    assert cached.largest == 5000 and len(cached.kept) == (cache_bytes > 0)
    assert ArrayCache(lambda index: np.zeros(0), 0, cache_bytes=cache_bytes).largest == 0


@pytest.mark.parametrize("cache_bytes", [0, 10**6])
def test_all_errors_of_the_loader_are_listed(cache_bytes: int) -> None:
    def load(index: int) -> np.ndarray:
        raise InvalidInput("broken", subject=index)

    with pytest.raises(InvalidInput) as error:
        ArrayCache(load, 9, cache_bytes=cache_bytes)
    assert [each.subject for each in error.value.errors] == [str(index) for index in range(9)]


@pytest.fixture
def photograph(tmp_path: Path) -> Sample:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)
    mask = np.zeros((60, 90), np.uint8)
    mask[20:40, 30:60], mask[:4] = 5, IGNORE
    write_png(tmp_path / "a.png", image)
    write_mask(tmp_path / "a-mask.png", mask)
    return Sample("a", tmp_path / "a.png", (1,), tmp_path / "a-mask.png")


def test_images_are_reduced_by_area(photograph: Sample) -> None:
    plain, small = (cached_images([photograph.source], cache_bytes=0, max_side=side)[0] for side in (None, 45))
    assert np.array_equal(cached_images([photograph.source], cache_bytes=0, max_side=90)[0], plain)
    blocks = plain.reshape(30, 2, 45, 2, 3).mean((1, 3))
    assert small.shape == (30, 45, 3) and np.abs(small - blocks).max() <= 1


def test_masks_are_reduced_with_their_images_without_mixing_classes(photograph: Sample) -> None:
    pair = PairLoader([photograph], CLASSES, 30)(0)
    assert pair.shape == (20, 30, 4) and set(np.unique(pair[..., 3])) == {0, 1, IGNORE}
    assert (pair[7:13, 10:20, 3] == 1).all() and (pair[0, :, 3] == IGNORE).all()
    assert PairLoader([photograph], CLASSES)(0).shape == (60, 90, 4)
    for side in (7, 89, 200):
        mask = np.zeros((60, 90), np.uint8)
        assert reduced_mask(mask, side).shape == reduced(np.zeros((60, 90, 3), np.uint8), side).shape[:2]


def test_probabilities_are_reduced_with_their_images(photograph: Sample, tmp_path: Path) -> None:
    foreground = np.random.default_rng(1).random((60, 90)).astype(np.float16)
    stored = np.stack([1 - foreground, foreground]).astype(np.float16)
    write_arrays(tmp_path / "a.npz", {"probabilities": stored})
    pair = SoftPairLoader([(photograph.source, tmp_path / "a.npz")], CLASSES, 45)(0)
    reduced_probabilities = np.ascontiguousarray(pair[..., 3:]).view(np.float16)
    assert reduced_probabilities.shape == (30, 45, 2)
    expected = stored.astype(np.float32).reshape(2, 30, 2, 45, 2).mean((2, 4)).transpose(1, 2, 0)
    np.testing.assert_allclose(reduced_probabilities, expected, atol=2e-3)
