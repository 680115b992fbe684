"""Transforms of the topology benchmark: rotation, borders, intensities, soft maps; older settings are unchanged."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from wsss.data.image_transforms.augmentation import IMAGENET_MEAN, SegmentationAugmentation
from wsss.data.image_transforms.transforms import Transform

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8)
MASK = RNG.choice(np.array([0, 1, 7, 255], np.uint8), (60, 80))
PLAIN: dict[str, Any] = {"scale": (1.0, 1.0), "flip": 0.0, "colour": None}
FULL: dict[str, Any] = {
    "size": 64,
    "rotation": {"probability": 0.5, "degrees": 180},
    "scale": (0.7, 1.4),
    "scale_probability": 0.5,
    "border": "replicate",
    "flip_axis": "either",
    "noise": {},
    "blur": {},
    "brightness": {},
    "contrast": {},
    "low_resolution": {},
    "gamma_inverted": {},
    "gamma": {},
    "random_hue": {},
}


def transform(**keys: Any) -> Transform:
    return Transform(SegmentationAugmentation.model_validate({**PLAIN, **keys}))


def one_hot(mask: np.ndarray, classes: int) -> np.ndarray:
    return (mask[..., None] == np.arange(classes)).astype(np.float32)


def test_basic_settings_equal_a_plain_albumentations_pipeline() -> None:
    """Fields added later do not change the results of earlier settings."""
    import albumentations
    import cv2

    size, colours = 48, {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.05}
    before = albumentations.Compose(
        [
            albumentations.RandomScale(
                (-0.5, 0.25), area_for_downscale="image", mask_interpolation=cv2.INTER_NEAREST_EXACT, p=1.0
            ),
            albumentations.PadIfNeeded(
                size, size, position="random", border_mode=cv2.BORDER_CONSTANT, fill=IMAGENET_MEAN, fill_mask=255
            ),
            albumentations.RandomCrop(size, size),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.ColorJitter(**colours, p=0.8),
        ]
    )
    now = Transform(SegmentationAugmentation(size=size, scale=(0.5, 1.25)))
    for seed in range(12):
        before.set_random_state(np.random.default_rng(seed), random.Random(seed))
        expected = before(image=IMAGE, mask=MASK)
        image, mask = now(IMAGE, MASK, seed=seed)
        assert np.array_equal(image, expected["image"]) and np.array_equal(mask, expected["mask"])


def ramps(size: int = 128) -> np.ndarray:
    """Return an image whose first channel is the column, and whose second is the row."""
    rows, columns = np.mgrid[:size, :size]
    return np.stack((columns, rows, np.zeros_like(rows)), -1).astype(np.uint8)


def test_flip_scale_and_crop_are_independent() -> None:
    """The generators of albumentations' set_random_seed draw the same numbers in every step."""
    enlarged = transform(size=64, scale=(1.0, 2.0), flip=0.5)
    image, steps = ramps(), []
    for seed in range(400):
        columns, rows = (enlarged(image, seed=seed)[..., channel].astype(float) for channel in (0, 1))
        slope = np.polyfit(np.arange(64), columns[32], 1)[0]
        steps.append((slope < 0, 1 / abs(slope), rows[32, 32]))
    flipped, scale, row = np.array(steps).T
    free = (row - 32 / scale) / (128 - 64 / scale)  # position of the crop, 0 at the top, 1 at the bottom
    for a, b in ((flipped, scale), (flipped, free), (scale, free)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.15  # 3 standard errors of 400 independent draws
    assert np.ptp(free) > 0.9 and np.ptp(scale) > 0.9 and 0.4 < flipped.mean() < 0.6


def test_changes_of_intensity_are_independent() -> None:
    """Each combination of two changes with a probability of ½ occurs in a quarter of the images."""
    image = np.full((16, 16, 3), (200, 60, 90), np.uint8)
    both = transform(size=16, brightness={"probability": 0.5}, random_hue={"probability": 0.5})
    grey = transform(size=16, brightness={"probability": 0.5})
    changed = np.array([(both(image, seed=seed) != image).any() for seed in range(200)])
    brighter = np.array([(grey(image, seed=seed) != image).any() for seed in range(200)])
    assert 0.38 < brighter.mean() < 0.62
    assert 0.62 < changed.mean() < 0.88  # ¾ if independent, ½ if both draw the same number


@pytest.mark.parametrize("scale", [0.7, 0.83, 1.21, 1.4])
def test_scaled_masks_stay_aligned_with_the_image(scale: float) -> None:
    mask = np.zeros((128, 128), np.uint8)
    for start in range(4, 120, 10):
        mask[start : start + 3] = 1
        mask[:, start : start + 3] = 1
    image = np.repeat(mask[..., None] * np.uint8(255), 3, 2)
    got, got_mask = transform(size=96, scale=(scale, scale))(image, mask, seed=0)
    known = got_mask != 255
    lines, expected = (got[..., 0] > 127)[known], (got_mask == 1)[known]
    assert (lines & expected).sum() / (lines | expected).sum() > 0.85


def test_all_changes_together_depend_on_the_seed_only() -> None:
    everything = Transform(SegmentationAugmentation.model_validate(FULL))
    results = [everything(IMAGE, MASK, seed=seed) for seed in range(20)]
    for seed in reversed(range(20)):
        image, mask = everything(IMAGE, MASK, seed=seed)
        assert np.array_equal(image, results[seed][0]) and np.array_equal(mask, results[seed][1])
        assert np.array_equal(everything(IMAGE, seed=seed), image)
    assert len({image.tobytes() for image, _ in results}) == 20


def test_rotation_keeps_image_and_mask_aligned() -> None:
    image, mask = np.zeros((65, 65, 3), np.uint8), np.zeros((65, 65), np.uint8)
    image[30:35, 5:60], mask[30:35, 5:60] = 250, 1
    turned = transform(size=65, rotation={"probability": 1, "degrees": 180})
    angles = []
    for seed in range(30):
        got, got_mask = turned(image, mask, seed=seed)
        known = got_mask != 255
        assert ((got[..., 0] > 125) == (got_mask == 1))[known].mean() > 0.95
        if (~known).sum() > 400:  # except mixed pixels at the border
            assert (got[~known] == IMAGENET_MEAN).all(-1).mean() > 0.7
        y, x = np.nonzero(got_mask == 1)
        angles.append(np.degrees(np.arctan2(np.polyfit(x, y, 1)[0], 1)) if np.ptp(x) > np.ptp(y) else 90)
    assert np.ptp(angles) > 60


def test_a_replicated_border_leaves_no_ignored_pixels() -> None:
    mask = np.repeat(np.arange(60, dtype=np.uint8)[:, None] % 2, 80, 1)
    for keys in ({"rotation": {"probability": 1, "degrees": 90}}, {"scale": (0.5, 0.5)}):
        filled = [transform(size=80, **keys)(IMAGE, mask, seed=s)[1] for s in range(4)]
        replicated = [transform(size=80, border="replicate", **keys)(IMAGE, mask, seed=s)[1] for s in range(4)]
        assert all((one == 255).any() for one in filled)
        assert not any((one == 255).any() for one in replicated)


def test_flips_of_either_axis() -> None:
    image, mask = IMAGE[:, :60], MASK[:, :60]
    either = transform(size=60, flip=0.5, flip_axis="either")
    kinds = []
    for seed in range(60):
        got, got_mask = either(image, mask, seed=seed)
        for kind, axes in (("none", ()), ("vertical", 0), ("horizontal", 1)):
            if np.array_equal(got, np.flip(image, axes)):
                assert np.array_equal(got_mask, np.flip(mask, axes))
                kinds.append(kind)
    assert len(kinds) == 60
    assert {kind: kinds.count(kind) > 8 for kind in kinds} == {"none": True, "vertical": True, "horizontal": True}


def test_scale_probability() -> None:
    sometimes = transform(size=60, scale=(0.5, 0.5), scale_probability=0.2)
    shrunk = [bool((sometimes(IMAGE, MASK * 0, seed=s)[1] == 255).any()) for s in range(100)]
    assert 8 < sum(shrunk) < 35


@pytest.mark.parametrize("name", ["noise", "blur", "brightness", "contrast", "low_resolution", "gamma", "random_hue"])
def test_intensity_changes_respect_their_probability_and_keep_the_mask(name: str) -> None:
    keys = {"probability": 0.3} | ({"std": (0.5, 0.5)} if name == "noise" else {})
    change = transform(size=60, **{name: keys})
    crop = transform(size=60)
    changed = 0
    for seed in range(60):
        got, mask = change(IMAGE[:, :60], MASK[:, :60], seed=seed)
        assert np.array_equal(mask, MASK[:, :60])
        changed += not np.array_equal(got, crop(IMAGE[:, :60], seed=seed))
    assert 7 < changed < 32


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_soft_maps_stay_aligned_with_masks(classes: int) -> None:
    y, x = np.mgrid[0:60, 0:80]
    mask = ((x // 20 + y // 20) % classes).astype(np.uint8)
    everything = Transform(SegmentationAugmentation.model_validate({**FULL, "size": 72, "border": "fill"}))
    for seed in range(12):
        image, hard = everything(IMAGE, mask, seed=seed)
        same, soft = everything(IMAGE, one_hot(mask, classes), seed=seed)
        assert np.array_equal(image, same)
        assert soft.shape == (72, 72, classes) and soft.dtype == np.float32
        sums = soft.sum(-1)
        assert set(np.unique(sums.round(5))) <= {0.0, 1.0}
        known = (hard != 255) & (sums > 0)
        assert known.sum() > 0.97 * max((hard != 255).sum(), (sums > 0).sum())
        assert (soft.argmax(-1) == hard)[known].mean() > 0.93


def test_soft_maps_are_interpolated() -> None:
    y, _ = np.mgrid[0:60, 0:60]
    ramp = np.stack([1 - y / 60, y / 60], -1).astype(np.float32)
    _, soft = transform(size=90, scale=(1.5, 1.5))(IMAGE[:, :60], ramp, seed=0)
    assert len(np.unique(soft[..., 1])) > 60  # 60 with nearest neighbour
    assert np.abs(np.diff(soft[:, 0, 1])).max() < 0.02
