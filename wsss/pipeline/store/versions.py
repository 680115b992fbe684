"""Versions of what results depend on, read from the installed packages' metadata (nothing is imported)."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "wsss",
    "torch",
    "torchvision",
    "lightning-fabric",
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "albumentations",
    "pydensecrf2",
    "pillow",
    "pydantic",
)


@functools.cache
def versions() -> Mapping[str, str]:
    """Return package → version of those that are installed, and Python's."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
