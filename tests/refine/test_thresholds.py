"""Background policies, compared with the formulas of their papers and scikit-image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from skimage.filters import threshold_li, threshold_otsu

from wsss.io.rasters.cams import Cams
from wsss.refine.thresholds import (
    Adaptive,
    Fixed,
    Power,
    adaptive_threshold,
    li_threshold,
    make_seeds,
    mask_from_cams,
    merge,
    otsu_threshold,
    seeds_to_mask,
    threshold_histogram,
)

maps = arrays(np.float32, (2, 5, 6), elements=st.floats(0, 1, width=32))
policies = st.sampled_from(
    [
        Fixed(name="fixed"),
        Fixed(name="fixed", foreground=0.4, background=0.4),
        Power(name="power", alpha=4, alpha_certain=32),
        Power(name="power", alpha=8),
        Adaptive(name="otsu", scope="image"),
        Adaptive(name="otsu", scope="image", margin=0.2),
    ]
)


@given(maps)
def test_fixed_pair_is_the_rule_of_irn(cams):
    foreground, background = 0.30, 0.05
    keys = np.array([0, 3, 7])
    padded = np.pad(cams, ((1, 0), (0, 0), (0, 0)), constant_values=foreground)
    sure = keys[padded.argmax(0)]
    padded[0] = background
    loose = keys[padded.argmax(0)]
    expected = sure.copy()
    expected[sure == 0] = 255
    expected[sure + loose == 0] = 0
    policy = Fixed(name="fixed", foreground=foreground, background=background)
    assert np.array_equal(seeds_to_mask(make_seeds(policy, cams, (3, 7))), expected)


@given(maps)
def test_power_background_is_the_formula_of_psa(cams):
    policy = Power(name="power", alpha=4.0)
    expected = np.array([0, 1, 2])[np.concatenate([(1 - cams.max(0, keepdims=True)) ** 4, cams]).argmax(0)]
    assert np.array_equal(seeds_to_mask(make_seeds(policy, cams, (1, 2))), expected)


@given(maps, policies)
def test_masks_have_the_classes_background_and_ignore_only(cams, policy):
    mask = seeds_to_mask(make_seeds(policy, cams, (2, 5)))
    assert mask.shape == cams.shape[1:] and mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 2, 5, 255}
    seeds = make_seeds(policy, cams, (2, 5))
    assert (seeds.upper >= seeds.lower).all()
    if seeds.certain:
        assert 255 not in mask


@given(maps)
def test_otsu_labels_what_lies_above_each_maps_own_threshold(cams):
    mask = seeds_to_mask(make_seeds(Adaptive(name="otsu", scope="image"), cams[:1], (4,)))
    threshold = otsu_threshold(threshold_histogram(cams[0]))
    clear = np.abs(cams[0] - threshold) > 1e-5
    assert np.array_equal((mask == 4)[clear], (cams[0] > threshold)[clear])


def test_li_from_a_histogram_is_skimage_on_the_values():
    generator = np.random.default_rng(0)
    for share in (0.05, 0.3, 0.6):
        object_ = generator.random(20_000) < share
        values = np.clip(
            np.where(object_, generator.normal(0.7, 0.1, 20_000), generator.exponential(0.08, 20_000)), 0, 1
        )
        expected = threshold_li(values)
        assert li_threshold(threshold_histogram(values.astype(np.float32))) == pytest.approx(expected, abs=1 / 256)
        both = adaptive_threshold(Adaptive(name="otsu_li"), threshold_histogram(values.astype(np.float32)))
        assert both == pytest.approx((threshold_otsu(values) + expected) / 2, abs=1 / 128)
    assert li_threshold(threshold_histogram(np.zeros(10, np.float32))) == 0.5


def test_otsu_from_a_histogram_is_skimage_on_the_values():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.2, 0.05, 5000), rng.normal(0.7, 0.1, 2000)]).clip(0, 1).astype(np.float32)
    assert otsu_threshold(threshold_histogram(values)) == pytest.approx(threshold_otsu(values), abs=1 / 128)


def test_thresholds_over_the_dataset_are_used_per_class():
    cams = np.stack([np.full((1, 1), 0.4, np.float32), np.full((1, 1), 0.45, np.float32)])
    policy = Adaptive(name="otsu", scope="dataset")
    assert seeds_to_mask(make_seeds(policy, cams, (1, 2), {1: 0.3, 2: 0.5})) == 1
    assert seeds_to_mask(make_seeds(policy, cams, (1, 2), {1: 0.5, 2: 0.5})) == 0


def test_an_image_without_classes_is_background():
    empty = np.zeros((0, 3, 4), np.float32)
    for policy in (Fixed(name="fixed"), Power(name="power"), Adaptive(name="otsu", scope="image")):
        assert (seeds_to_mask(make_seeds(policy, empty, ())) == 0).all()


@given(arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=16)), policies, st.booleans())
def test_map_by_map_at_full_size_gives_the_same_mask(stack, policy, over_dataset):
    """The low-memory implementation equals the one with all maps at once."""
    cams = Cams(stack, (2, 5, 9), (13, 17))
    thresholds = {2: 0.4, 5: 0.5, 9: 0.7} if over_dataset else None
    expected = seeds_to_mask(make_seeds(policy, cams.at(cams.size), cams.classes, thresholds))
    assert np.array_equal(mask_from_cams(policy, cams, thresholds), expected)


def test_map_by_map_without_any_map_is_background():
    cams = Cams(np.zeros((0, 2, 2), np.float32), (), (3, 4))
    for policy in (Fixed(name="fixed"), Power(name="power"), Adaptive(name="otsu")):
        assert np.array_equal(mask_from_cams(policy, cams), np.zeros((3, 4), np.uint8))


def test_stretching_does_not_depend_on_the_bands(monkeypatch):
    cams = Cams(np.random.default_rng(0).random((2, 9, 9), dtype=np.float32), (1, 2), (40, 30))
    policy = Adaptive(name="otsu_li", scope="image", margin=0.1)
    expected = mask_from_cams(policy, cams)
    monkeypatch.setattr("wsss.refine.thresholds.BAND", 7)
    assert np.array_equal(mask_from_cams(policy, cams), expected)


def test_merge_takes_foreground_from_the_first_and_background_from_both():
    first = np.array([0, 0, 3, 3], np.uint8)
    second = np.array([0, 3, 3, 0], np.uint8)
    assert merge(first, second).tolist() == [0, 255, 3, 3]


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match="background"):
        Fixed(name="fixed", foreground=0.1, background=0.2)
    with pytest.raises(ValidationError, match="alpha_certain"):
        Power(name="power", alpha=8, alpha_certain=4)


def test_summaries():
    assert Fixed(name="fixed").summary == "fixed 0.3/0.05"
    assert Power(name="power", alpha=4, alpha_certain=32).summary == "power 4/32"
    assert Adaptive(name="otsu", scope="image", margin=0.1).summary == "otsu per map ±0.1"
    assert Adaptive(name="otsu_li").summary == "otsu+li per class"
