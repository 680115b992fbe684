"""Transforms depend on their seed only, keep masks exact, and cover their ranges."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wsss.data.image_transforms.augmentation import (
    IMAGENET_MEAN,
    ClassificationAugmentation,
    ColourJitter,
    Fit,
    SegmentationAugmentation,
)
from wsss.data.image_transforms.resizing import resize, scaled
from wsss.data.image_transforms.transforms import Transform

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8)
MASK = RNG.choice(np.array([0, 1, 7, 255], np.uint8), (60, 80))
SETTINGS = {
    "resized_crop": ClassificationAugmentation(size=32),
    "scale_crop": ClassificationAugmentation(size=48, method="scale_crop", longer_side=(32, 96)),
    "segmentation": SegmentationAugmentation(size=64),
    "fit": Fit(size=50),
}
PLAIN = {"colour": None, "flip": 0.0}


def digest(name: str, seed: int) -> str:
    image, mask = Transform(SETTINGS[name])(IMAGE, MASK, seed=seed)
    return hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()


@pytest.mark.parametrize("name", SETTINGS)
def test_results_depend_on_the_seed_only(name: str) -> None:
    seeds = list(range(24))
    expected = [digest(name, seed) for seed in seeds]
    assert [digest(name, seed) for seed in reversed(seeds)] == expected[::-1]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda seed: digest(name, seed), seeds * 4)) == expected * 4
    np.random.seed(3)
    assert digest(name, 5) == expected[5]
    assert len(set(expected)) == (1 if name == "fit" else len(seeds))


@pytest.mark.slow
def test_results_are_equal_in_other_processes() -> None:
    """Including a child forked after use; importing albumentations does not access the network."""
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('network access')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "import sys, pickle, hashlib, os\n"
        "import numpy as np\n"
        "transforms, image, mask = pickle.loads(sys.stdin.buffer.read())\n"
        "def show():\n"
        "    for seed in (9, 2, 9):\n"
        "        for transform in transforms:\n"
        "            a, b = transform(image, mask, seed=seed)\n"
        "            print(seed, hashlib.sha256(a.tobytes() + b.tobytes()).hexdigest(), flush=True)\n"
        "transforms[0](image, seed=1)\n"
        "pid = os.fork()\n"
        "if pid: os.waitpid(pid, 0)\n"
        "show()\n"
    )
    transforms = [Transform(settings) for settings in SETTINGS.values()]
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    done = subprocess.run(command, input=pickle.dumps((transforms, IMAGE, MASK)), capture_output=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    expected = [f"{seed} {digest(name, seed)}" for seed in (9, 2, 9) for name in SETTINGS]
    assert done.stdout.decode().split("\n")[:-1] == expected * 2


def test_the_mask_does_not_affect_the_image() -> None:
    for transform in map(Transform, SETTINGS.values()):
        assert np.array_equal(transform(IMAGE, seed=4), transform(IMAGE, MASK, seed=4)[0])


def test_the_input_is_not_modified() -> None:
    image, mask = IMAGE.copy(), MASK.copy()
    for transform in map(Transform, SETTINGS.values()):
        transform(image, mask, seed=1)
    assert np.array_equal(image, IMAGE) and np.array_equal(mask, MASK)


@settings(max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 10**12), st.sampled_from(sorted(SETTINGS)))
@example(1, 1, 1, "segmentation")  # half of one pixel rounds to none
def test_any_image_size(height: int, width: int, seed: int, name: str) -> None:
    image = np.full((height, width, 3), 200, np.uint8)
    mask = np.full((height, width), 7, np.uint8)
    settings = SETTINGS[name]
    got, got_mask = Transform(settings)(image, mask, seed=seed)
    assert got.shape == (settings.size, settings.size, 3) and got.dtype == np.uint8
    assert got_mask.shape == (settings.size, settings.size) and got_mask.dtype == np.uint8
    assert set(np.unique(got_mask)) <= {7, 255} and 7 in got_mask


@pytest.mark.parametrize("name", ["segmentation", "fit", "scale_crop"])
def test_image_and_mask_stay_aligned_and_padding_is_fill_and_255(name: str) -> None:
    image = np.zeros((40, 56, 3), np.uint8)
    mask = np.zeros((40, 56), np.uint8)
    image[10:30, 20:50] = 240
    mask[10:30, 20:50] = 1
    settings = SETTINGS[name]
    if not isinstance(settings, Fit):
        settings = settings.model_copy(update={"colour": None})
    padded = 0
    for seed in range(12):
        got, got_mask = Transform(settings)(image, mask, seed=seed)
        inside = got_mask != 255
        padded += int((~inside).sum())
        assert (got[~inside] == IMAGENET_MEAN).all()
        agree = (got[..., 0] > 120) == (got_mask == 1)
        assert agree[inside].mean() > 0.93  # except mixed pixels at the border
    assert padded > 0


def test_flip() -> None:
    flipped = Transform(SegmentationAugmentation(size=80, scale=(1.0, 1.0), colour=None, flip=1.0))
    straight = Transform(SegmentationAugmentation(size=80, scale=(1.0, 1.0), **PLAIN))
    for seed in range(4):
        one, one_mask = straight(IMAGE, MASK, seed=seed)
        other, other_mask = flipped(IMAGE, MASK, seed=seed)
        rows = np.flatnonzero((one_mask != 255).any(1))
        assert np.array_equal(one[rows[0] : rows[0] + 60], IMAGE)
        other_rows = np.flatnonzero((other_mask != 255).any(1))
        assert np.array_equal(other[other_rows[0] : other_rows[0] + 60], IMAGE[:, ::-1])
        assert np.array_equal(other_mask[other_rows[0] : other_rows[0] + 60], MASK[:, ::-1])


def test_scales_cover_their_range() -> None:
    """The size of a disc after the transform reveals the factor."""
    y, x = np.mgrid[0:200, 0:200]
    mask = ((y - 100) ** 2 + (x - 100) ** 2 < 30**2).astype(np.uint8)
    image = np.zeros((200, 200, 3), np.uint8)
    transform = Transform(SegmentationAugmentation(size=512, scale=(0.5, 2.0), **PLAIN))
    factors = [np.sqrt((transform(image, mask, seed=s)[1] == 1).sum() / mask.sum()) for s in range(60)]
    assert 0.48 < min(factors) < 0.65 and 1.8 < max(factors) < 2.05
    assert 1.1 < np.mean(factors) < 1.4  # uniform: 1.25


def test_crops_cover_their_area() -> None:
    """A horizontal ramp reveals the width of the crop."""
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (200, 200, 3)).copy()
    transform = Transform(ClassificationAugmentation(size=100, area=(0.25, 1.0), aspect=(1.0, 1.0), **PLAIN))
    widths = [int(np.ptp(transform(ramp, seed=s)[50, :, 0].astype(int))) for s in range(60)]
    assert 97 <= min(widths) < 125 and 180 < max(widths) <= 199


def test_colour_jitter_stays_in_range() -> None:
    grey = np.full((32, 32, 3), 100, np.uint8)
    jitter = ColourJitter(probability=1.0, brightness=0.2, contrast=0, saturation=0, hue=0)
    transform = Transform(SegmentationAugmentation(size=32, scale=(1.0, 1.0), colour=jitter, flip=0))
    values = [int(transform(grey, seed=s)[0, 0, 0]) for s in range(60)]
    assert 78 <= min(values) < 90 and 110 < max(values) <= 122
    never = ColourJitter(probability=0.0)
    still = Transform(SegmentationAugmentation(size=32, scale=(1.0, 1.0), colour=never, flip=0))
    assert all((still(grey, seed=s) == 100).all() for s in range(10))


def test_fit_keeps_the_aspect_ratio() -> None:
    image = np.full((30, 90, 3), 10, np.uint8)
    got, mask = Transform(Fit(size=60))(image, np.zeros((30, 90), np.uint8), seed=0)
    assert (mask == 0).sum() == 20 * 60 and (got[mask == 0] == 10).all()


def test_resize_and_scaled() -> None:
    assert resize(IMAGE, (30, 20)).shape == (30, 20, 3)
    assert scaled(IMAGE, 1.0) is IMAGE
    assert scaled(IMAGE, 1.5).shape == (90, 120, 3)
    assert scaled(IMAGE, 0.001).shape == (1, 1, 3)
    half = scaled(IMAGE, 0.5).astype(float)  # area interpolation: the mean of 2 × 2 pixels
    assert np.abs(half - IMAGE.reshape(30, 2, 40, 2, 3).mean((1, 3))).max() <= 0.5


def test_masks_must_match_the_image_size() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        Transform(SETTINGS["fit"])(IMAGE, MASK[:-1], seed=0)


@pytest.mark.parametrize(
    ("model", "values", "words"),
    [
        (ClassificationAugmentation, {"sizes": 3}, "Extra inputs"),
        (ClassificationAugmentation, {"area": (0.5, 1.5)}, "area: expected low and high with 0 < low ≤ high ≤ 1"),
        (ClassificationAugmentation, {"longer_side": (300, 200)}, "longer_side: expected low and high"),
        (SegmentationAugmentation, {"scale": (0, 1)}, "scale: expected low and high"),
        (SegmentationAugmentation, {"fill": (0, 0, 300)}, "less than or equal to 255"),
        (SegmentationAugmentation, {"colour": {"hue": 0.7}}, "less than or equal to 0.5"),
        (Fit, {"size": 4}, "greater than or equal to 16"),
    ],
)
def test_invalid_settings(model: type, values: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as found:
        model(**values)
    assert words in str(found.value)


def test_settings_round_trip_through_json_and_have_descriptions() -> None:
    for model in SETTINGS.values():
        assert type(model).model_validate_json(model.model_dump_json()) == model
        assert all(field.description for field in type(model).model_fields.values())
