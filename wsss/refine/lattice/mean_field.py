"""Mean-field inference of the dense CRF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsss.refine.lattice.filtering import MOST_CHANNELS, Filter
from wsss.topology.compiling import call, kernel

BLOCK = 2048
"""Number of pixels per block, small enough for the values to stay in the L1 cache."""


def infer(unary: NDArray[np.float32], filters: Sequence[Filter], iterations: int) -> NDArray[np.float32]:
    """Return marginals ``(C, N)`` after some iterations; they sum to 1 over the labels.

    Therefore the filtered marginals of the last label follow from those of the other labels and a filtered constant,
    which saves one channel.

    Args:
        unary: ``(C, N)`` energies (negative log-probabilities), at least two labels.
        filters: the pairwise kernels; Potts compatibility, their weights included.
        iterations: number of parallel updates of all pixels.
    """
    labels, pixels = unary.shape
    groups = -(-(labels - 1) // MOST_CHANNELS)
    # In the memory layout of the filters: labels of a group are adjacent. The last group may have unused channels.
    channels = (0,) * -(-(labels - 1) // groups)
    beliefs, messages = np.zeros((2, groups, pixels, len(channels)), np.float32)
    marginals, constant = np.empty((labels, pixels), np.float32), np.zeros(pixels, np.float32)

    def update() -> None:
        call(_update, f"{len(channels)}", unary, messages, constant, beliefs, marginals, channels)

    update()
    for gaussian in filters:
        constant += gaussian.constant
    for _ in range(iterations):
        for gaussian in filters:
            for group in range(groups):
                gaussian.add(beliefs[group], messages[group])
        update()
    return marginals


@kernel
def _update(
    unary: NDArray[np.float32],
    messages: NDArray[np.float32],
    constant: NDArray[np.float32],
    beliefs: NDArray[np.float32],
    marginals: NDArray[np.float32],
    channels: tuple[int, ...],
) -> None:
    """Set the marginals to the softmax over labels of ``messages - unary``, and the messages to 0.

    Messages, and beliefs (the marginals without the last label), are ``(groups, N, labels of a group)``; the length of
    ``channels`` is that of their last axis, see `wsss.refine.lattice.filtering`.
    """
    labels, pixels = unary.shape
    top, total = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    rows = np.empty((len(messages) * len(channels) + 1, BLOCK), np.float32)
    bits = np.empty(BLOCK, np.int32)
    for start in range(0, pixels, BLOCK):
        stop = min(start + BLOCK, pixels)
        n = stop - start
        for g in range(len(messages)):
            for k in range(n):
                for c in range(len(channels)):
                    rows[g * len(channels) + c, k] = messages[g, start + k, c]
                    messages[g, start + k, c] = 0
        last = marginals[labels - 1, start:stop]
        last[:] = constant[start:stop]
        for c in range(labels - 1):
            row, message, energy = marginals[c, start:stop], rows[c], unary[c, start:stop]
            for k in range(n):
                last[k] -= message[k]
                row[k] = message[k] - energy[k]
        energy = unary[labels - 1, start:stop]
        for k in range(n):
            last[k] -= energy[k]
            top[k] = last[k]
        for c in range(labels - 1):
            row = marginals[c, start:stop]
            for k in range(n):
                top[k] = top[k] if top[k] > row[k] else row[k]
        total[:] = 0
        for c in range(labels):
            _exponentials(marginals[c, start:stop], top, bits, total)
        for c in range(labels):
            row, copy = marginals[c, start:stop], rows[c]
            for k in range(n):
                row[k] /= total[k]
                copy[k] = row[k]
        for g in range(len(beliefs)):
            for k in range(n):
                for c in range(len(channels)):
                    beliefs[g, start + k, c] = rows[g * len(channels) + c, k]


@kernel
def _exponentials(
    values: NDArray[np.float32], top: NDArray[np.float32], bits: NDArray[np.int32], total: NDArray[np.float32]
) -> None:
    """Replace values by ``exp(value - top)``, which is at most 1, to within 3e-7, and add them to ``total``.

    The C library's function is called value by value; this is vectorised. ``exp x = 2^i · exp f`` with ``f`` in
    ``[0, log 2)``: a Taylor polynomial of degree 7, and a power of two made of the bits of a float's exponent.
    """
    scale = bits.view(np.float32)
    for k in range(len(values)):
        below = values[k] - top[k]
        power = (below if below > np.float32(-87) else np.float32(-87)) * np.float32(1.4426950408889634)
        whole = np.floor(power)
        f = (power - whole) * np.float32(0.6931471805599453)
        series = np.float32(1 / 5040)
        series = series * f + np.float32(1 / 720)
        series = series * f + np.float32(1 / 120)
        series = series * f + np.float32(1 / 24)
        series = series * f + np.float32(1 / 6)
        series = series * f + np.float32(0.5)
        series = series * f + np.float32(1)
        values[k] = series * f + np.float32(1)
        bits[k] = (np.int32(whole) + np.int32(127)) << np.int32(23)
    for k in range(len(values)):
        values[k] *= scale[k]
        total[k] += values[k]
