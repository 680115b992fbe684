"""A CLIP model of open_clip on images of any size: tokens, attention, and Grad-CAM of its probabilities.

The image embedding and the embeddings of some prompts give probabilities ``softmax(s·cos)`` of the prompts, as in
zero-shot classification. CLIP-ES (Lin et al., CVPR 2023) computes Grad-CAM of these probabilities at the first
LayerNorm of the last block. CLIP's own image embedding is that of the class token; the code of CLIP-ES takes the mean
over the patches after the last LayerNorm instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones import Normalise
from wsss.models.clip.clip_config import ImageEmbedding
from wsss.models.weights.initial import Origin


class GradientMaps(NamedTuple):
    """Result of `ClipNetwork.gradient_maps`.

    Args:
        maps: ``(K, n, m)`` ≥ 0 on n × m patches.
        attention: ``(n·m, n·m)`` of patches (rows) to patches (columns); empty if it is not requested.
        probabilities: of the texts, ``(N,)``.
    """

    maps: Tensor
    attention: Tensor
    probabilities: Tensor


class ClipNetwork(nn.Module):
    """A frozen CLIP model with its tokenizer and the normalisation of its images.

    Args:
        clip: an ``open_clip.CLIP`` with a vision transformer; see `wsss.models.clip.clip_weights.model_config`.
        tokenizer: of open_clip.
        origin: of the weights, with the normalisation.
        embedding: image embedding: the mean over the patches, or that of the class token.
    """

    def __init__(self, clip: nn.Module, tokenizer: Any, *, origin: Origin, embedding: ImageEmbedding) -> None:
        super().__init__()
        self.clip, self.tokenizer, self.embedding = clip, tokenizer, embedding
        self.normalise = Normalise(origin.mean, origin.std)
        self.origin = origin
        self.requires_grad_(False).eval()

    @property
    def _visual(self) -> Any:
        return self.clip.visual

    @property
    def device(self) -> torch.device:
        """Device of its weights."""
        return cast(Tensor, self.clip.logit_scale).device

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return int(self._visual.patch_size[0])

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors ``(N, D)``."""
        clip: Any = self.clip
        return cast(Tensor, clip.encode_text(self.tokenizer(list(texts)).to(self.device), normalize=True))

    @torch.enable_grad()
    def gradient_maps(self, image: Tensor, texts: Tensor, classes: int, blocks: int) -> GradientMaps:
        """Compute Grad-CAM of the probabilities of some texts among all, up to a factor per map.

        With p the probability of a text and z the scaled cosines, ∇p is p·(1 − p) times the gradient of ``z − log Σ
        exp z'`` over the other texts. This gradient is used: it does not vanish in single precision if p is near 1.

        Args:
            image: ``(3, H, W)`` uint8; H and W are multiples of `patch`.
            texts: unit vectors ``(N, D)``, N ≥ 2.
            classes: number K < N of texts with a map: the first ones.
            blocks: number of blocks whose attention is averaged, counted from the last; 0: none.
        """
        before, attention = self._before_last(image, blocks)
        last = self._visual.transformer.resblocks[-1]
        normed = last.ln_1(before).detach().requires_grad_()
        logits = self._logits(_after(last, before, normed), texts)
        maps = []
        for number in range(classes):
            others = torch.cat([logits[:number], logits[number + 1 :]])
            odds = logits[number] - others.logsumexp(0)
            (gradient,) = torch.autograd.grad(odds, normed, retain_graph=number + 1 < classes)
            maps.append((normed[0, 1:].detach() @ gradient[0, 1:].mean(0)).relu())
        rows, columns = (side // self.patch for side in image.shape[1:])
        if blocks:
            attention = (attention + mean_attention(last.attn, normed.detach())) / blocks
        stacked = torch.stack(maps).unflatten(1, (rows, columns))
        return GradientMaps(stacked, attention[1:, 1:], logits.detach().softmax(0))

    @torch.no_grad()
    def _before_last(self, image: Tensor, blocks: int) -> tuple[Tensor, Tensor]:
        """Return the tokens ``(1, 1 + N, C)`` before the last block, and the sum of the attention of earlier blocks."""
        visual = self._visual
        tokens = self._embedded(self.normalise(image[None]))
        count = tokens.shape[1]
        total = tokens.new_zeros(count, count) if blocks else tokens.new_zeros(1, 1)
        *earlier, _ = visual.transformer.resblocks
        for number, block in enumerate(earlier):
            normed = block.ln_1(tokens)
            if len(earlier) + 1 - number <= blocks:
                total += mean_attention(block.attn, normed)
            tokens = _after(block, tokens, normed)
        return tokens, total

    def _embedded(self, images: Tensor) -> Tensor:
        """Return the tokens ``(B, 1 + N, C)`` before the first block; position embeddings are interpolated."""
        visual = self._visual
        patches = visual.conv1(images)
        positions = visual.positional_embedding
        grid = positions[1:].T.unflatten(1, visual.grid_size)[None]
        if patches.shape[2:] != grid.shape[2:]:
            grid = F.interpolate(grid, size=patches.shape[2:], mode="bilinear", align_corners=False)
        first = (visual.class_embedding + positions[0]).expand(len(images), 1, -1)
        return cast(Tensor, visual.ln_pre(torch.cat([first, (patches + grid).flatten(2).transpose(1, 2)], 1)))

    def _logits(self, tokens: Tensor, texts: Tensor) -> Tensor:
        """Return scaled cosines ``(N,)`` of the image embedding, given the tokens after the last block, and texts."""
        visual = self._visual
        first, patches = tokens[0, 0], tokens[0, 1:]
        pooled = visual.ln_post(first) if self.embedding == "class_token" else visual.ln_post(patches).mean(0)
        embedding = F.normalize(pooled @ visual.proj, dim=0)
        return cast(Tensor, self.clip.logit_scale).exp() * (texts @ embedding)


def _after(block: Any, tokens: Tensor, normed: Tensor) -> Tensor:
    """Return the tokens after a block; ``normed`` are those after its first LayerNorm."""
    attended, _ = block.attn(normed, normed, normed, need_weights=False)
    tokens = tokens + block.ls_1(attended)
    return cast(Tensor, tokens + block.ls_2(block.mlp(block.ln_2(tokens))))


@torch.no_grad()
def mean_attention(layer: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    """Return the attention of a layer, averaged over its heads, ``(N, N)``; rows sum to 1.

    Heads are added one by one: with all at once, memory would be that of N²·heads.

    Args:
        layer: with one matrix for the projections of queries, keys and values.
        tokens: ``(1, N, C)``.
    """
    width, heads = layer.embed_dim, layer.num_heads
    assert layer.in_proj_weight is not None and layer.in_proj_bias is not None
    projected = F.linear(tokens[0], layer.in_proj_weight[: 2 * width], layer.in_proj_bias[: 2 * width])
    queries, keys = (part.chunk(heads, 1) for part in projected.chunk(2, 1))
    total = tokens.new_zeros(tokens.shape[1], tokens.shape[1])
    for query, key in zip(queries, keys, strict=True):
        total += ((query * layer.head_dim**-0.5) @ key.T).softmax(1)
    return total / heads
