"""Versions of the packages that results depend on, from their metadata (nothing is imported)."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "wsss",
    "torch",
    "torchvision",
    "timm",
    "open_clip_torch",
    "monai",
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
    """Return package → version of the installed packages, and of Python."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed
