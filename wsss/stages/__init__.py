"""The stages, one file each, with a `wsss.pipeline.stage.Stage` called ``STAGE``; other packages may add more.

`STAGES` is the table: a new stage is a file here and a line in `HELP`, or an entry point ``wsss.stages`` of another
package. Nothing is imported before it is looked up.
"""

from __future__ import annotations

from typing import Any

from wsss.errors import InvalidInput
from wsss.extensions import Entry, Extensions, check_named

HELP = {
    "tiles": "Extract random tiles from images, with image-level labels from masks or answers.",
    "classify": "Train an image-level classifier for class activation maps.",
    "expand": "Train the expansion sampler, for maps that cover more of each object.",
    "shrink": "Train the shrinkage sampler, for maps with fewer false positives in the background.",
    "cam": "Compute class activation maps.",
    "clip": "Compute maps with a CLIP model and text prompts, without training.",
    "colour": "Use a colour channel as maps: a baseline without labels.",
    "average": "Average the class activation maps of several classifiers.",
    "affinity": "Train a boundary network, which provides the affinities for propagate.",
    "propagate": "Propagate maps to object boundaries by a random walk.",
    "par": "Refine maps with pixel-adaptive refinement.",
    "pseudo": "Create pseudo masks from maps with a label-free threshold policy.",
    "crf": "Refine masks with a dense CRF.",
    "snap": "Align masks with class-agnostic segments (from SAM, or superpixels).",
    "segment": "Train a segmentation network on pseudo masks or ground truth.",
    "scales": "Choose the scales of prediction without ground truth, by agreement with pseudo masks.",
    "calibrate": "Reweight a network's background, so that its masks contain as much foreground as its training masks.",
    "predict": "Predict masks for a split or a folder of images.",
    "score": "Score masks against the ground truth (mIoU, topology …).",
    "sweep": "ORACLE: score maps against the ground truth at every threshold.",
    "compare": "Compare the scores of a matrix: mean ± std over seeds, intervals, differences.",
    "bench": "Compare losses on TopoMortar from a matrix of scores: tables, tests, plots.",
    "report": "Write an HTML report of a run: images, scores, curves, settings.",
}
"""Stage → its help line, in the order of a pipeline."""


class StageRegistry(Extensions):
    """Stage name → `Stage`; imported when it is looked up."""

    def __init__(self) -> None:
        super().__init__("wsss.stages", {name: f"{__name__}.{name}:STAGE" for name in HELP}, _check)

    def help_of(self, name: str) -> str:
        """Return a stage's help line; only stages of other packages are imported for it."""
        if name in HELP:
            return HELP[name]
        try:
            return str(self[name].help)
        except InvalidInput:  # a broken package must not break the list of commands
            return "Can't be used; see wsss plugins."


def _check(entry: Entry, loaded: Any) -> None:
    """Require a stage of the entry's name: the name is part of the identity of results."""
    from wsss.pipeline.stage import Stage

    check_named(entry, loaded, Stage)


STAGES = StageRegistry()
