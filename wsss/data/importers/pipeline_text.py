"""The text of a pipeline file: YAML with a reason beside every choice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.data.importers.recipe import Recipe

IMAGENET, NONE = "imagenet", "none"


@dataclass(frozen=True)
class Setting:
    """What a pipeline is about.

    Args:
        name: of the pipeline.
        description: one line.
        root: folder of the label table, the class list and the split lists.
        images: folder of the images.
        files: name of the table id → file, or ``None``.
        splits: names of the splits; ``train`` is one of them.
        unlabelled: the split without labels, if there is one (not among ``splits``).
        weights: ``"imagenet"``, ``"none"``, or a file.
        recipe: see `Recipe`.
    """

    name: str
    description: str
    root: Path
    images: Path
    files: str | None
    splits: Sequence[str]
    unlabelled: str | None
    weights: str | Path
    recipe: Recipe


def pipeline_text(setting: Setting) -> str:
    """Return the pipeline as YAML."""
    predicted = [*setting.splits, *([setting.unlabelled] if setting.unlabelled else [])]
    trained = _pretrained(setting) if setting.weights != NONE else _from_scratch(setting)
    return "\n".join([_head(setting), _data(setting, predicted), "stages:", trained, _rest(setting, predicted), ""])


def quoted(value: object) -> str:
    """Return a text as YAML holds it whatever is in it (a JSON string is one)."""
    return json.dumps(str(value), ensure_ascii=False)


def _head(setting: Setting) -> str:
    return f"""\
# {setting.description}; written by `wsss init`.
# Everything here may be changed, in this file or for one run:  --set classify.epochs=10
# What is finished and not affected by a change is kept. `wsss STAGE --help` explains the settings of a stage.
name: {quoted(setting.name)}
description: {quoted(setting.description)}
seed: 0"""


def _data(setting: Setting, splits: Sequence[str]) -> str:
    files = [f"  files: {setting.files}                     # which file each image id stands for"] * bool(
        setting.files
    )
    lines = [
        "",
        "data:",
        "  layout: folder",
        f"  root: {quoted(setting.root)}",
        "  labels: image_labels.csv              # beside it in root: classes.txt, splits/*.txt",
        f"  images: {quoted(setting.images)}   # they stay where they are",
        *files,
        f"  splits: [{', '.join(quoted(name) for name in splits)}]",
        "  # classes: [a, b]                     # keeps these classes only",
        "  # masks: FOLDER                       # true masks ID.png (values as in classes.txt), only for scoring",
        "",
    ]
    return "\n".join(lines)


def _val(setting: Setting) -> str:
    return "\n      val: val" if "val" in setting.splits else ""


def _train_side(recipe: Recipe) -> str:
    """Return the line with the working size of a training stage; nothing where no image is larger."""
    return f"\n      max_side: {recipe.train_side}" if recipe.train_side else ""


def _pretrained(setting: Setting) -> str:
    recipe = setting.recipe
    side = _train_side(recipe)
    if setting.weights == IMAGENET:
        weights = """\
        # torchvision's ImageNet weights: 14 MB, downloaded at the first run. Without a network put them here as a file
        # (weights: {path: FILE}; with mean: [R, G, B], std: [R, G, B] where they expect other than ImageNet's usual
        # ones), or start from random weights (wsss init … --weights none): that needs far more images and epochs.
        weights: imagenet"""
    else:
        weights = f"""\
        # Key names as in torchvision. If the file expects another normalisation than ImageNet's usual one, add
        # mean: [R, G, B], std: [R, G, B] (in 0 … 1) beside path.
        weights: {{path: {quoted(setting.weights)}}}"""
    area = (
        f"{{size: {recipe.classify_crop}, method: resized_crop, area: [0.5, 1.0]}}"
        if recipe.small
        else f"{{size: {recipe.classify_crop}, method: scale_crop, longer_side: [170, 430]}}"
    )
    return f"""\
  # A classifier that learns which classes are in an image.
  classify:
    uses: classify
    with:
      backbone: &backbone
        name: mobilenet_v2
        output_stride: 16
        freeze_batchnorm: true             # few images can't replace ImageNet's statistics
{weights}
      epochs: {recipe.classify_epochs}
      batch_size: {recipe.batch}
      optimiser: {{name: adamw, lr: 1.0e-4, head_lr_factor: 10, weight_decay: 1.0e-4}}
      augmentation: &crop {area}{side}{_val(setting)}

  # Two samplers (ESOL) make its maps cover more of each object. To do without: --set expand.enabled=false
  # --set shrink.enabled=false
  expand:
    uses: expand
    needs: [classify]
    with:
      preset: expand/mobilenet_v2_bnfolded
      epochs: {recipe.sampler_epochs}
      batch_size: {recipe.batch}
      augmentation: *crop{side}

  shrink:
    uses: shrink
    needs: [expand]
    with:
      preset: shrink/mobilenet_v2_bnfolded
      epochs: {recipe.sampler_epochs}
      batch_size: {recipe.batch}
      augmentation: *crop{side}
{_masks(setting)}
  # A network learns from those masks; it starts from the classifier's trunk.
  segment:
    uses: segment
    needs: [crf, classify]
    with:
      backbone: *backbone
      head: deeplabv3
      epochs: {recipe.segment_epochs}
      batch_size: {recipe.batch}
      optimiser: {{name: adamw, lr: 2.0e-4, head_lr_factor: 5, weight_decay: 1.0e-2}}
      augmentation: {{size: {recipe.segment_crop}, scale: [{recipe.train_scales[0]}, {recipe.train_scales[1]}]}}{side}
"""


def _from_scratch(setting: Setting) -> str:
    recipe = setting.recipe
    side = _train_side(recipe)
    return f"""\
  # A classifier that learns which classes are in an image, from random weights: this wants thousands of images, or
  # classes that are easy to tell apart. Initial weights are nearly always better (wsss init … --weights imagenet|FILE).
  classify:
    uses: classify
    with:
      backbone: &backbone {{name: resnet18, output_stride: 16, weights: none}}
      epochs: {recipe.classify_epochs}
      batch_size: {recipe.batch}
      optimiser: &optimiser {{name: adamw, lr: 2.0e-3, head_lr_factor: 1, weight_decay: 1.0e-3}}
      schedule: &schedule {{warmup_steps: 30}}
      augmentation: &crop {{size: {recipe.classify_crop}, method: resized_crop, area: [0.5, 1.0]}}{side}{_val(setting)}

  # Two samplers (ESOL) make its maps cover more of each object. To do without: --set expand.enabled=false
  # --set shrink.enabled=false
  expand:
    uses: expand
    needs: [classify]
    with:
      preset: expand/small
      epochs: {recipe.sampler_epochs}
      batch_size: {recipe.batch}
      augmentation: *crop{side}

  shrink:
    uses: shrink
    needs: [expand]
    with:
      preset: shrink/small
      epochs: {recipe.sampler_epochs}
      batch_size: {recipe.batch}
      augmentation: *crop{side}
{_masks(setting)}
  # A network learns from those masks.
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
      augmentation: {{size: {recipe.segment_crop}, scale: [{recipe.train_scales[0]}, {recipe.train_scales[1]}]}}{side}
"""


def _masks(setting: Setting) -> str:
    recipe = setting.recipe
    scales = "scales: [1, 1.5], stride: 2" if recipe.small else "scales: [1, 0.5, 1.5, 2]"
    return f"""
  # Maps of where each class is, then masks by a threshold per class (no pixel label is used), then dense CRF.
  cam: {{uses: cam, needs: [shrink], with: {{splits: [train], {scales}, max_side: {recipe.max_side}}}}}

  pseudo: {{uses: pseudo, needs: [cam], with: {{preset: pseudo/otsu_li, splits: [train]}}}}

  crf: {{uses: crf, needs: [pseudo, cam], with: {{preset: crf/irn, splits: [train], max_side: {recipe.crf_side}}}}}
"""


def _rest(setting: Setting, predicted: Sequence[str]) -> str:
    recipe = setting.recipe
    scales = "scales: [1]" if recipe.small else "scales: [0.5, 0.75]"
    names = ", ".join(quoted(name) for name in predicted)
    return f"""\
  # Masks of all images: predict/masks/ID.png in the run's folder.
  predict:
    uses: predict
    needs: [segment]
    with: {{splits: [{names}], {scales}, flip: true, max_side: {recipe.max_side}}}

  # With true masks of some images (data.masks), this says how good the masks are:
  # score: {{uses: score, needs: [predict], with: {{split: val}}}}

  # Images of these splits; maps, pseudo masks and CRF exist for train.
  report:
    uses: report
    needs: [classify, expand, shrink, cam, pseudo, crf, segment, predict]
    with: {{splits: [{names}]}}"""
