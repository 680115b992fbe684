"""CLIP models on images of any size against open_clip's own forward pass, on random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tinyclip import random_clip, register, write_weights
from torch import Tensor, nn

from wsss.models.clip.clip_config import CLIP_MEAN, CLIP_STD, ClassAwareAttention, ClipWeights, ImageEmbedding
from wsss.models.clip.clip_maps import clip_maps, view_size
from wsss.models.clip.clip_network import ClipNetwork, mean_attention
from wsss.models.clip.clip_weights import load_clip
from wsss.models.weights.initial import Origin
from wsss.refine.attention_walk import class_aware_walk

open_clip = pytest.importorskip("open_clip")

PROMPTS = ["a photo of a cat.", "a photo of a dog.", "a photo of grass.", "a photo of the sky."]
EMBEDDINGS: list[ImageEmbedding] = ["patches", "class_token"]


def network(model: Any, embedding: ImageEmbedding) -> ClipNetwork:
    tokenizer = open_clip.SimpleTokenizer(context_length=24)
    origin = Origin({"name": "none"}, CLIP_MEAN, CLIP_STD)
    return ClipNetwork(model, tokenizer, origin=origin, embedding=embedding)


def picture(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.manual_seed(1))


def normalised(image: Tensor) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return ((image / 255 - mean) / std)[None]


def with_pooling(model: Any, embedding: ImageEmbedding) -> Any:
    """Set the pooling of open_clip that corresponds to an image embedding."""
    model.visual.pool_type = {"patches": "avg", "class_token": "tok"}[embedding]
    return model


def resized_model(size: tuple[int, int]) -> Any:
    """The same weights for images of another size, with position embeddings interpolated here."""
    small, model = random_clip(), random_clip(size)
    state = small.state_dict()
    positions = state["visual.positional_embedding"]
    grid = positions[1:].reshape(4, 4, -1).permute(2, 0, 1)[None]
    grid = F.interpolate(grid, (size[0] // 8, size[1] // 8), mode="bilinear", align_corners=False)[0]
    state["visual.positional_embedding"] = torch.cat([positions[:1], grid.permute(1, 2, 0).flatten(0, 1)])
    model.load_state_dict(state)
    return model


def test_the_constants_are_those_of_open_clip() -> None:
    assert (CLIP_MEAN, CLIP_STD) == (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    assert ClipWeights(path=Path("x")).mean == CLIP_MEAN


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("size", [(32, 32), (24, 56)])
def test_probabilities_are_those_of_open_clip(size: tuple[int, int], embedding: ImageEmbedding) -> None:
    own, image = network(random_clip(), embedding), picture(*size)
    library = with_pooling(random_clip() if size == (32, 32) else resized_model(size), embedding)
    tokens = open_clip.SimpleTokenizer(context_length=24)(PROMPTS)
    with torch.no_grad():
        of_image, of_texts, scale = library(normalised(image), tokens)
    texts = own.embed_texts(PROMPTS)
    torch.testing.assert_close(texts, of_texts, atol=1e-5, rtol=0)
    expected = (scale * of_image @ of_texts.T).softmax(1)[0]
    torch.testing.assert_close(own.gradient_maps(image, texts, 1, 0).probabilities, expected, atol=1e-5, rtol=0)
    assert float(expected.std()) > 0.01  # probabilities that an error would change


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("size", [(32, 32), (24, 56)])
def test_maps_are_grad_cam_of_the_probabilities(size: tuple[int, int], embedding: ImageEmbedding) -> None:
    """Hooks on open_clip's own layers, and the gradient of each probability, up to the scale of each map."""
    library, image = with_pooling(resized_model(size), embedding), picture(*size)
    own = network(random_clip(), embedding)
    texts = own.embed_texts(PROMPTS)
    raw = own.gradient_maps(image, texts, 2, 3)
    assert raw.maps.shape == (2, size[0] // 8, size[1] // 8)
    kept: list[Tensor] = []

    def keep(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    library.visual.transformer.resblocks[-1].ln_1.register_forward_hook(keep)
    for number in range(2):
        kept.clear()
        probability = (library.logit_scale.exp() * library.encode_image(normalised(image), True) @ texts.T).softmax(1)
        probability[0, number].backward()
        assert kept[0].grad is not None
        weights = kept[0].grad[0, 1:].mean(0)
        expected = (kept[0].detach()[0, 1:] * weights).sum(1).clamp(min=0).reshape(raw.maps.shape[1:])
        assert 0 < int((expected > 0).sum()) < expected.numel()
        torch.testing.assert_close(
            raw.maps[number] / raw.maps[number].max(), expected / expected.max(), atol=1e-4, rtol=0
        )


def test_maps_do_not_vanish_where_a_probability_is_one() -> None:
    """In single precision, p·(1 − p) would be 0."""
    model = random_clip()
    own, image = network(model, "class_token"), picture(32, 32)
    embedding = F.normalize(model.encode_image(normalised(image)), dim=-1)
    texts = torch.cat([embedding, -embedding])
    model.logit_scale.data.fill_(4.6)
    assert float(own.gradient_maps(image, texts, 1, 0).probabilities[0]) == 1
    assert float(own.gradient_maps(image, texts, 1, 0).maps.max()) > 0


def test_attention_is_that_of_multihead_attention() -> None:
    library, image, seen = resized_model((24, 56)), picture(24, 56), []
    layers = [block.attn for block in library.visual.transformer.resblocks]
    for layer in layers:
        layer.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].detach()))
    with torch.no_grad():
        library.encode_image(normalised(image))
        maps = [layer(x, x, x, need_weights=True)[1][0] for layer, x in zip(layers, list(seen), strict=True)]
    own = network(random_clip(), "patches")
    texts = own.embed_texts(PROMPTS)
    for blocks in (1, 2, 3):
        expected = torch.stack(maps[-blocks:]).mean(0)[1:, 1:]
        torch.testing.assert_close(own.gradient_maps(image, texts, 1, blocks).attention, expected, atol=1e-6, rtol=0)
    assert float(maps[0].std()) > 1e-3
    torch.testing.assert_close(mean_attention(layers[0], seen[0]), maps[0], atol=1e-6, rtol=0)


def stretched(maps: Tensor) -> Tensor:
    """Return maps from 0 to 1."""
    least, most = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - least) / (most - least)


def test_views_are_walked_resampled_and_averaged() -> None:
    """Two scales and mirror images, each composed here from the network and the walk."""
    own, image = network(random_clip(), "patches"), picture(20, 37).permute(1, 2, 0).numpy()
    texts, attention = own.embed_texts(PROMPTS), ClassAwareAttention(blocks=2)
    maps = clip_maps(own, image, texts, 2, scales=(1, 0.5), flip=True, stride=1, max_side=512, attention=attention)
    assert maps.shape == (2, 20, 37)
    total = torch.zeros(2, 20, 37)
    for size in ((24, 40), (16, 24)):
        shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        view = torch.from_numpy(cv2.resize(image, size[::-1], interpolation=interpolation)).permute(2, 0, 1)
        for mirrored in (False, True):
            raw = own.gradient_maps(view.flip(2) if mirrored else view, texts, 2, 2)
            walked = class_aware_walk(
                stretched(raw.maps).numpy(), raw.attention.numpy(), rounds=3, steps=2, box_threshold=0.4
            )
            assert walked.min() > 0  # every patch attends to every other
            full = F.interpolate(
                stretched(torch.from_numpy(walked))[None], (20, 37), mode="bilinear", align_corners=False
            )[0]
            total += full.flip(2) if mirrored else full
    torch.testing.assert_close(maps, total, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(45, 61), (70, 37), (83, 90)])
@pytest.mark.parametrize("corner", [(3, 5), (30, 20)])
def test_the_map_peaks_on_a_dot(size: tuple[int, int], corner: tuple[int, int]) -> None:
    """Weights made by hand: the map of the first text is the brightness of the patches."""
    model = random_clip()
    visual = model.visual
    with torch.no_grad():
        for parameter in visual.parameters():
            parameter.zero_()
        visual.conv1.weight[0], visual.conv1.weight[1] = 1 / 192, -1 / 192  # the mean of a patch, and its opposite
        visual.positional_embedding[:, 2] = 1  # LayerNorm would reduce the mean to its sign
        for layer in visual.modules():
            if isinstance(layer, nn.LayerNorm):
                layer.weight.fill_(1)
        for block in visual.transformer.resblocks:  # attention to all patches alike, which adds their mean
            block.attn.in_proj_weight[64:].copy_(torch.eye(32))
            block.attn.out_proj.weight.copy_(torch.eye(32))
        visual.proj[:12].copy_(torch.eye(12))
    texts = torch.eye(12)[:2]
    image = np.zeros((*size, 3), np.uint8)
    image[corner[0] : corner[0] + 9, corner[1] : corner[1] + 9] = 255
    own = network(model, "patches")
    (dot,) = clip_maps(own, image, texts, 1, scales=(1,), flip=False, stride=1, max_side=512, attention=None)
    peak = np.unravel_index(int(dot.argmax()), size)
    assert max(abs(peak[axis] - (corner[axis] + 4)) for axis in (0, 1)) <= 8
    centre = [float((dot.sum(1 - axis) * torch.arange(size[axis])).sum() / dot.sum()) for axis in (0, 1)]
    assert centre == pytest.approx([corner[0] + 4, corner[1] + 4], abs=3)  # the offset of patches is 3.5


def test_views_are_multiples_of_the_patch() -> None:
    assert view_size((375, 500), 1, 512, 16) == (384, 512)
    assert view_size((1000, 1500), 1, 512, 16) == (352, 512)
    assert view_size((1000, 1500), 0.5, 512, 16) == (176, 256)
    assert view_size((3, 500), 1, 512, 16) == (16, 512)


def test_weights_of_half_precision_and_openai_keys_are_loaded(tmp_path: Path) -> None:
    name, path = register(tmp_path), write_weights(tmp_path)
    state = {f"module.{key}": value.half() for key, value in torch.load(path, weights_only=True).items()}
    sizes = {"input_resolution": 32, "context_length": 24, "vocab_size": 49408}
    torch.save(
        {"state_dict": state | {key: torch.tensor(value) for key, value in sizes.items()}}, tmp_path / "half.bin"
    )
    loaded = load_clip(name, ClipWeights(path=tmp_path / "half.bin"), "patches")
    expected = load_clip(name, ClipWeights(path=path), "patches")
    texts = expected.embed_texts(PROMPTS)
    assert texts.dtype == torch.float32
    torch.testing.assert_close(loaded.embed_texts(PROMPTS), texts, atol=1e-3, rtol=0)
    assert loaded.origin.description["file"] == "half.bin"
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
