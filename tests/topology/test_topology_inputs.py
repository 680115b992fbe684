"""Types, shapes, extreme images, and validation."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from wsss.errors import InvalidInput
from wsss.topology import NotFinite, barcode, betti_matching, betti_matching_batch, betti_numbers


def test_types_give_the_same_matching():
    random = np.random.default_rng(0)
    pred, gt = random.random((2, 20, 31)) > 0.5
    expected = betti_matching(pred, gt)
    for dtype in (np.uint8, np.int8, np.int16, np.int64, np.uint64, np.float16, np.float32, np.float64):
        result = betti_matching(pred.astype(dtype), gt.astype(dtype))
        assert result.loss() == expected.loss()
        assert [pairs.tolist() for pairs in result.pairs] == [pairs.tolist() for pairs in expected.pairs]
    assert betti_matching(pred, gt.astype(np.float64)).loss() == expected.loss()
    assert betti_matching(pred.tolist(), gt.tolist()).loss() == expected.loss()


def test_values_of_uint8_masks_are_not_scaled():
    mask = np.array([[255, 0, 255]], np.uint8)
    assert barcode(mask).dim0.values.tolist() == [[255.0, 0.0]]


def test_strided_images():
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
    result = betti_matching(pred, gt, frame=frame)
    assert result.error >= 0
    if frame == "none":
        assert len(result.pred.dim1) == 0
        if min(shape) == 1:  # a line: every inner minimum ends an interval
            line = pred.ravel()
            inner = (line[1:-1] < line[:-2]) & (line[1:-1] < line[2:])
            assert len(result.pred.dim0) == inner.sum()


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
def test_constant_images_have_an_essential_class_only(value):
    image = np.full((7, 5), value)
    result = barcode(image)
    assert len(result.dim0) == len(result.dim1) == 0
    assert result.essential.births.tolist() == [value]
    assert result.essential.birth_pixels.tolist() == [[0, 0]]
    assert result.essential.death_pixels.tolist() == [[-1, -1]]
    matching = betti_matching(image, image + 1, essential="match")
    assert matching.error == 0
    assert matching.loss() == 2.0


def test_a_frame_of_the_maximum_closes_regions_at_the_border():
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


def test_close_float64_values_differ():
    image = np.array([[1.0, 1.0 - 2e-16, 1.0 - 1e-16, 1.0 - 3e-16, 1.0]])
    assert len(barcode(image).dim0) == 2


def test_float64_values_that_agree_in_their_upper_bits_are_sorted_by_all_of_them():
    """One distant value squeezes the scale; many values then share the 32 bits that are sorted first."""
    random = np.random.default_rng(3)
    image = 1 + random.random((40, 40)) * 1e-13
    image[0, 0] = -1e300
    result = betti_matching(image, image[::-1], filtration="sublevel")
    ranks = np.unique(image, return_inverse=True)[1].reshape(image.shape).astype(np.float32)
    expected = betti_matching(ranks, ranks[::-1], filtration="sublevel")
    assert result.pred.dim0.birth_indices.tolist() == expected.pred.dim0.birth_indices.tolist()
    assert [pairs.tolist() for pairs in result.pairs] == [pairs.tolist() for pairs in expected.pairs]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_non_finite_values_and_their_position(bad, dtype):
    image = np.zeros((4, 6), dtype)
    good = image.copy()
    image[2, 3] = bad
    for subject, call in (("gt", lambda: betti_matching(good, image)), ("image", lambda: barcode(image))):
        with pytest.raises(NotFinite) as error:
            call()
        assert error.value.subject == subject and error.value.problem == "value at row 2, column 3"
        assert error.value.found == pytest.approx(bad, nan_ok=True)
    assert betti_matching(good, good).error == 0  # the workspace is still valid


def refusal(call, *arguments, **options):
    with pytest.raises(InvalidInput) as error:
        call(*arguments, **options)
    return error.value


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((0, 4)), "shape (0, 4)"),
        (np.zeros((2, 3, 4)), "shape (2, 3, 4)"),
        (np.zeros(4), "shape (4,)"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.array([["a", "b"]]), "<U1"),
        ([[1, 2], [3]], "list"),
        (np.ma.masked_greater([[0.5, 1e20], [1e20, 0.1]], 1), "2 masked pixels"),
        (np.full((2, 2), 2**60), 2**60),
        (np.full((2, 2), np.iinfo(np.int64).min), 2**63),
    ],
)
def test_invalid_images(image, found):
    error = refusal(barcode, image)
    assert error.subject == "image" and error.found == found and error.allowed


def test_leading_dimensions_of_one_and_tensors():
    image = np.random.default_rng(0).random((6, 7)).astype(np.float32)
    expected = barcode(image).values.tolist()
    tensor = torch.from_numpy(image).requires_grad_()
    for same in (image[None], image[None, None], tensor, tensor[None, None]):
        assert barcode(same).values.tolist() == expected
    assert betti_numbers(tensor.bfloat16() > 0.5) == betti_numbers(image > 0.5)
    assert barcode(torch.ones(2, 2, dtype=torch.bfloat16)).essential.births.tolist() == [1]


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("filtration", "superlevels", ("superlevel", "sublevel")),
        ("frame", "max", ("none", "own-max", "zero")),
        ("essential", "keep", ("omit", "match")),
    ],
)
def test_unknown_options(option, value, allowed):
    error = refusal(betti_matching, np.zeros((2, 2)), np.zeros((2, 2)), **{option: value})
    assert (error.subject, error.found, error.allowed) == (option, value, allowed)


def test_different_shapes():
    error = refusal(betti_matching, np.zeros((2, 3)), np.zeros((3, 2)))
    assert (error.subject, error.found) == ("pred and gt", "(2, 3) and (3, 2)")


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_a_batch_equals_its_pairs(threads):
    random = np.random.default_rng(4)
    preds, gts = random.random((2, 7, 33, 47)).astype(np.float32)
    result = betti_matching_batch(preds, gts > 0.5, threads=threads, frame="own-max", essential="match")
    for one, pred, gt in zip(result, preds, gts, strict=True):
        expected = betti_matching(pred, gt > 0.5, frame="own-max", essential="match")
        assert one.loss() == expected.loss()
        assert np.array_equal(one.dim0.matched, expected.dim0.matched)
        assert np.array_equal(one.dim1.unmatched_gt.birth_indices, expected.dim1.unmatched_gt.birth_indices)


def test_a_batch_of_different_sizes_and_types_and_an_empty_one():
    random = np.random.default_rng(5)
    preds = [random.random((n, n + 2)) for n in range(3, 30)]
    gts = [image > 0.5 for image in preds]
    result = betti_matching_batch(preds, gts, threads=3)
    assert [m.loss() for m in result] == [betti_matching(p, g).loss() for p, g in zip(preds, gts, strict=True)]
    assert betti_matching_batch([], []) == []


def test_the_subject_of_a_batch_error_is_the_image():
    good = np.zeros((3, 4, 4))
    bad = good.copy()
    bad[1, 0, 0] = np.nan
    assert refusal(betti_matching_batch, bad, good, threads=2).subject == "preds[1]"
    assert refusal(betti_matching_batch, good, good[:2]).found == "2 labels"
    assert refusal(betti_matching_batch, good, good, threads=0).subject == "threads"
    assert refusal(betti_matching_batch, good, np.zeros((3, 4, 5))).subject == "preds[0] and gts[0]"


def test_large_images_after_small_ones_and_back():
    random = np.random.default_rng(6)
    small, large = random.random((2, 5, 6)), random.random((2, 90, 110))
    first = betti_matching(*small).loss()
    assert betti_matching(*large).loss() > 0
    assert betti_matching(*small).loss() == first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_batches_work_in_a_forked_child():
    """Data loaders fork: the child must not wait for the parent's pool of threads."""
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
