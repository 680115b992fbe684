"""What goes in: types, shapes, extreme images, and messages for what is refused."""

import os
import subprocess
import sys

import numpy as np
import pytest

from wsss.errors import InvalidInput
from wsss.topology import barcode, betti_matching, betti_matching_batch


def test_types_give_the_same_matching():
    random = np.random.default_rng(0)
    pred, gt = random.random((2, 20, 31)) > 0.5
    expected = betti_matching(pred, gt)
    for dtype in (np.uint8, np.int8, np.int16, np.int64, np.uint64, np.float16, np.float32, np.float64):
        found = betti_matching(pred.astype(dtype), gt.astype(dtype))
        assert found.loss() == expected.loss()
        assert [pairs.tolist() for pairs in found.pairs] == [pairs.tolist() for pairs in expected.pairs]
    assert betti_matching(pred, gt.astype(np.float64)).loss() == expected.loss()
    assert betti_matching(pred.tolist(), gt.tolist()).loss() == expected.loss()


def test_values_of_uint8_masks_are_taken_as_they_are():
    mask = np.array([[255, 0, 255]], np.uint8)
    assert barcode(mask).dim0.values.tolist() == [[255.0, 0.0]]


def test_strided_images_are_read_rightly():
    random = np.random.default_rng(1)
    big = random.random((2, 30, 40, 3)).astype(np.float32)
    pred, gt = big[0, ::2, ::-1, 1], big[1, ::2, ::-1, 1]
    assert betti_matching(pred, gt).loss() == betti_matching(pred.copy(), gt.copy()).loss()
    assert betti_matching(pred.T, gt.T).pred.dim0.values.shape == betti_matching(pred, gt).pred.dim0.values.shape


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("frame", ["none", "own-max", "zero"])
def test_tiny_images(shape, frame):
    random = np.random.default_rng(2)
    pred, gt = random.random((2, *shape))
    found = betti_matching(pred, gt, frame=frame)
    assert found.error >= 0
    if frame == "none":
        assert len(found.pred.dim1) == 0
        if min(shape) == 1:  # a line: every inner minimum ends an interval
            line = pred.ravel()
            inner = (line[1:-1] < line[:-2]) & (line[1:-1] < line[2:])
            assert len(found.pred.dim0) == inner.sum()


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
def test_constant_images_have_an_essential_class_only(value):
    image = np.full((7, 5), value)
    found = barcode(image)
    assert len(found.dim0) == len(found.dim1) == 0
    assert found.essential.births.tolist() == [value]
    assert found.essential.birth_pixels.tolist() == [[0, 0]]
    assert found.essential.death_pixels.tolist() == [[-1, -1]]
    matching = betti_matching(image, image + 1, essential="match")
    assert matching.error == 0
    assert matching.loss() == 2.0


def test_a_frame_of_the_maximum_closes_off_what_touches_the_border():
    image = np.array([[0.0, 0.0, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 0.0]])
    assert barcode(image).dim1.values.tolist() == []
    framed = barcode(image, frame="own-max")
    assert framed.dim1.values.tolist() == [[0.8, 0.0]]
    assert framed.dim0.values.tolist() == [[0.8, 0.0]]
    assert framed.dim1.birth_pixels.tolist() == [[1, 1]]  # the frame's value is that of this pixel


def test_negative_zero_equals_zero():
    pred, gt = np.array([[-0.0, 0.0, 1.0, -0.0]]), np.array([[0.0, -0.0, -0.0, 1.0]])
    plain = betti_matching(pred + 0.0, gt + 0.0)
    assert betti_matching(pred, gt).loss() == plain.loss()
    assert len(barcode(np.array([[-0.0, 0.0], [0.0, -0.0]])).dim0) == 0


def test_close_float64_values_are_told_apart():
    image = np.array([[1.0, 1.0 - 2e-16, 1.0 - 1e-16, 1.0 - 3e-16, 1.0]])
    assert len(barcode(image).dim0) == 2


def test_float64_values_that_agree_in_their_upper_bits_are_sorted_by_all_of_them():
    """One distant value squeezes the scale; many values then share the 32 bits that are sorted first."""
    random = np.random.default_rng(3)
    image = 1 + random.random((40, 40)) * 1e-13
    image[0, 0] = -1e300
    found = betti_matching(image, image[::-1], filtration="sublevel")
    ranks = np.unique(image, return_inverse=True)[1].reshape(image.shape).astype(np.float32)
    expected = betti_matching(ranks, ranks[::-1], filtration="sublevel")
    assert found.pred.dim0.birth_cells.tolist() == expected.pred.dim0.birth_cells.tolist()
    assert [pairs.tolist() for pairs in found.pairs] == [pairs.tolist() for pairs in expected.pairs]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_are_not_finite_are_refused_with_their_place(bad, dtype):
    image = np.zeros((4, 6), dtype)
    good = image.copy()
    image[2, 3] = bad
    with pytest.raises(InvalidInput, match=r"gt: found (nan|inf|-inf) at row 2, column 3; all values must be finite"):
        betti_matching(good, image)
    with pytest.raises(InvalidInput, match="image: found"):
        barcode(image)
    assert betti_matching(good, good).error == 0  # a refused image leaves nothing behind


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 4)), "at least one pixel, found shape \\(0, 4\\)"),
        (np.zeros((2, 3, 4)), "two-dimensional image \\(H, W\\) is needed, found shape \\(2, 3, 4\\)"),
        (np.zeros(4), "found shape \\(4,\\)"),
        (np.zeros((2, 2), complex), "found complex128"),
        (np.array([["a", "b"]]), "found <U1"),
        (np.full((2, 2), 2**60), "beyond 2\\*\\*53"),
        (np.full((2, 2), np.iinfo(np.int64).min), "beyond 2\\*\\*53"),
    ],
)
def test_other_images_are_refused(image, message):
    with pytest.raises(InvalidInput, match=message):
        barcode(image)


def test_unknown_options_are_refused_with_the_closest_one():
    image = np.zeros((2, 2))
    with pytest.raises(InvalidInput, match=r"filtration: found 'superlevels'.*did you mean 'superlevel'"):
        barcode(image, filtration="superlevels")
    with pytest.raises(InvalidInput, match="frame: found 'max', allowed are none, own-max, zero"):
        betti_matching(image, image, frame="max")
    with pytest.raises(InvalidInput, match="essential"):
        betti_matching(image, image, essential="keep")


def test_shapes_must_agree():
    with pytest.raises(InvalidInput, match="pred and gt: the shapes must agree, found \\(2, 3\\) and \\(3, 2\\)"):
        betti_matching(np.zeros((2, 3)), np.zeros((3, 2)))


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_a_batch_equals_its_pairs(threads):
    random = np.random.default_rng(4)
    preds, gts = random.random((2, 7, 33, 47)).astype(np.float32)
    found = betti_matching_batch(preds, gts > 0.5, threads=threads, frame="own-max", essential="match")
    for one, pred, gt in zip(found, preds, gts, strict=True):
        expected = betti_matching(pred, gt > 0.5, frame="own-max", essential="match")
        assert one.loss() == expected.loss()
        assert np.array_equal(one.dim0.matched, expected.dim0.matched)
        assert np.array_equal(one.dim1.unmatched_gt.birth_cells, expected.dim1.unmatched_gt.birth_cells)


def test_a_batch_of_different_sizes_and_types_and_an_empty_one():
    random = np.random.default_rng(5)
    preds = [random.random((n, n + 2)) for n in range(3, 30)]
    gts = [image > 0.5 for image in preds]
    found = betti_matching_batch(preds, gts, threads=3)
    assert [m.loss() for m in found] == [betti_matching(p, g).loss() for p, g in zip(preds, gts, strict=True)]
    assert betti_matching_batch([], []) == []


def test_a_batch_names_what_it_refuses():
    good = np.zeros((3, 4, 4))
    bad = good.copy()
    bad[1, 0, 0] = np.nan
    with pytest.raises(InvalidInput, match="preds\\[1\\]: found nan"):
        betti_matching_batch(bad, good, threads=2)
    with pytest.raises(InvalidInput, match="found 3 predictions and 2 labels"):
        betti_matching_batch(good, good[:2])
    with pytest.raises(InvalidInput, match="threads: at least 1"):
        betti_matching_batch(good, good, threads=0)
    with pytest.raises(InvalidInput, match="gts\\[0\\]"):
        betti_matching_batch(good, np.zeros((3, 4, 5)))


def test_large_images_after_small_ones_and_back():
    random = np.random.default_rng(6)
    small, large = random.random((2, 5, 6)), random.random((2, 90, 110))
    first = betti_matching(*small).loss()
    assert betti_matching(*large).loss() > 0
    assert betti_matching(*small).loss() == first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_batches_work_in_a_forked_child():
    """Data loaders fork: a pool of threads of the parent must not be waited for in the child."""
    code = (
        "import os, numpy as np\n"
        "from wsss.topology import betti_matching_batch as batch\n"
        "x = np.random.default_rng(0).random((4, 20, 20)); y = x > 0.5\n"
        "a = [m.loss() for m in batch(x, y, threads=2)]\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os._exit(0 if [m.loss() for m in batch(x, y, threads=2)] == a else 3)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=900).returncode == 0
