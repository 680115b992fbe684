"""Corrected masks in stages: their settings, checks and provenance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from wsss.errors import InvalidInput, listing
from wsss.pipeline.config.supervision_block import FromSupervision
from wsss.pipeline.stage import Artifact, Context

if TYPE_CHECKING:
    from wsss.data.corrections.correction_folder import Corrections
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample

CorrectionsFolder = Annotated[
    Path | None,
    Field(
        description="folder of corrected masks (see import-masks); their labelled pixels replace those of other masks"
    ),
    FromSupervision("corrections"),
]
"""Config field ``corrections`` of the stages that use corrected masks."""

CorrectionWeight = Annotated[
    float,
    Field(ge=1, le=1000, description="weight of corrected pixels in the loss; others have weight 1"),
    FromSupervision("weight"),
]

AND_CORRECTED = "and corrected masks"


def corrections_of(ctx: Context[Any]) -> Corrections | None:
    """Return the corrections that a stage uses, if any.

    Raises:
        InvalidInput: the folder has no valid record, or masks of other classes.
    """
    from wsss.data.corrections.correction_folder import open_corrections

    folder = ctx.config.corrections
    return None if folder is None else open_corrections(folder, ctx.data.classes)


def check_corrections(folder: Path | None, data: Dataset | None) -> None:
    """Reject a folder that has no valid record, or no mask of an image of the dataset; ``None``: nothing is checked.

    Raises:
        InvalidInput: see `open_corrections`; or the folder has no mask, or none of an image of the dataset.
    """
    from wsss.data.corrections.correction_folder import open_corrections

    if folder is None or data is None:
        return
    corrections = open_corrections(folder, data.classes)
    known = {sample.id for sample in data.all_samples()}
    if not known.intersection(corrections.images):
        raise InvalidInput(
            "none of the corrected images is in the dataset: "
            f"{listing(corrections.images) or 'the folder has no masks'}",
            subject=folder,
            hint="Import masks of this dataset: wsss import-masks SOURCE --run RUN",
        )


def inspect_corrections(folder: Path | None, data: Dataset | None, splits: Sequence[str]) -> None:
    """Read the corrected masks of all samples of some splits; ``None``: nothing is read.

    Stages call this before the first one of a pipeline starts, which may take hours, and again before they start.

    Raises:
        InvalidInput: a mask is missing, was changed, or differs in size from its image.
    """
    from wsss.data.corrections.correction_folder import open_corrections
    from wsss.io.rasters.rgb_images import image_size

    if folder is None or data is None:
        return
    corrections = open_corrections(folder, data.classes)
    for sample in data.samples(splits):
        if sample.id in corrections.images:
            corrections.read(sample.id, image_size(*sample.source))


def stated_corrections(
    ctx: Context[Any], samples: Sequence[Sample], images: str, supervision: str, network: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return entries for the metrics and for the provenance of a stage; empty if it uses no corrected masks.

    Args:
        samples: the images that it works on. If none of them is corrected, the provenance of its inputs stays valid.
        images: name of these images (``training images``).
        supervision: the supervision of its inputs.
        network: the statement of the network whose masks the stage refines, if any.
    """
    from wsss.data.corrections.corrected_pixels import coverage

    corrections = corrections_of(ctx)
    if corrections is None:
        return {}, {}
    found = coverage(corrections, [sample.id for sample in samples])
    counted = {"corrected_masks": found.metrics}
    if not found.images:
        return counted, {}
    if not supervision.endswith(AND_CORRECTED):
        supervision = f"{supervision} {AND_CORRECTED}"
    statement = found.statement(images)
    stated = f"network: {network}; refined: {statement}" if network else statement
    return counted, {"supervision": supervision, "corrected_masks": stated}


def stated_network(masks: Artifact) -> str | None:
    """Return the statement on corrected masks of the network that predicted masks; ``None`` for other masks."""
    return masks.provenance.get("corrected_masks") if "segmenter" in masks.provenance else None


def stated_by_maps(masks: Artifact, cams: Artifact | None) -> dict[str, Any]:
    """Return the provenance on corrections of masks that the CRF computes from maps; empty if nothing changes.

    Provenance is inherited from the input masks, but their corrected pixels have no effect on masks computed from maps.
    Their statement is therefore replaced by that of the maps.

    Args:
        masks: the input masks.
        cams: the maps; ``None`` if the input masks themselves are refined.
    """
    if cams is None or masks.provenance.get("corrected_masks") is None:
        return {}
    statement, supervision = cams.provenance.get("corrected_masks"), str(masks.provenance.get("supervision"))
    if statement is None:
        supervision = supervision.removesuffix(f" {AND_CORRECTED}")
    return {"supervision": supervision, "corrected_masks": statement}


def images_of(splits: Sequence[str]) -> str:
    """Return the name of the images of some splits in a statement."""
    return "training images" if tuple(splits) == ("train",) else f"images of {listing(splits)}"
