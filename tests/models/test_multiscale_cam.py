from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learning import noise_pictures, random_classifier

from wsss.data.image_transforms.resizing import scaled
from wsss.models.attribution.multiscale_cam import class_maps, normalise, resampling, with_centre_prior
from wsss.models.classifier import CAMClassifier

SCALES = (1.0, 0.5, 1.5)


@pytest.fixture(scope="module")
def model() -> CAMClassifier:
    return random_classifier("mobilenet_v2")


def test_kept_matrices_can_be_used_in_training() -> None:
    with torch.inference_mode():
        resampling(5, 77, 16, 19)
    features = torch.rand(5, 3, requires_grad=True)
    (resampling(5, 77, 16, 19) @ features).sum().backward()
    assert features.grad is not None


@given(
    features=st.integers(1, 40), step=st.sampled_from([8, 16, 32]), targets=st.integers(1, 80), cut=st.integers(0, 7)
)
def test_resampling_interpolates(features: int, step: int, targets: int, cut: int) -> None:
    pixels = max(1, features * step - cut)
    matrix = resampling(features, pixels, step, targets)
    assert matrix.shape == (targets, features)
    torch.testing.assert_close(matrix.sum(1), torch.ones(targets))
    assert (matrix >= 0).all()
    # Resampling the pixel positions of features yields the pixel positions of targets.
    ramp = torch.arange(features) * float(step)
    centres = (torch.arange(targets) + 0.5) * pixels / targets - 0.5
    torch.testing.assert_close(matrix @ ramp, centres.clamp(0, (features - 1) * step), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_features_are_centred_on_multiples_of_the_stride(model: CAMClassifier) -> None:
    """The gradient of a feature with respect to the image is centred on pixel stride·i."""
    torch.manual_seed(1)
    rows = []
    for _ in range(24):
        image = torch.rand(1, 3, 161, 161, requires_grad=True)
        high = model.backbone(model.normalise(image)).high
        (gradient,) = torch.autograd.grad((high[0, :, 5, 5] * torch.randn(high.shape[1])).sum(), image)
        rows.append(gradient.square().sum((0, 1, 3)))
    profile = torch.stack(rows).mean(0)
    centre = (profile * torch.arange(161)).sum() / profile.sum()
    assert abs(float(centre) - 16 * 5) < 3


def test_maps_of_a_batch_are_those_of_each_image(model: CAMClassifier) -> None:
    # Not bit by bit: oneDNN's algorithm depends on the batch size.
    images = noise_pictures(3, 70, 50)
    together = class_maps(model, images, scales=SCALES, flip=True, stride=4)
    assert together.maps.shape == (3, 3, 18, 13)
    for index in range(3):
        alone = class_maps(model, images[index : index + 1], scales=SCALES, flip=True, stride=4)
        torch.testing.assert_close(alone.maps[0], together.maps[index], rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(alone.probabilities[0], together.probabilities[index])


def test_mirrored_image_has_mirrored_maps(model: CAMClassifier) -> None:
    images = noise_pictures(1, 65, 97)
    maps = class_maps(model, images, scales=(1.0,), flip=True, stride=1).maps
    mirrored = class_maps(model, images[:, :, ::-1].copy(), scales=(1.0,), flip=True, stride=1).maps
    torch.testing.assert_close(mirrored, maps.flip(3), rtol=1e-4, atol=1e-5)


def test_single_scale_is_the_rectified_map_of_the_classifier(model: CAMClassifier) -> None:
    images = noise_pictures(1, 65, 65)
    with torch.no_grad():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        expected = model.maps(model.features(pixels)).relu()
        probability = model(pixels).sigmoid()
    raw = class_maps(model, images, scales=(1.0,), flip=False, stride=1)
    torch.testing.assert_close(raw.maps[..., ::16, ::16], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(raw.probabilities, probability, rtol=1e-4, atol=1e-5)
    assert (raw.maps > 0).any()


def pairwise_maps(
    model: CAMClassifier, images: np.ndarray, *, activation: str = "relu", stride: int = 4, kept: slice = slice(None)
) -> torch.Tensor:
    """All views of all classes at once: the definition."""
    height, width = images.shape[1:3]
    size = -(-height // stride), -(-width // stride)
    stacked = []
    for scale in SCALES:
        pixels = np.stack([scaled(image, scale) for image in images])
        upright = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        with torch.no_grad():
            scores = model.maps(model.features(torch.cat([upright, upright.flip(3)])))
        activated = scores.relu() if activation == "relu" else scores.sigmoid()
        rows = resampling(scores.shape[2], pixels.shape[1], 16, size[0])
        columns = resampling(scores.shape[3], pixels.shape[2], 16, size[1])
        placed = rows @ activated @ columns.T
        stacked += [placed[: len(images)], placed[len(images) :].flip(3)]
    return torch.stack(stacked).sum(0)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("selected", [[0, 1, 2], [1], [2, 0], []])
def test_selected_classes_have_the_maps_of_all_views_stacked(
    model: CAMClassifier, activation: Any, selected: list[int]
) -> None:
    images = noise_pictures(2, 70, 50)
    expected = pairwise_maps(model, images, activation=activation)[:, selected]
    seen: list[torch.Tensor] = []

    def select(probabilities: torch.Tensor) -> list[int]:
        seen.append(probabilities)
        return selected

    raw = class_maps(model, images, scales=SCALES, flip=True, stride=4, activation=activation, select=select)
    assert raw.maps.shape == (2, len(selected), 18, 13)
    torch.testing.assert_close(raw.maps, expected, rtol=1e-5, atol=1e-6)
    assert len(seen) == 1 and torch.equal(seen[0], raw.probabilities) and raw.probabilities.shape == (2, 3)


def test_maps_are_bit_by_bit_those_of_pairs_of_all_classes(model: CAMClassifier) -> None:
    """The float16 files of MobileNets do not change, whether classes and mirror images are computed together or not."""
    images = noise_pictures(1, 188, 250)
    raw = class_maps(model, images, scales=SCALES, flip=True, stride=4, select=lambda _: [1])
    expected = pairwise_maps(model, images)[:, [1]]
    assert torch.equal(normalise(raw.maps, "max").half(), normalise(expected, "max").half())


def test_one_view_at_a_time_on_a_cpu(model: CAMClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, ...]] = []
    features = model.features

    def record(pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(pixels.shape))
        return features(pixels)

    monkeypatch.setattr(model, "features", record)
    class_maps(model, noise_pictures(2, 64, 48), scales=(1.0, 0.5), flip=True, stride=4)
    assert sizes == [(2, 3, 64, 48)] * 2 + [(2, 3, 32, 24)] * 2


def test_bfloat16_maps_are_close_and_summed_in_single_precision(model: CAMClassifier) -> None:
    images = noise_pictures(1, 64, 48)
    exact, rough = (
        class_maps(model, images, scales=(1.0,), flip=True, stride=4, precision=precision)
        for precision in ("32-true", "bf16-mixed")
    )
    assert rough.maps.dtype == rough.probabilities.dtype == torch.float32
    assert not torch.equal(rough.maps, exact.maps)
    torch.testing.assert_close(rough.maps, exact.maps, rtol=0.1, atol=0.05 * float(exact.maps.max()))
    torch.testing.assert_close(rough.probabilities, exact.probabilities, rtol=0, atol=0.05)


def test_tiny_images(model: CAMClassifier) -> None:
    assert class_maps(model, noise_pictures(1, 1, 3), scales=(1.0, 0.5), flip=True, stride=4).maps.shape == (1, 3, 1, 1)


def test_normalisation() -> None:
    maps = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], [[5.0, 5.0], [5.0, 5.0]]])
    by_maximum = normalise(maps, "max")
    assert torch.equal(by_maximum[0], maps[0] / 4)
    assert not by_maximum[1].any()
    assert torch.equal(by_maximum[2], torch.ones(2, 2))
    by_both = normalise(maps, "minmax")
    torch.testing.assert_close(by_both[0], (maps[0] - 1) / 3)
    assert not by_both[1:].any()
    assert normalise(torch.zeros(0, 4, 4), "max").shape == (0, 4, 4)


def test_centre_prior_is_symmetric_and_1_at_the_centre() -> None:
    maps = torch.ones(1, 2, 5, 7)
    assert with_centre_prior(maps, 0.0) is maps
    weighted = with_centre_prior(maps, 0.5)
    assert weighted[0, 0, 2, 3] == 1
    torch.testing.assert_close(weighted, weighted.flip(2))
    torch.testing.assert_close(weighted, weighted.flip(3))
    edge = (1 - 1 / 5) ** 2 + (1 - 1 / 7) ** 2
    torch.testing.assert_close(weighted[0, 1, 0, 0], torch.tensor(-0.5 * edge).exp())
