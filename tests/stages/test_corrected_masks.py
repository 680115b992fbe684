"""Corrected masks in stages: they win where they are labelled, seed the CRF, and have a weight in the loss."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import CLASSES, coloured_dataset, contents, run_stage, write_maps
from torch import Tensor, nn

from wsss.data.classes import Classes
from wsss.data.corrections.corrected_pixels import CorrectedMasks, overridden_probabilities
from wsss.data.corrections.correction_folder import open_corrections, write_corrections
from wsss.data.dataset import Dataset
from wsss.data.image_transforms.augmentation import SegmentationAugmentation
from wsss.data.truth import read_truth
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.io.rasters.probabilities import write_probabilities
from wsss.losses.base import build_loss
from wsss.losses.config import CrossEntropyConfig
from wsss.pipeline.config.resources import names, shipped
from wsss.pipeline.config.source import parse_yaml, read_yaml
from wsss.pipeline.config.spec import spec_from
from wsss.pipeline.plan.graph import build_jobs
from wsss.pipeline.plan.identity import Contents, Fingerprints, identity_of, identity_parts
from wsss.pipeline.run.items import map_items
from wsss.pipeline.stage import Artifact
from wsss.stages import STAGES
from wsss.stages.affinity import STAGE as AFFINITY
from wsss.stages.crf import STAGE as CRF
from wsss.stages.pseudo import STAGE as PSEUDO
from wsss.stages.segment import STAGE as SEGMENT
from wsss.stages.segment import SegmentConfig
from wsss.train.config import DeepSupervisionConfig
from wsss.train.corrected_examples import CorrectedExamples, weighted_mask_loss
from wsss.train.image_cache import ArrayCache
from wsss.train.tasks.segmentation import PairLoader, SegmentationExamples, mask_loss
from wsss.train.tasks.soft import SoftPairLoader
from wsss.train.training_job import Batch

FIXED = {"policy": {"name": "fixed", "foreground": 0.5, "background": 0.5}}
NONE, GREEN = 255, 2


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", train=3, val=1)


@pytest.fixture
def corrections(tmp_path: Path, data: Dataset) -> Path:
    """A full mask of train0, and a partial one of train1, whose class GREEN its pseudo mask does not show."""
    full = np.zeros((36, 44), np.uint8)
    full[:10, :10] = GREEN
    partial = np.full((36, 44), NONE, np.uint8)
    partial[30:, 30:], partial[:5, :20] = GREEN, 0
    masks = {"train0": full, "train1": partial}
    write_corrections(tmp_path / "corrections", CLASSES, masks.items(), dict.fromkeys(masks, ("folder", "x")))
    return tmp_path / "corrections"


def corrected(folder: Path, id: str) -> np.ndarray:
    mask = open_corrections(folder).read(id)
    assert mask is not None
    return mask


def mask_of(folder: Path, id: str) -> np.ndarray:
    return CLASSES.encode(read_mask(mask_path(folder, id)), where=id)


def test_pseudo_masks_are_overridden_where_corrections_are_labelled(tmp_path, data, corrections):
    cams = write_maps(tmp_path / "cams", data)
    run_stage(PSEUDO, FIXED, tmp_path / "before", data, cams=cams)
    result = run_stage(PSEUDO, {**FIXED, "corrections": corrections}, tmp_path / "after", data, cams=cams)
    for id in ("train0", "train1"):
        before, known = mask_of(tmp_path / "before", id), corrected(corrections, id)
        assert np.array_equal(mask_of(tmp_path / "after", id), np.where(known == NONE, before, known))
        assert not np.array_equal(mask_of(tmp_path / "after", id), before)
    assert mask_path(tmp_path / "after", "train2").read_bytes() == mask_path(tmp_path / "before", "train2").read_bytes()
    labelled = 36 * 44 + 6 * 14 + 5 * 20
    numbers = {"images": 2, "of": 3, "labelled_fraction": labelled / (2 * 36 * 44)}
    assert result.metrics["corrected_masks"] == pytest.approx(numbers)
    assert "2 of 3 training images" in result.provenance["corrected_masks"]
    assert result.provenance["supervision"].endswith("corrected masks")


def test_a_task_for_a_worker_process_has_the_correction_of_its_image_only(tmp_path, data, corrections, monkeypatch):
    """Records of all images, sent with every image, would take time quadratic in their number."""
    sent: list[tuple[str, list[str]]] = []

    def record(ctx, tasks, work, description, **options):
        sent.extend((task.id, sorted(task.corrections.images)) for task in tasks)
        assert b"train0" not in pickle.dumps(work)
        return map_items(ctx, tasks, work, description, **options)

    monkeypatch.setattr("wsss.stages.common.mask_stages.map_items", record)
    cams = write_maps(tmp_path / "cams", data)
    run_stage(PSEUDO, {**FIXED, "corrections": corrections}, tmp_path / "pseudo", data, cams=cams)
    assert sent == [("train0", ["train0"]), ("train1", ["train1"]), ("train2", [])]


@pytest.mark.parametrize("unary", ["labels", "softmax"])
@pytest.mark.parametrize("max_side", [1024, 24])
def test_corrected_pixels_seed_the_crf(unary, max_side, tmp_path, data, corrections):
    cams = write_maps(tmp_path / "cams", data)
    run_stage(PSEUDO, FIXED, tmp_path / "pseudo", data, cams=cams)
    inputs = {"masks": tmp_path / "pseudo", "cams": cams}
    config = {"unary": unary, "max_side": max_side, "iterations": 3}
    run_stage(CRF, config, tmp_path / "before", data, **inputs)
    result = run_stage(CRF, {**config, "corrections": corrections}, tmp_path / "after", data, **inputs)
    for id in ("train0", "train1"):
        known = corrected(corrections, id)
        assert (mask_of(tmp_path / "after", id) == known)[known != NONE].all()
    assert mask_path(tmp_path / "after", "train2").read_bytes() == mask_path(tmp_path / "before", "train2").read_bytes()
    assert result.metrics["corrected_masks"]["images"] == 2


def test_the_crf_of_maps_states_no_corrections_that_it_does_not_use(tmp_path, data, corrections):
    """It computes the masks from the maps again, so that corrections of the pseudo masks are lost."""
    cams = write_maps(tmp_path / "cams", data)
    run_stage(PSEUDO, FIXED, tmp_path / "others", data, cams=cams)
    run_stage(PSEUDO, {**FIXED, "corrections": corrections}, tmp_path / "pseudo", data, cams=cams)
    stated = {"supervision": "labels and corrected masks", "corrected_masks": "2 of 3 training images …"}
    of_maps = {"corrected_masks": "of the network of affinities"}

    def refined(out: str, masks: str, of_cams: dict[str, str], config: dict[str, Any] | None = None) -> Any:
        inputs = {
            "masks": Artifact(tmp_path / masks, provenance=stated if masks == "pseudo" else {}),
            "cams": Artifact(cams, provenance=of_cams),
        }
        settings = {"iterations": 1, **(config or {})}
        found = run_stage(CRF, settings, tmp_path / out, data, **inputs).provenance
        return found.get("supervision"), found.get("corrected_masks")

    assert refined("a", "pseudo", {}) == ("labels", None)
    assert refined("b", "others", {}) == (None, None)
    assert mask_path(tmp_path / "a", "train0").read_bytes() == mask_path(tmp_path / "b", "train0").read_bytes()
    assert refined("c", "pseudo", of_maps) == (stated["supervision"], of_maps["corrected_masks"])
    supervision, own = refined("d", "pseudo", {}, {"corrections": corrections})
    assert supervision == stated["supervision"] and own.startswith("2 of 3 training images have")


def test_the_crf_spreads_a_scribble_to_pixels_of_the_same_colour(tmp_path):
    """A class that neither labels nor maps know: from one row of certain pixels it fills the square of their colour."""
    from wsss.io.rasters.rgb_images import write_png

    data = coloured_dataset(tmp_path / "data", train=1, val=0)
    image = np.full((36, 44, 3), 100, np.uint8)
    image[10:20, 10:20] = (20, 200, 20)
    write_png(data.split("train")[0].image, image)
    scribble = np.full((36, 44), NONE, np.uint8)
    scribble[14, 11:19], scribble[2, 2:40] = GREEN, 0
    write_corrections(tmp_path / "c", CLASSES, {"train0": scribble}.items(), {"train0": ("folder", "x")})
    write_mask(tmp_path / "m" / "train0.png", np.where(np.indices((36, 44))[1] < 2, 40, 255).astype(np.uint8))
    run_stage(CRF, {"corrections": tmp_path / "c"}, tmp_path / "out", data, masks=tmp_path / "m")
    square = mask_of(tmp_path / "out", "train0")[10:20, 10:20]
    assert (square == GREEN).mean() > 0.95


def test_refined_predictions_keep_the_statement_of_their_network(tmp_path, data, corrections):
    """Masks of a network that was trained on corrections, refined on images with and without corrections."""
    from learning import Silent

    from wsss.pipeline.processes.ranks import SingleRank
    from wsss.pipeline.stage import Context
    from wsss.stages.common.corrected_masks import stated_corrections, stated_network

    masks = Artifact(tmp_path, provenance={"segmenter": "x", "corrected_masks": "2 of 3 training images …"})
    config = CRF.config.model_validate({"corrections": corrections})
    more = (0, "cpu", 0, Silent(), SingleRank(), print, tmp_path)
    context = Context(config, tmp_path, {"masks": masks}, data, *more)
    network = stated_network(masks)
    assert stated_corrections(context, data.split("val"), "images of val", "labels", network)[1] == {}
    stated = stated_corrections(context, data.split("train"), "images of train", "labels", network)[1]
    assert network in stated["corrected_masks"] and "2 of 3 images of train" in stated["corrected_masks"]
    assert stated_network(Artifact(tmp_path, provenance={"corrected_masks": "x"})) is None


@pytest.mark.parametrize("own", [False, True])
def test_the_crf_of_predictions_takes_no_corrections_from_the_block(own, corrections):
    """Its scores would measure the corrections; its own setting decides otherwise."""
    setting = f", with: {{corrections: '{corrections}'}}" if own else ""
    text = f"""
name: two
supervision: {{corrections: '{corrections}'}}
stages:
  classify: {{uses: classify}}
  cam: {{uses: cam, needs: [classify]}}
  pseudo: {{uses: pseudo, needs: [cam]}}
  crf: {{uses: crf, needs: [pseudo]}}
  segment: {{uses: segment, needs: [crf], with: {{head: dynunet}}}}
  predict: {{uses: predict, needs: [segment]}}
  refined: {{uses: crf, needs: [predict]{setting}}}
"""
    jobs = build_jobs(spec_from(parse_yaml(text, "p.yaml")), STAGES)
    used = {id: job.config.corrections for id, job in jobs.items() if hasattr(job.config, "corrections")}
    others = dict.fromkeys(("pseudo", "crf", "segment"), corrections)
    assert used == {**others, "refined": corrections if own else None}


@pytest.mark.slow
def test_results_do_not_depend_on_workers(tmp_path, data, corrections):
    cams = write_maps(tmp_path / "cams", data)
    for workers in (0, 2):
        out = tmp_path / str(workers)
        run_stage(PSEUDO, {**FIXED, "corrections": corrections}, out, data, cams=cams, workers=workers)
    assert contents(tmp_path / "0") == contents(tmp_path / "2")


def test_training_masks_are_overridden(tmp_path, data, corrections):
    samples = data.split("train")
    ids = [sample.id for sample in samples]
    load = PairLoader(samples, CLASSES, corrected=CorrectedMasks(ids, open_corrections(corrections)))
    plain = PairLoader(samples, CLASSES)
    for index, id in enumerate(ids):
        known = CorrectedMasks(ids, open_corrections(corrections))(index, (36, 44))
        expected = plain(index)[..., 3] if known is None else np.where(known == NONE, plain(index)[..., 3], known)
        assert np.array_equal(load(index)[..., 3], expected), id


@pytest.mark.parametrize("max_side", [44, 29, 11])
def test_thin_lines_remain_in_reduced_training_images(max_side, tmp_path, data):
    """Every reduced pixel that stands for a pixel of the line is labelled."""
    line = np.full((36, 44), NONE, np.uint8)
    line[np.arange(36), np.arange(36)] = GREEN
    write_corrections(tmp_path / "c", CLASSES, {"train0": line}.items(), {"train0": ("folder", "x")})
    known = CorrectedMasks(["train0"], open_corrections(tmp_path / "c"))
    load = PairLoader(data.split("train")[:1], CLASSES, max_side, corrected=known, marked=True)
    marked = load(0)[..., 4]
    height, width = marked.shape
    assert max(height, width) == max_side
    for at in range(36):
        assert marked[at * height // 36, at * width // 44] == GREEN
    assert (load(0)[..., 3] == GREEN)[marked == GREEN].all()


def test_soft_targets_are_overridden(tmp_path, data, corrections):
    samples = data.split("train")
    for sample in samples:
        write_probabilities(tmp_path / f"{sample.id}.npz", np.full((3, 36, 44), 1 / 3, np.float16))
    pairs = [(sample.source, tmp_path / f"{sample.id}.npz") for sample in samples]
    load = SoftPairLoader(
        pairs, CLASSES, corrected=CorrectedMasks([s.id for s in samples], open_corrections(corrections))
    )
    for index, sample in enumerate(samples):
        known = open_corrections(corrections).read(sample.id)
        found = np.ascontiguousarray(load(index)[..., 3:]).view(np.float16)
        expected = np.full((36, 44, 3), np.float16(1 / 3))
        if known is not None:
            expected[known != NONE] = np.eye(3)[known[known != NONE]]
        assert np.array_equal(found, expected)


def test_probabilities_are_certain_where_corrections_are_labelled(tmp_path, corrections):
    known = corrected(corrections, "train1")
    before = np.full((3, 36, 44), 1 / 3, np.float16)
    after = overridden_probabilities(before, known)
    assert (after[:, known == NONE] == before[:, known == NONE]).all()
    assert (after.argmax(0) == known)[known != NONE].all() and (after.sum(0)[known != NONE] == 1).all()


class Fixed(nn.Module):
    """A network whose logits are its parameters."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits


def collated(images: Tensor, mask: Tensor, corrected: Tensor) -> Batch:
    return CorrectedExamples.collate(list(zip(images, mask, corrected, strict=True)))


def batch(seed: int = 0) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 16, 16, generator=generator)
    mask = torch.randint(0, 3, (2, 16, 16), generator=generator)
    mask[:, :3] = NONE
    corrected = torch.where(torch.rand(2, 16, 16, generator=generator) < 0.3, mask, NONE)
    return logits, (torch.zeros(2, 3, 16, 16), mask.to(torch.uint8), corrected.to(torch.uint8))


def test_corrected_pixels_count_as_several_in_the_cross_entropy():
    logits, (images, mask, corrected) = batch()
    compute = weighted_mask_loss(build_loss(CrossEntropyConfig()), DeepSupervisionConfig(), 4.0)
    loss = compute(Fixed(logits), collated(images, mask, corrected))
    each = torch.nn.functional.cross_entropy(logits, mask.long(), ignore_index=NONE, reduction="none")
    weights = torch.where(corrected != NONE, 4.0, 1.0)
    assert loss.item() == pytest.approx(((each * weights).sum() / (mask != NONE).sum()).item(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names(shipped("configs")) if name.startswith("loss/")])
def test_every_loss_takes_weights(name):
    value = read_yaml(next(shipped("configs").glob(f"{name}.y*ml"))).value
    if "loss" not in value:
        pytest.skip("a part of a preset")
    config = SegmentConfig.model_validate({"loss": {"name": value["loss"]["name"]}})
    loss, plain = build_loss(config.loss), mask_loss(build_loss(config.loss), DeepSupervisionConfig())
    logits, full = batch()
    network = Fixed(logits[:, :2] if loss.config.name in ("betti_matching",) else logits)
    full = tuple(part.clamp(max=1) if part.ndim == 3 and network.logits.shape[1] == 2 else part for part in full)
    value = weighted_mask_loss(loss, DeepSupervisionConfig(), 3.0)(network, collated(*full))
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(network.logits.grad).all()
    assert value.item() != pytest.approx(plain(network, full[:2]).item())
    without = (full[0], full[1], torch.full_like(full[2], NONE))
    same = weighted_mask_loss(loss, DeepSupervisionConfig(), 3.0)(network, collated(*without))
    assert same.item() == plain(network, full[:2]).item()


def test_marked_pixels_are_cropped_like_the_mask(data, corrections):
    samples, settings = data.split("train"), {"size": 24, "scale": (0.5, 2.0), "colour": None}
    corrected_masks = CorrectedMasks([sample.id for sample in samples], open_corrections(corrections))
    marked = ArrayCache(PairLoader(samples, CLASSES, corrected=corrected_masks, marked=True), 3, cache_bytes=1 << 20)
    plain = ArrayCache(PairLoader(samples, CLASSES, corrected=corrected_masks), 3, cache_bytes=1 << 20)
    augmentation = SegmentationAugmentation.model_validate(settings)
    weighted, unweighted = CorrectedExamples(marked, augmentation), SegmentationExamples(plain, augmentation)
    seen = 0
    for index in range(3):
        for seed in range(5):
            image, mask, corrected = weighted[index, seed]
            assert torch.equal(image, unweighted[index, seed][0]) and torch.equal(mask, unweighted[index, seed][1])
            assert (mask == corrected)[corrected != NONE].all()
            seen += int((corrected != NONE).sum())
            assert index < 2 or (corrected == NONE).all()
    assert seen


TRAINING: dict[str, Any] = {
    "head": "dynunet",
    "unet": {"levels": 3, "filters": [4, 8, 8], "deep_supervision": 1},
    "steps": 2,
    "batch_size": 2,
    "augmentation": {"size": 32},
}


def test_segment_states_and_uses_corrections(tmp_path, data, corrections):
    masks = tmp_path / "data" / "masks"
    plain = run_stage(SEGMENT, TRAINING, tmp_path / "plain", data, masks=masks)
    assert "corrected_masks" not in {**plain.metrics, **plain.provenance}
    corrected = {**TRAINING, "corrections": corrections}
    one = run_stage(SEGMENT, corrected, tmp_path / "one", data, masks=masks)
    three = run_stage(SEGMENT, {**corrected, "correction_weight": 3}, tmp_path / "three", data, masks=masks)
    assert len({one.metrics["train_loss"], three.metrics["train_loss"], plain.metrics["train_loss"]}) == 3
    for result in (one, three):
        assert "2 of 3 training images" in result.provenance["corrected_masks"]
    assert three.provenance["correction_weight"] == 3 and "correction_weight" not in one.provenance


def test_masks_without_a_class_may_be_corrected(tmp_path, data, corrections):
    """Corrected masks alone show the classes: external masks are unlabelled everywhere."""
    for sample in data.split("train"):
        write_mask(tmp_path / "m" / f"{sample.id}.png", np.full((36, 44), NONE, np.uint8))
    with pytest.raises(InvalidInput):
        run_stage(SEGMENT, TRAINING, tmp_path / "plain", data, masks=tmp_path / "m")
    result = run_stage(SEGMENT, {**TRAINING, "corrections": corrections}, tmp_path / "c", data, masks=tmp_path / "m")
    assert result.metrics["empty_masks"] == 1  # only train2 has no corrected mask


@pytest.mark.parametrize(
    ("config", "subject", "named"),
    [
        ({"correction_weight": 2}, "segment", "correction_weight "),
        ({"corrections": "c", "correction_weight": 0.5}, "segment.correction_weight", ""),
        ({"corrections": "c", "labels": "ground-truth"}, "segment", "corrections: "),
        ({"corrections": "c", "correction_weight": 2, "labels": "soft"}, "segment", "correction_weight: "),
    ],
)
def test_settings_without_effect_are_refused(config, subject, named, data, tmp_path):
    with pytest.raises(InvalidInput) as caught:
        run_stage(SEGMENT, {**TRAINING, **config}, tmp_path / "out", data)
    assert caught.value.subject == subject and caught.value.problem.startswith(named)


@pytest.mark.parametrize("stage", [PSEUDO, CRF, AFFINITY, SEGMENT], ids=lambda stage: stage.name)
def test_corrections_are_part_of_the_identity_by_their_content(stage, tmp_path, data, corrections):
    def parts(config: dict[str, Any]) -> Any:
        checked = stage.config.model_validate({**(TRAINING if stage is SEGMENT else {}), **config})
        return identity_parts(stage, checked, 0, {}, Fingerprints(data), Contents())

    plain, corrected = parts({}), parts({"corrections": corrections})
    assert "corrections" not in plain["config"]  # results of earlier versions stay valid
    assert identity_of(plain) != identity_of(corrected)
    moved = corrections.rename(tmp_path / "moved")
    assert identity_of(parts({"corrections": moved})) == identity_of(corrected)
    more = {"train2": np.zeros((36, 44), np.uint8)}
    write_corrections(moved, CLASSES, more.items(), {"train2": ("folder", "x")}, open_corrections(moved))
    assert identity_of(parts({"corrections": moved})) != identity_of(corrected)


def test_foreign_corrections_are_refused_before_anything_runs(tmp_path, data, corrections):
    cams = write_maps(tmp_path / "cams", data)
    others = coloured_dataset(tmp_path / "o", train=1, val=0, classes=Classes(CLASSES.names, ((0,), (41,), (90,))))
    unknown = {"elsewhere": np.zeros((36, 44), np.uint8)}
    write_corrections(tmp_path / "u", CLASSES, unknown.items(), {"elsewhere": ("folder", "x")})
    write_corrections(
        tmp_path / "s", CLASSES, {"train0": np.zeros((9, 9), np.uint8)}.items(), {"train0": ("folder", "x")}
    )
    for folder, dataset in ((corrections, others), (tmp_path / "u", data), (cams, data), (tmp_path / "s", data)):
        with pytest.raises(InvalidInput) as caught:
            run_stage(PSEUDO, {**FIXED, "corrections": folder}, tmp_path / "out", dataset, cams=cams)
        assert str(folder) in str(caught.value.subject)
    assert read_truth(data.split("train")[0], CLASSES).shape == (36, 44)
