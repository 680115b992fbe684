"""Image-level labels in, pixel masks out: a staged, resumable weakly-supervised segmentation pipeline."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("wsss")
except PackageNotFoundError:  # a source tree on sys.path that was never installed
    __version__ = "0+unknown"
