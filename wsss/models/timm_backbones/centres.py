"""Positions of the features of an arbitrary network, followed through its convolutions and pooling layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.overrides import TorchFunctionMode


class Centres(NamedTuple):
    """Element i of a map is centred on pixel ``offset + step·i`` of the image."""

    offset: float
    step: float


class CentreTracker(TorchFunctionMode):
    """Within ``with CentreTracker(images) as tracker``, attaches a `Centres` to every tensor computed from the images.

    A window of k taps with dilation d and p elements of padding before it is centred on element
    ``stride·i + d·(k − 1)/2 − p`` of its input. All other functions keep the centres of their arguments; where branches
    with different centres meet (ResNet-D's shortcuts pool 2×2 blocks), they give the mean.

    Args:
        images: input of the network.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        _attach(images, Centres(0.0, 1.0))

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """See `torch.overrides.TorchFunctionMode`."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        centres = _mean(list(_all_centres((*args, *kwargs.values()))))
        if centres is not None:
            window = _WINDOWS.get(getattr(func, "__name__", ""))
            moved = centres if window is None else window(*args, **kwargs)(centres)
            for tensor in result if isinstance(result, tuple | list) else (result,):
                if isinstance(tensor, Tensor):
                    _attach(tensor, moved)
        return result

    def centre(self, features: Tensor, stride: int) -> float:
        """Return the pixel on which element 0 of a map is centred.

        Args:
            features: computed within the block.
            stride: its pixels per element. A reduction of the size outside convolutions and pooling, such as the patch
                merging of Swin, is one by non-overlapping blocks.
        """
        centres: Centres = getattr(features, "_centres", Centres(0.0, 1.0))
        return centres.offset + (stride - centres.step) / 2


def _attach(tensor: Tensor, centres: Centres) -> None:
    tensor._centres = centres  # type: ignore[attr-defined]


def _mean(several: Sequence[Centres]) -> Centres | None:
    """Return the mean centres of the arguments on the grid of the first one."""
    same = [centres.offset for centres in several if centres.step == several[0].step]
    return Centres(sum(same) / len(same), several[0].step) if same else None


def _all_centres(values: Iterable[Any]) -> Iterator[Centres]:
    for value in values:
        if isinstance(value, Tensor) and hasattr(value, "_centres"):
            yield value._centres
        elif isinstance(value, tuple | list):
            yield from _all_centres(value)


Move = Callable[[Centres], Centres]


def _last(value: Any) -> int:
    """Return the value along the width."""
    return int(value[-1] if isinstance(value, tuple | list) else value)


def _window(kernel: int, stride: int, dilation: int, before: int) -> Move:
    shift = dilation * (kernel - 1) / 2 - before
    return lambda centres: Centres(centres.offset + centres.step * shift, centres.step * stride)


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    *_: Any,
    **__: Any,
) -> Move:
    kernel, spread = weight.shape[-1], _last(dilation)
    before = spread * (kernel - 1) // 2 if padding == "same" else 0 if padding == "valid" else _last(padding)
    return _window(kernel, _last(stride), spread, before)


def _max_pool(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, *_: Any, **__: Any
) -> Move:
    return _window(_last(kernel_size), _last(stride or kernel_size), _last(dilation), _last(padding))


def _average_pool(input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, *_: Any, **__: Any) -> Move:
    return _window(_last(kernel_size), _last(stride or kernel_size), 1, _last(padding))


def _padding(input: Tensor, pad: Sequence[int], *_: Any, **__: Any) -> Move:
    return lambda centres: Centres(centres.offset - centres.step * pad[0], centres.step)


_WINDOWS: dict[str, Callable[..., Move]] = {
    "conv2d": _convolution,
    "max_pool2d": _max_pool,
    "avg_pool2d": _average_pool,
    "pad": _padding,
}
"""Name of a function → function of the same arguments that returns how it moves the centres."""
