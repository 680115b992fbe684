"""Comparison of the weights in a file with those that a network expects."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from wsss.errors import listing


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
