"""Dense CRF: what it must do to simple pictures, and what it must refuse."""

import numpy as np
import pytest

from wsss.refine.crf import CrfConfig, refine_labels, refine_scores


def two_tone(size=24):
    image = np.full((size, size, 3), 30, np.uint8)
    image[:, size // 2 :] = 220
    return image


def test_a_blob_grows_to_the_edge_of_its_region_and_not_beyond():
    image = two_tone()
    labels = np.zeros(image.shape[:2], np.intp)
    labels[3:21, 13:23] = 1  # most of the bright half, which pulls the rest along
    config = CrfConfig(unary="labels", label_probability=0.55, bilateral_sigma_rgb=13, bilateral_sigma_xy=80)
    refined = refine_labels(image, labels, 2, config)
    assert refined[:, 12:].mean() > 0.95
    assert refined[:, :12].mean() < 0.05


def test_unknown_pixels_are_filled_in():
    image = two_tone()
    labels = np.full(image.shape[:2], 2, np.intp)
    labels[10:14, 2:6], labels[10:14, 18:22] = 0, 1
    refined = refine_labels(image, labels, 2, CrfConfig(bilateral_sigma_rgb=13, bilateral_sigma_xy=80), unsure=2)
    assert set(np.unique(refined)) == {0, 1}
    assert refined[:, 13:].mean() > 0.95 and refined[:, :11].mean() < 0.05


def test_without_pairwise_terms_the_unary_decides():
    rng = np.random.default_rng(0)
    scores = rng.random((3, 9, 11)).astype(np.float32)
    config = CrfConfig(unary="softmax", gauss_weight=0, bilateral_weight=0)
    image = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    assert np.array_equal(refine_scores(image, scores, config), scores.argmax(0))


def test_a_pixels_scale_does_not_matter():
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.1, 1, (3, 12, 10)).astype(np.float32)
    image = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
    scaled = scores * rng.uniform(0.5, 1, (12, 10)).astype(np.float32)
    agreement = refine_scores(image, scores, CrfConfig()) == refine_scores(image, scaled, CrfConfig())
    assert agreement.mean() > 0.99


def test_equal_input_gives_equal_output():
    rng = np.random.default_rng(2)
    scores = rng.random((2, 20, 20)).astype(np.float32)
    image = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    first, second = (refine_scores(image, scores, CrfConfig()) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_read_only_image_will_do():
    image = two_tone()
    image.setflags(write=False)
    assert refine_scores(image, np.ones((2, 24, 24), np.float32), CrfConfig()).shape == (24, 24)


def test_a_float_image_is_refused():
    with pytest.raises(ValueError, match="uint8"):
        refine_scores(np.zeros((4, 4, 3), np.float32), np.ones((2, 4, 4), np.float32), CrfConfig())


def test_a_single_label_needs_no_inference():
    image = np.zeros((4, 5, 3), np.uint8)
    assert (refine_labels(image, np.zeros((4, 5), np.intp), 1, CrfConfig()) == 0).all()
    assert (refine_scores(image, np.ones((1, 4, 5), np.float32), CrfConfig()) == 0).all()
