"""Mean-field inference of the dense CRF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsss.refine.lattice.filtering import Filter
from wsss.topology.compiling import call, kernel

BLOCK = 2048
"""Pixels that are worked on together: their values stay in the processor's first cache."""


def infer(unary: NDArray[np.float32], filters: Sequence[Filter], iterations: int) -> NDArray[np.float32]:
    """Return marginals ``(C, N)`` after some iterations; they sum to 1 over the labels.

    Since they do, what the last label's filter would give follows from those of the others and of a constant: one
    channel less is filtered.

    Args:
        unary: ``(C, N)`` energies (negative log-probabilities), at least two labels.
        filters: the pairwise kernels; Potts compatibility, their weights included.
        iterations: number of parallel updates of all pixels.
    """
    labels, pixels = unary.shape
    constant = np.zeros((1, pixels), np.float32)
    for one in filters:
        one.add(np.ones((1, pixels), np.float32), constant)
    marginals = np.empty((labels, pixels), np.float32)
    messages = np.zeros((labels - 1, pixels), np.float32)
    call(_update, "", unary, messages, np.zeros(pixels, np.float32), marginals)
    for _ in range(iterations):
        messages[:] = 0
        for one in filters:
            one.add(marginals[:-1], messages)
        call(_update, "", unary, messages, constant[0], marginals)
    return marginals


@kernel
def _update(
    unary: NDArray[np.float32],
    messages: NDArray[np.float32],
    constant: NDArray[np.float32],
    marginals: NDArray[np.float32],
) -> None:
    """Set the marginals to the softmax over labels of ``messages - unary``."""
    labels, pixels = unary.shape
    last, top, total = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    bits = np.empty(BLOCK, np.int32)
    for start in range(0, pixels, BLOCK):
        stop = min(start + BLOCK, pixels)
        n = stop - start
        last[:n] = constant[start:stop]
        top[:n] = -np.inf
        for c in range(labels):
            row, energy = marginals[c, start:stop], unary[c, start:stop]
            if c < labels - 1:
                message = messages[c, start:stop]
                for k in range(n):
                    row[k] = message[k] - energy[k]
                    last[k] -= message[k]
            else:
                for k in range(n):
                    row[k] = last[k] - energy[k]
            for k in range(n):
                top[k] = max(top[k], row[k])
        total[:n] = 0
        for c in range(labels):
            row = marginals[c, start:stop]
            _exponentials(row, top, bits)
            for k in range(n):
                total[k] += row[k]
        for c in range(labels):
            row = marginals[c, start:stop]
            for k in range(n):
                row[k] /= total[k]


@kernel
def _exponentials(values: NDArray[np.float32], top: NDArray[np.float32], bits: NDArray[np.int32]) -> None:
    """Replace values by ``exp(value - top)``, which is at most 1, to within 3e-7.

    The C library's function is called value by value; this is vectorised. ``exp x = 2^i · exp f`` with ``f`` in
    ``[0, log 2)``: a Taylor polynomial of degree 7, and a power of two made of the bits of a float's exponent.
    """
    scale = bits.view(np.float32)
    for k in range(len(values)):
        power = max(values[k] - top[k], np.float32(-87)) * np.float32(1.4426950408889634)
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
