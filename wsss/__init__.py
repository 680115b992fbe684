"""Image-level labels in, pixel masks out: a staged, resumable weakly-supervised segmentation pipeline.

``wsss.load_segmenter(folder)(image)`` returns a trained network's mask of an image, ``wsss.run_pipeline(file)`` runs a
pipeline. Losses, scores and topology are in `wsss.losses`, `wsss.metrics` and `wsss.topology`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss import errors as errors
    from wsss import losses as losses
    from wsss import metrics as metrics
    from wsss import stages as stages
    from wsss import topology as topology
    from wsss.predictor import Predictor, load_segmenter
    from wsss.whole_run import run_pipeline

    __version__: str

__all__ = ["Predictor", "__version__", "load_segmenter", "run_pipeline"]

_MODULES = {"Predictor": "predictor", "load_segmenter": "predictor", "run_pipeline": "whole_run"}
_SUBMODULES = ("errors", "losses", "metrics", "stages", "topology")


def __getattr__(name: str) -> object:
    """Import submodules, NumPy and torch only on access, so that ``import wsss`` is fast."""
    if name == "__version__":
        return _version()
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """List public names that are not yet imported, too, for tab completion."""
    return sorted({*globals(), *__all__, *_SUBMODULES})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("wsss")
    except PackageNotFoundError:  # a source tree that is not installed
        return "0+unknown"
