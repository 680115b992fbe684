"""Checks of inputs and ground truth before a run starts or an earlier result is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput, listing
from wsss.io.files.stage_files import CAMS, cam_path

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample

MAKE_MASKS = "Create masks for the same splits first (--splits)."


def require_maps(folder: Path, samples: Sequence[Sample]) -> None:
    """Require class activation maps of every image.

    Raises:
        InvalidInput: lists the images without maps.
    """
    missing = [sample.id for sample in samples if not cam_path(folder, sample.id).is_file()]
    if missing:
        inside = folder.name == CAMS or any((folder / f"{name}.npz").is_file() for name in missing)
        raise InvalidInput(
            f"no maps for {len(missing)} of {len(samples)} images: {listing(missing)}",
            subject=folder,
            hint=f"Pass the folder that contains {CAMS}/ID.npz."
            if inside
            else "Compute maps for these splits first (cam, --splits).",
        )


def require_truth(data: Dataset, splits: Sequence[str], *, where: str, hint: str) -> None:
    """Require ground-truth masks of all images of some splits, and that one of them shows a class.

    Args:
        where: stage or key that needs the masks, for messages.

    Raises:
        InvalidInput: masks are missing or broken, or no pixel has a class.
    """
    from wsss.data.masks.ground_truth import check_truth, require_masks

    samples = data.samples(splits)
    of = f"split {splits[0]!r}" if len(splits) == 1 else f"splits {listing(splits)}"
    require_masks(data, samples, of=of, hint=hint, start=f"{where}: ")
    check_truth(samples, data.classes, where=f"{where}: {of}")
