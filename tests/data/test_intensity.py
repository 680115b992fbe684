"""Random intensity changes: effect and range of each."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from pydantic import ValidationError

from wsss.data.image_transforms.intensity import (
    Blur,
    Brightness,
    Change,
    Contrast,
    Gamma,
    InvertedGamma,
    LowResolution,
    Noise,
    RandomHue,
)

IMAGE = np.random.default_rng(0).integers(40, 200, (24, 30, 3), dtype=np.uint8)
FLAT = np.full((6, 6, 3), 90, np.uint8)
CHANGES = [
    Noise(std=(0.1, 0.1)),
    Blur(),
    Brightness(),
    Contrast(),
    LowResolution(),
    Gamma(),
    InvertedGamma(),
    RandomHue(),
]


def apply(change: Change, image: np.ndarray = IMAGE, seed: int = 0) -> np.ndarray:
    return change.apply(image, np.random.default_rng(seed))


@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_results_depend_on_the_generator_only(change: Change) -> None:
    before = IMAGE.copy()
    first, second, other = apply(change), apply(change), apply(change, seed=1)
    assert first.shape == IMAGE.shape and first.dtype == np.uint8
    assert np.array_equal(first, second) and not np.array_equal(first, other)
    assert np.array_equal(IMAGE, before)
    for tiny in (FLAT, FLAT[:1, :1], np.zeros_like(FLAT), np.full_like(FLAT, 255)):
        assert apply(change, tiny).shape == tiny.shape


def test_noise_is_relative_to_the_image_contrast() -> None:
    image = np.random.default_rng(1).normal(128, 20, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    image[..., 2] = 77
    difference = apply(Noise(std=(0.5, 0.5)), image).astype(float) - image
    assert difference[..., :2].std() == pytest.approx(0.5 * image[..., :2].std(), rel=0.03)
    assert not difference[..., 2].any()
    strengths = [np.std(apply(Noise(std=(0.0, 0.5)), image, s).astype(float) - image) for s in range(20)]
    assert min(strengths) < 3 and max(strengths) > 6


def test_brightness_and_contrast() -> None:
    assert (apply(Brightness(factor=(0.5, 0.5))) == np.rint(IMAGE / 2)).all()
    assert apply(Brightness(factor=(2, 2)), FLAT).max() == 180
    less, more = apply(Contrast(factor=(0.5, 0.5))), apply(Contrast(factor=(1.5, 1.5)))
    assert less.mean() == pytest.approx(IMAGE.mean(), abs=0.5)
    assert less.std() == pytest.approx(IMAGE.std() / 2, rel=0.02)
    assert (more.min(), more.max()) == (IMAGE.min(), IMAGE.max())


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("gamma", [0.7, 1.5])
def test_gamma_equals_the_formula_in_floats(inverted: bool, gamma: float) -> None:
    values = -IMAGE.astype(float) if inverted else IMAGE.astype(float)
    mean, std = values.mean(), values.std()
    span = values.max() - values.min()
    changed = ((values - values.min()) / span) ** gamma * span
    changed = (changed - changed.mean()) / changed.std() * std + mean
    expected = (-changed if inverted else changed).clip(0, 255)
    got = apply((InvertedGamma if inverted else Gamma)(gamma=(gamma, gamma)))
    assert np.abs(got - expected).max() <= 0.51
    assert got.mean() == pytest.approx(IMAGE.mean(), abs=0.5)


def test_blur_and_low_resolution_remove_detail() -> None:
    assert apply(Blur(sigma=(1, 1))).std() < 0.7 * IMAGE.std()
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    large = small.repeat(4, 0).repeat(4, 1)
    assert np.array_equal(apply(LowResolution(factor=(0.25, 0.25)), large), large)
    assert np.array_equal(apply(LowResolution(factor=(1, 1))), IMAGE)


def test_random_hue_is_one_hue_and_raises_saturation_and_value() -> None:
    hues = []
    for seed in range(12):
        got = apply(RandomHue(), seed=seed)
        before = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in IMAGE.reshape(-1, 3) / 255])
        after = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in got.reshape(-1, 3) / 255])
        assert (after[:, 2] >= before[:, 2] - 0.01).all() and (after[:, 2] <= before[:, 2] + 0.51).all()
        bright = (after[:, 2] > 0.4) & (after[:, 1] > 0.4)
        assert (after[bright, 1] >= before[bright, 1] - 0.03).all()
        angles = np.exp(2j * np.pi * after[bright, 0])
        assert np.abs(angles.mean()) > 0.999  # all the same
        hues.append(np.angle(angles.mean()))
    assert np.ptp(hues) > 3


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (Noise, {"std": (0.2, 0.1)}, "std: expected low and high"),
        (LowResolution, {"factor": (0.5, 2)}, "less than or equal to 1"),
        (Gamma, {"gamma": (0, 1)}, "greater than 0"),
        (RandomHue, {"probability": 1.5}, "less than or equal to 1"),
    ],
)
def test_invalid_settings(kind: type[Change], values: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kind.model_validate(values)
