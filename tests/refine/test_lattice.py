"""The dense CRF on the permutohedral lattice, against pydensecrf, and what a filter must satisfy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from wsss.errors import InvalidInput
from wsss.refine.lattice import filtering
from wsss.refine.lattice.embedding import embed
from wsss.refine.lattice.filtering import MOST_CHANNELS, Filter, position_filter
from wsss.refine.lattice.mean_field import BLOCK, infer
from wsss.refine.lattice.packing import ascending, packing

PRESETS = {"irn": (3, 3, 50, 5, 10), "psa": (3, 3, 80, 13, 10), "deeplab": (1, 3, 67, 3, 4)}


def picture(size: tuple[int, int] = (40, 52), seed: int = 0) -> NDArray[np.uint8]:
    """Draw smooth patches with some noise."""
    generator = np.random.default_rng(seed)
    patches = generator.integers(0, 256, (4, 5, 3)).repeat(size[0] // 4 + 1, 0).repeat(size[1] // 5 + 1, 1)
    noise = generator.normal(0, 6, (*size, 3))
    return np.clip(patches[: size[0], : size[1]] + noise, 0, 255).astype(np.uint8)


def energies(labels: int, size: tuple[int, int] = (40, 52), seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).gamma(2, 1, (labels, size[0] * size[1])).astype(np.float32)


def oracle(image: NDArray[np.uint8], unary: NDArray[np.float32], preset: tuple[float, ...], steps: int) -> NDArray:
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    crf = densecrf.DenseCRF2D(image.shape[1], image.shape[0], len(unary))
    crf.setUnaryEnergy(unary)
    crf.addPairwiseGaussian(sxy=preset[0], compat=preset[1])
    crf.addPairwiseBilateral(sxy=preset[2], srgb=preset[3], rgbim=image.copy(), compat=preset[4])
    return np.array(crf.inference(steps))


def ours(image: NDArray[np.uint8], unary: NDArray[np.float32], preset: tuple[float, ...], steps: int) -> NDArray:
    filters = [position_filter(image, preset[0], preset[1]), Filter(image, preset[2], preset[3], preset[4])]
    return infer(unary, filters, steps)


@pytest.mark.parametrize(
    "labels", [2, 3, MOST_CHANNELS + 2, pytest.param(2 * MOST_CHANNELS + 3, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("preset", PRESETS)
def test_marginals_are_those_of_pydensecrf(preset: str, labels: int) -> None:
    image, unary = picture(), energies(labels)
    expected, result = (function(image, unary, PRESETS[preset], 10) for function in (oracle, ours))
    assert (expected.argmax(0) == result.argmax(0)).mean() > 0.9999
    assert np.abs(expected - result).mean() < 1e-5
    one = [function(image, unary, PRESETS[preset], 1) for function in (oracle, ours)]
    np.testing.assert_allclose(*one, atol=2e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (3, BLOCK + 5)])
def test_any_size(size: tuple[int, int]) -> None:
    image, unary = picture(size), energies(3, size)
    np.testing.assert_allclose(
        ours(image, unary, PRESETS["psa"], 2), oracle(image, unary, PRESETS["psa"], 2), atol=1e-4
    )


def test_noise_needs_more_vertices_than_the_first_table_holds() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    lattice = embed(image, 50, 3)
    assert lattice.neighbours.shape[1] > image.shape[0] * image.shape[1]
    unary = energies(2, (60, 70))
    np.testing.assert_allclose(
        ours(image, unary, PRESETS["irn"], 3), oracle(image, unary, PRESETS["irn"], 3), atol=1e-4
    )


def test_weights_sum_to_one_and_equal_pixels_share_vertices() -> None:
    image = np.full((8, 9, 3), 77, np.uint8)
    lattice = embed(image, 1e6, 5)
    np.testing.assert_allclose(lattice.weights.sum(1), 1, atol=1e-5)
    assert lattice.weights.min() > -1e-5
    assert len(np.unique(lattice.vertices, axis=0)) <= 2  # the first pixels lie on the edge of a simplex


def test_neighbours_come_in_pairs() -> None:
    lattice = embed(picture(), 50, 5)
    for after, before in np.moveaxis(lattice.neighbours, 2, 1):
        vertices = np.flatnonzero(after)
        assert len(vertices) > 0 and np.array_equal(before[after[vertices]], vertices)
        assert np.count_nonzero(before) == len(vertices)
        assert after[0] == before[0] == 0, "number 0 stands for a missing vertex"


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**62), unique=True), st.integers(0, 40))
def test_packed_vertices_are_sorted(keys: list[int], unused: int) -> None:
    array = np.array([key >> unused for key in keys], np.uint64)
    assert np.array_equal(ascending(array), np.argsort(array, kind="stable"))


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), channels=st.integers(1, MOST_CHANNELS), colour=st.booleans())
def test_a_filter_is_linear_and_nearly_symmetric(seed: int, channels: int, colour: bool) -> None:
    generator = np.random.default_rng(seed)
    image = picture((12, 15), seed)
    kernel = Filter(image, 4, 20 if colour else None, 2.5)
    first, second = generator.random((2, 180, channels)).astype(np.float32)

    def filtered(values: NDArray[np.float32]) -> NDArray[np.float32]:
        result = np.zeros_like(values)
        kernel.add(values, result)
        return result

    np.testing.assert_allclose(
        filtered(first + 3 * second), filtered(first) + 3 * filtered(second), rtol=1e-4, atol=1e-4
    )
    # Missing vertices make the result depend on the order of the axes: by up to 1.5 % for these seeds.
    np.testing.assert_allclose((first * filtered(second)).sum(), (filtered(first) * second).sum(), rtol=2e-2)
    alone = np.concatenate([filtered(first[:, c : c + 1]) for c in range(channels)], 1)
    np.testing.assert_allclose(filtered(first), alone, rtol=1e-5, atol=1e-6)
    ones = filtered(np.ones((180, 1), np.float32))
    np.testing.assert_array_equal(kernel.constant[:, None], ones)


def test_without_kernels_marginals_are_the_softmax_of_the_unary() -> None:
    unary = energies(5) * 20
    np.testing.assert_allclose(infer(unary, [], 3), softmax(-unary.astype(np.float64), axis=0), atol=1e-6)


def test_position_filters_are_kept_for_images_of_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtering, "KEPT_PIXELS", 2 * 41 * 52)
    image, other = picture(), picture((41, 52))
    kept = position_filter(image, 3, 2)
    assert position_filter(picture(seed=3), 3, 2) is kept
    for changed in (position_filter(other, 3, 2), position_filter(image, 4, 2), position_filter(image, 3, 1)):
        assert changed is not kept
    assert position_filter(image, 3, 2) is not kept, "only the last ones are kept"
    np.testing.assert_array_equal(position_filter(image, 3, 2).constant, Filter(image, 3, None, 2).constant)
    before = list(filtering._kept)
    position_filter(picture((200, 200)), 3, 2)
    assert before and list(filtering._kept) == before, "that of a large image is not kept, and replaces no other"


def test_position_filters_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photographs of a dataset alternate between several sizes."""
    monkeypatch.setattr(filtering, "KEPT_PIXELS", 3 * 10 * 12)
    filtering.forget_position_filters()
    common, others = picture((10, 12)), [picture((12, 10)), picture((10, 11)), picture((11, 10))]
    kept = position_filter(common, 3, 2)
    for other in others:
        position_filter(other, 3, 2)
        assert position_filter(common, 3, 2) is kept


def test_threads_do_not_change_the_result() -> None:
    images = [picture(seed=seed) for seed in range(6)]
    unary = energies(3)

    def work(image: NDArray[np.uint8]) -> bytes:
        return ours(image, unary, PRESETS["irn"], 5).tobytes()

    alone = [work(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, images)) == alone


@pytest.mark.parametrize("sigmas", [(50, 0.001), (1e-7, None)])
def test_kernels_that_are_too_narrow_are_refused(sigmas: tuple[float, float | None]) -> None:
    with pytest.raises(InvalidInput) as error:
        embed(picture(), *sigmas)
    assert error.value.subject == "crf" and "sigma" in str(error.value.allowed)


def test_large_images_and_narrow_kernels_have_room() -> None:
    assert packing([6000 / 0.5, 4000 / 0.5]).shift[1] < 40
    assert packing([6000 / 20, 4000 / 20, *[255 / 0.6] * 3]).shift[-1] < 60
