"""Self-attention of the last blocks of a vision transformer of timm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from wsss.errors import InvalidInput
from wsss.models.trunk import Trunk


@torch.no_grad()
def self_attention(trunk: Trunk, images: Tensor, blocks: int) -> Tensor:
    """Return the attention between the patches of an image, averaged over the heads of the last blocks.

    It is the softmax of the scaled products of queries and keys; rows and columns of class and register tokens are left
    out, so that rows sum to less than 1.

    Args:
        trunk: in evaluation mode. Fused attention, which does not return the attention weights, is disabled in its last
            blocks, and remains disabled.
        images: ``(1, 3, H, W)``, normalised.
        blocks: number of blocks, counted from the last.

    Returns:
        ``(N, N)`` ≥ 0; N patches in the order of the flattened feature map. Row i: attention of patch i to all patches.

    Raises:
        InvalidInput: the network is not a transformer, has fewer blocks, or attends only within windows.
    """
    first: int = getattr(trunk.high, "num_prefix_tokens", 0)
    tokens = first + math.prod(math.ceil(side / trunk.output_stride) for side in images.shape[2:])
    total = torch.zeros(tokens, tokens, device=images.device)

    def add(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.ndim != 4 or output[:, 0].shape != (1, tokens, tokens):
            raise _no_attention("its attention is not between all patches of an image")
        total.add_(output[0].mean(0))

    with ExitStack() as hooks:
        for attention in _last_attentions(trunk, blocks):
            attention.fused_attn = False
            hooks.callback(attention.attn_drop.register_forward_hook(add).remove)
        trunk.features(images)
    return total[first:, first:] / blocks


def _last_attentions(trunk: Trunk, blocks: int) -> Sequence[Any]:
    """Return the attention layers of the last blocks.

    Raises:
        InvalidInput: see `self_attention`.
    """
    layers: list[Any] = [getattr(block, "attn", None) for block in getattr(trunk.high, "blocks", ())]
    if not layers or not all(
        isinstance(getattr(layer, "attn_drop", None), nn.Module) and hasattr(layer, "fused_attn") for layer in layers
    ):
        raise _no_attention("it has no blocks with self-attention")
    if blocks > len(layers):
        raise InvalidInput(
            "more blocks than the network has", subject="attention_blocks", found=blocks, allowed=f"1 to {len(layers)}"
        )
    return layers[-blocks:]


def _no_attention(reason: str) -> InvalidInput:
    return InvalidInput(
        f"attention requires a vision transformer of timm, such as timm/vit_small_patch14_dinov2 ({reason})",
        subject="affinity",
        hint="Use another network, or affinity: features.",
    )
