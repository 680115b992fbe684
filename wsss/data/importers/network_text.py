"""The second half of the text of a pipeline file: the segmentation network and its results."""

from __future__ import annotations

from collections.abc import Sequence

from wsss.data.importers.training_recipe import Recipe
from wsss.io.text.yaml_text import yaml_text


def quoted(value: object) -> str:
    """Return a value as a YAML string, whatever characters it has."""
    return yaml_text(str(value))


def side(recipe: Recipe) -> str:
    """Return the line with the working size of a training stage; none if no image is larger."""
    return f"\n      max_side: {recipe.train_side}" if recipe.train_side else ""


def segment(recipe: Recipe) -> str:
    """Return the stage that trains a network from the classifier's backbone."""
    low, high = recipe.train_scales
    return f"""\
  # Trains a segmentation network on these masks, starting from the classifier's backbone.
  segment:
    uses: segment
    needs: [crf, classify]
    with:
      backbone: *backbone
      head: deeplabv3
      epochs: {recipe.segment_epochs}
      batch_size: {recipe.batch}
      optimiser: {{name: adamw, lr: 2.0e-4, head_lr_factor: 5, weight_decay: 1.0e-2}}
      augmentation: {{size: {recipe.segment_crop}, scale: [{low}, {high}]}}{side(recipe)}
"""


def segment_from_scratch(recipe: Recipe) -> str:
    """Return the stage that trains a network from random weights."""
    low, high = recipe.train_scales
    return f"""\
  # Trains a segmentation network on these masks.
  segment:
    uses: segment
    needs: [crf]
    with:
      backbone: *backbone
      head: lraspp
      epochs: {recipe.segment_epochs}
      batch_size: {recipe.batch}
      optimiser: *optimiser
      schedule: *schedule
      augmentation: {{size: {recipe.segment_crop}, scale: [{low}, {high}]}}{side(recipe)}
"""


def calibrate(recipe: Recipe) -> str:
    """Return the stage that calibrates the network."""
    return f"""\
  # The network misses parts of objects in new images. The background is reweighted so that masks of val, whose labels
  # are not used, contain as much foreground as the training masks. Use this
  # network (calibrate, not segment) for other images. To skip the stage: --set calibrate.enabled=false
  calibrate:
    uses: calibrate
    needs: [segment, crf]
    with: {{splits: [val], {_views(recipe)}}}
"""


def _views(recipe: Recipe) -> str:
    """Return the settings of prediction."""
    return f"scales: [{'1' if recipe.small else '0.5, 0.75'}], flip: true, max_side: {recipe.max_side}"


def results(recipe: Recipe, splits: Sequence[str], *, walk: bool, network: str) -> str:
    """Return the prediction of some splits by the network of a stage, and the report."""
    maps = "cam, crf-sure, affinity, propagate" if walk else "cam"
    networks = "segment" if network == "segment" else f"segment, {network}"
    names = ", ".join(quoted(name) for name in splits)
    return f"""\
  # Masks of all images: predict/masks/ID.png in the run directory.
  predict:
    uses: predict
    needs: [{network}]
    with: {{splits: [{names}], {_views(recipe)}}}

  # Scores of the predicted masks; needs ground-truth masks (data.masks) of all images of the split. If only some images
  # have one, list their ids in splits/scored.txt, add scored to data.splits, and set split: scored. For scores in the
  # report, add score to its needs.
  # score: {{uses: score, needs: [predict], with: {{split: val}}}}

  # An HTML report: report/index.html in the run directory. Maps, pseudo masks and CRF masks exist for train only.
  report:
    uses: report
    needs: [classify, expand, shrink, {maps}, pseudo, crf, {networks}, predict]
    with: {{splits: [{names}]}}"""
