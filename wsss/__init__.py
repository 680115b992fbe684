"""Image-level labels in, pixel masks out: a staged, resumable weakly-supervised segmentation pipeline.

``wsss.load_segmenter(folder)(image)`` is a trained network's mask of an image; see `wsss.predictor`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss.predictor import Predictor, load_segmenter

    __version__: str

__all__ = ["Predictor", "__version__", "load_segmenter"]


def __getattr__(name: str) -> object:
    """Import what needs NumPy and torch, and the version, only when it is asked for: ``import wsss`` stays light."""
    if name == "__version__":
        return _version()
    if name in ("Predictor", "load_segmenter"):
        from wsss import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("wsss")
    except PackageNotFoundError:  # a source tree on sys.path that was never installed
        return "0+unknown"
