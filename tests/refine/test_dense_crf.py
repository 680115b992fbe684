"""Dense CRF on simple images."""

import sys

import cv2
import numpy as np
import pytest

from wsss.errors import InvalidInput
from wsss.io.rasters.working_size import working_size
from wsss.refine.dense_crf import CrfConfig, ImageCrf, refine_labels, refine_scores
from wsss.refine.lattice import filtering


def two_tone(size=24):
    image = np.full((size, size, 3), 30, np.uint8)
    image[:, size // 2 :] = 220
    return image


def test_a_blob_grows_to_the_edge_of_its_region():
    image = two_tone()
    labels = np.zeros(image.shape[:2], np.intp)
    labels[3:21, 13:23] = 1  # most of the bright half
    config = CrfConfig(unary="labels", label_probability=0.55, bilateral_sigma_rgb=13, bilateral_sigma_xy=80)
    refined = refine_labels(image, labels, 2, config)
    assert refined[:, 12:].mean() > 0.95
    assert refined[:, :12].mean() < 0.05


def test_unlabelled_pixels_are_labelled():
    image = two_tone()
    labels = np.full(image.shape[:2], 2, np.intp)
    labels[10:14, 2:6], labels[10:14, 18:22] = 0, 1
    refined = refine_labels(image, labels, 2, CrfConfig(bilateral_sigma_rgb=13, bilateral_sigma_xy=80), uncertain=2)
    assert set(np.unique(refined)) == {0, 1}
    assert refined[:, 13:].mean() > 0.95 and refined[:, :11].mean() < 0.05


def test_without_pairwise_terms_the_unary_decides():
    rng = np.random.default_rng(0)
    scores = rng.random((3, 9, 11)).astype(np.float32)
    config = CrfConfig(unary="softmax", gauss_weight=0, bilateral_weight=0)
    image = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    assert np.array_equal(refine_scores(image, scores, config), scores.argmax(0))


def test_the_scale_of_scores_does_not_matter():
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


def test_read_only_images_are_accepted():
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


def test_both_engines_agree():
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    scores = rng.random((3, 30, 40), dtype=np.float32)
    results = [refine_scores(image, scores, CrfConfig(engine=engine)) for engine in ("lattice", "pydensecrf")]
    assert (results[0] == results[1]).mean() > 0.999


def test_pydensecrf_is_optional(monkeypatch):
    for name in ("pydensecrf", "pydensecrf.densecrf"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    image, scores = two_tone(), np.ones((2, 24, 24), np.float32)
    assert refine_scores(image, scores, CrfConfig()).shape == (24, 24)
    with pytest.raises(InvalidInput) as error:
        refine_scores(image, scores, CrfConfig(engine="pydensecrf"))
    assert "wsss[pydensecrf]" in (error.value.hint or "")


def reference(image, unary, config):
    """Inference in one call, without a working size."""
    from pydensecrf.densecrf import DenseCRF2D

    count, height, width = unary.shape
    crf = DenseCRF2D(width, height, count)
    crf.setUnaryEnergy(np.ascontiguousarray(unary.reshape(count, -1), dtype=np.float32))
    crf.addPairwiseGaussian(sxy=config.gauss_sigma, compat=config.gauss_weight)
    crf.addPairwiseBilateral(
        sxy=config.bilateral_sigma_xy,
        srgb=config.bilateral_sigma_rgb,
        rgbim=image.copy(),
        compat=config.bilateral_weight,
    )
    return np.asarray(crf.inference(config.iterations)).argmax(0).reshape(height, width)


@pytest.mark.parametrize("shape", [(90, 120), (1, 40)])
def test_images_up_to_the_working_size_come_out_reference(shape):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    scores = rng.random((3, *shape), dtype=np.float32)
    labels = rng.integers(0, 4, shape).astype(np.uint8)
    config = CrfConfig(max_side=max(shape))
    expected = reference(image, -np.log(np.clip(scores, 1e-5, None)), config)
    assert np.array_equal(refine_scores(image, scores, config), expected)
    probabilities = np.full((3, *shape), 0.15, np.float32)
    for value in range(3):
        probabilities[value][labels == value] = 0.7
    probabilities[:, labels == 3] = 1 / 3
    assert np.array_equal(
        refine_labels(image, labels, 3, config, uncertain=3), reference(image, -np.log(probabilities), config)
    )


@pytest.mark.parametrize(
    ("size", "max_side", "expected"),
    [
        ((400, 600), 1024, (400, 600)),
        ((400, 600), None, (400, 600)),
        ((4000, 6000), 1024, (683, 1024)),
        ((6000, 4000), 500, (500, 333)),
        ((1, 9000), 1024, (1, 1024)),
    ],
)
def test_working_sizes(size, max_side, expected):
    assert working_size(size, max_side) == expected


def blob(side):
    """Return an image of a bright disc, its mask, and the mask shifted by a tenth of the side."""
    rows, columns = np.mgrid[:side, :side] / side
    disc = ((rows - 0.5) ** 2 + (columns - 0.5) ** 2 < 0.3**2).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 8, (side, side, 3))
    image = (np.array([[50, 60, 70], [190, 180, 160]])[disc] + noise).clip(0, 255).astype(np.uint8)
    return image, disc, np.roll(disc, side // 10, 1)


@pytest.mark.parametrize("uncertain", [False, True])
def test_a_reduced_image_is_refined_to_its_full_size_edges(uncertain):
    image, disc, shifted = blob(480)
    config = CrfConfig(max_side=96, label_probability=0.6, bilateral_sigma_rgb=13, bilateral_sigma_xy=40)
    labels = shifted.copy()
    if uncertain:
        labels[::7] = 2
    refined = refine_labels(image, labels, 2, config, uncertain=2 if uncertain else None)
    assert refined.shape == image.shape[:2]
    assert (refined != disc).mean() < 0.01 < (shifted != disc).mean()
    border = np.abs(np.hypot(*(np.mgrid[:480, :480] / 480 - 0.5)) - 0.3) > 2 / 480
    assert (refined != disc)[border].mean() < 0.002  # farther than two pixels from the edge


def test_scores_may_have_either_size():
    image, disc, _ = blob(300)
    config = CrfConfig(unary="softmax", max_side=100, bilateral_sigma_rgb=13)
    scores = np.stack([1 - 0.6 * disc, 0.2 + 0.6 * disc]).astype(np.float32)
    small = np.stack([cv2.resize(score, (100, 100), interpolation=cv2.INTER_AREA) for score in scores])
    assert np.array_equal(refine_scores(image, scores, config), refine_scores(image, small, config))
    assert (refine_scores(image, small, config) != disc).mean() < 0.01


def test_scores_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="size"):
        refine_scores(np.zeros((40, 40, 3), np.uint8), np.ones((2, 30, 30), np.float32), CrfConfig(max_side=20))


def test_a_single_label_of_a_large_image_needs_no_inference():
    image = np.zeros((90, 50, 3), np.uint8)
    config = CrfConfig(max_side=30)
    assert refine_labels(image, np.zeros((90, 50), np.uint8), 1, config).shape == (90, 50)
    assert refine_scores(image, np.ones((1, 30, 17), np.float32), config).shape == (90, 50)


@pytest.mark.parametrize("engine", ["lattice", "pydensecrf"])
@pytest.mark.parametrize("max_side", [40, 20])
def test_an_image_is_refined_several_times_as_by_itself(engine, max_side):
    image = np.random.default_rng(3).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    config = CrfConfig(engine=engine, max_side=max_side, bilateral_sigma_rgb=13)
    rng = np.random.default_rng(4)
    scores = [rng.random((count, 40, 30)).astype(np.float32) for count in (2, 3, 6)]
    crf = ImageCrf(image, config)
    for each in (*scores, scores[0]):
        assert np.array_equal(crf.refine_scores(each), refine_scores(image, each, config))
        labels = each.argmax(0)
        assert np.array_equal(crf.refine_labels(labels, len(each)), refine_labels(image, labels, len(each), config))


def test_the_kernels_of_an_image_are_built_once(monkeypatch):
    built = []
    embed = filtering.embed
    monkeypatch.setattr(filtering, "embed", lambda *given: built.append(given[2]) or embed(*given))
    crf = ImageCrf(np.random.default_rng(5).integers(0, 256, (20, 20, 3), dtype=np.uint8), CrfConfig())
    for seed in range(3):
        crf.refine_labels(np.random.default_rng(seed).integers(0, 2, (20, 20)), 2)
    assert len([sigma for sigma in built if sigma is not None]) == 1  # without the kernel of positions, which is cached
