"""Networks on a window of an image, with the same results as on the whole image.

One operation of a convolutional network depends on the size of its input: global pooling, as in LR-ASPP, DeepLabV3's
ASPP and squeeze-and-excitation, averages over all positions. Within `WholeImage`, it gives the results of the whole
image. (Resizing maps to a size that is not a multiple of the stride would be another, but the networks pad their
images.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Side:
    """A window along one side of an image.

    Args:
        start, stop: pixels of the window.
        length: pixels of the whole side.
        core: pixels that this window, and no other, contributes to means over the whole image.
    """

    start: int
    stop: int
    length: int
    core: slice

    def stride(self, elements: int) -> int:
        """Return the pixels per element, a power of 2, of a map with this number of elements in the window."""
        pixels = self.stop - self.start
        exact = (1 << power for power in range(10) if -(-pixels // (1 << power)) == elements)
        return next(exact, int(2 ** round(math.log2(pixels / elements))))  # networks that pad have a few more

    def core_of(self, elements: int) -> slice:
        """Return the elements of a map that lie in the core."""
        if self.core == slice(0, self.length):
            return slice(0, elements)
        stride = self.stride(elements)
        first = self.start // stride
        stop = elements if self.core.stop == self.length else -(-self.core.stop // stride) - first
        return slice(-(-self.core.start // stride) - first, stop)


class Measured(Exception):
    """Ends a forward pass that measures means, once the last one is known."""


@dataclass
class PooledMeans:
    """Means over the whole image of the maps that a network pools, in the order of the calls.

    Args:
        calls: number of global poolings in a forward pass, if it is known.
    """

    calls: int | None = None
    sums: list[Tensor] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def add(self, call: int, maps: Tensor, core: tuple[slice, slice]) -> None:
        """Add the core ``(h, w)`` of the maps ``(B, C, H, W)`` of a call."""
        part = maps[:, :, core[0], core[1]]
        total, count = part.double().sum((2, 3)), part.shape[2] * part.shape[3]
        if call == len(self.sums):
            self.sums.append(total)
            self.counts.append(count)
            return
        self.sums[call] += total
        self.counts[call] += count

    def mean(self, call: int) -> Tensor:
        """Return the mean of a call, ``(B, C)``."""
        return self.sums[call] / self.counts[call]


class WholeImage(TorchFunctionMode):
    """Within the block, a network computes on a window what it would compute there on the whole image.

    Args:
        sides: the window along both sides.
        means: means of global poolings; those of the window are used if it is ``None``.
        measured: accumulates the means of the window's core, and ends the pass after the last of ``measured.calls``.
    """

    def __init__(
        self, sides: tuple[Side, Side], *, means: PooledMeans | None = None, measured: PooledMeans | None = None
    ) -> None:
        super().__init__()
        self._sides, self._means, self._measured = sides, means, measured
        self.calls = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """See `torch.overrides.TorchFunctionMode`."""
        kwargs = kwargs or {}
        if _pools_globally(func, args, kwargs):
            return self._pooled(args[0], func(*args, **kwargs))
        return func(*args, **kwargs)

    def _pooled(self, maps: Tensor, local: Tensor) -> Tensor:
        """Return the mean of maps over the whole image, in the shape of the window's own."""
        call, self.calls = self.calls, self.calls + 1
        if self._measured is not None:
            rows, columns = (side.core_of(count) for side, count in zip(self._sides, maps.shape[2:], strict=True))
            self._measured.add(call, maps, (rows, columns))
            if self.calls == self._measured.calls:
                raise Measured
        if self._means is None:
            return local
        return self._means.mean(call).to(local.dtype).reshape(local.shape)


def _pools_globally(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call averages maps ``(B, C, h, w)`` of more than one position over all of them."""
    maps = args[0] if args else None
    if not isinstance(maps, Tensor) or maps.ndim != 4 or maps.shape[2:] == (1, 1):
        return False
    if func is F.adaptive_avg_pool2d:
        target = args[1] if len(args) > 1 else kwargs.get("output_size")
        return target in (1, (1, 1), [1, 1])
    if func not in (Tensor.mean, torch.mean):
        return False
    axes = args[1] if len(args) > 1 else kwargs.get("dim")
    return isinstance(axes, tuple | list) and sorted(axis % 4 for axis in axes) == [2, 3]
