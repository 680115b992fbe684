"""Losses that depend on few pixels, computed outside torch together with their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class ChannelGradient:
    """Derivatives of a loss with respect to the probabilities of one class at ``n`` pixels of one image.

    Args:
        image: index in the batch.
        channel: the class.
        pixels: ``(n,)`` int64 indices into ``H · W``, possibly repeated.
        probabilities: ``(n,)`` of this class at the pixels.
        values: ``(n,)`` derivatives; those of repeated pixels add up.
    """

    image: int
    channel: int
    pixels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    values: NDArray[np.float64]


def sparse_loss(logits: Tensor, loss: float, gradients: Sequence[ChannelGradient], scale: float) -> Tensor:
    """Return the scalar ``scale · loss`` with its gradient with respect to the logits ``(B, C, H, W)``.

    Only first derivatives exist: a second backward pass (``create_graph=True``) raises `NotImplementedError`.

    Args:
        logits: their softmax over channels gives the probabilities.
        loss: a function of these probabilities.
        gradients: all its non-zero derivatives.
        scale: factor of the value and the gradient.
    """
    value: Tensor = _SparseLoss.apply(logits, loss * scale, gradients, scale)
    return value


class _SparseLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, value: float, gradients: Sequence[ChannelGradient], scale: float) -> Tensor:
        ctx.save_for_backward(logits)
        where, values = _by_logits(logits, gradients)
        ctx.shape = logits.shape
        ctx.where, ctx.values = torch.from_numpy(where).to(logits.device), torch.from_numpy(values * scale).to(logits)
        return logits.new_full((), value)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        with torch.no_grad():
            gradient = upstream.new_zeros(ctx.shape)
            gradient.view(-1).index_add_(0, ctx.where, ctx.values * upstream)
        if torch.is_grad_enabled():  # create_graph=True
            gradient = _NoSecondDerivative.apply(gradient, upstream, *ctx.saved_tensors)
        return gradient, None, None, None


class _NoSecondDerivative(torch.autograd.Function):
    """Return a gradient that raises an error when differentiated; a constant would silently have derivative 0."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *inputs: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError(
            "the Betti matching loss and TopoLoss have no second derivatives, since their matching is computed outside "
            "autograd. Use create_graph=False, or exclude the term from the differentiated loss (alpha: 0)."
        )


def _by_logits(logits: Tensor, gradients: Sequence[ChannelGradient]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Apply the chain rule of softmax: ``∂p_c / ∂x_k = p_c (δ_ck − p_k)``.

    Returns:
        Indices into the flattened logits, and the derivatives there, to be added up.
    """
    channels, size = logits.shape[1], logits.shape[2] * logits.shape[3]
    where, values = [np.zeros(0, np.int64)], [np.zeros(0)]
    for part in gradients:
        own = part.values * part.probabilities
        start = part.image * channels * size + part.pixels
        if channels == 2:
            value = own * (1 - part.probabilities)
            where += [start + part.channel * size, start + (1 - part.channel) * size]
            values += [value, -value]
            continue
        at = torch.from_numpy(part.pixels).to(logits.device)
        others = logits[part.image].flatten(1)[:, at].softmax(0).cpu().numpy()
        for k in range(channels):
            where.append(start + k * size)
            values.append(own * ((k == part.channel) - others[k]))
    return np.concatenate(where), np.concatenate(values)
