"""Comparison of the weights in a file with those that a network expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from wsss.errors import listing


def without_prefix(expected: Sequence[str], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefix that all expected names have, such as that of ``torch.compile`` or of a Lightning module.

    Weights without the prefix are then left out. If there is no such prefix, or there are several (``encoder_q.`` and
    ``encoder_k.``), the weights are unchanged.
    """
    prefixes = {name.removesuffix(expected[0]) for name in weights if f".{name}".endswith(f".{expected[0]}")}
    whole = [prefix for prefix in prefixes if all(prefix + name in weights for name in expected)]
    if len(whole) != 1 or "" in whole:
        return dict(weights)
    return {name.removeprefix(whole[0]): value for name, value in weights.items() if name.startswith(whole[0])}


def mismatches(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """Return a description of missing, unknown and misshapen tensors; empty if all names and shapes agree."""
    return _summary(
        {
            "missing": [name for name in expected if name not in weights],
            "unknown": [name for name in weights if name not in expected],
            "of the wrong shape": [
                f"{name} (expected {list(value.shape)}, got {list(weights[name].shape)})"
                for name, value in expected.items()
                if name in weights and weights[name].shape != value.shape
            ],
        }
    )


def type_mismatches(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """Return a description of integers in place of floating-point numbers, or vice versa; empty if there are none."""
    names = [
        f"{name} (expected {value.dtype}, got {weights[name].dtype})"
        for name, value in expected.items()
        if name in weights and weights[name].is_floating_point() != value.is_floating_point()
    ]
    return _summary({"of the wrong type": names})


def _summary(problems: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{len(names)} {kind}: {listing(names, limit=3)}" for kind, names in problems.items() if names)
