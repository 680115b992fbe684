"""Corrected masks in stages: they win where they are labelled, and seed the CRF."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning import CLASSES, SMALL_SEGMENTATION, coloured_dataset, contents, run_stage, write_corrected, write_maps

from wsss.data.classes import Classes
from wsss.data.corrections.correction_folder import open_corrections
from wsss.data.dataset import Dataset
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import mask_path
from wsss.io.rasters.label_masks import read_mask, write_mask
from wsss.pipeline.config.source import parse_yaml
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

FIXED = {"policy": {"name": "fixed", "foreground": 0.5, "background": 0.5}}
NONE, GREEN = 255, 2


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return coloured_dataset(tmp_path / "data", train=3, val=1)


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
    write_corrected(tmp_path / "c", {"train0": scribble})
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


@pytest.mark.parametrize("stage", [PSEUDO, CRF, AFFINITY, SEGMENT], ids=lambda stage: stage.name)
def test_corrections_are_part_of_the_identity_by_their_content(stage, tmp_path, data, corrections):
    def parts(config: dict[str, Any]) -> Any:
        checked = stage.config.model_validate({**(SMALL_SEGMENTATION if stage is SEGMENT else {}), **config})
        return identity_parts(stage, checked, 0, {}, Fingerprints(data), Contents())

    plain, corrected = parts({}), parts({"corrections": corrections})
    assert "corrections" not in plain["config"]  # results of earlier versions stay valid
    assert identity_of(plain) != identity_of(corrected)
    moved = corrections.rename(tmp_path / "moved")
    assert identity_of(parts({"corrections": moved})) == identity_of(corrected)
    write_corrected(moved, {"train2": np.zeros((36, 44), np.uint8)}, open_corrections(moved))
    assert identity_of(parts({"corrections": moved})) != identity_of(corrected)


def test_foreign_corrections_are_refused_before_anything_runs(tmp_path, data, corrections):
    cams = write_maps(tmp_path / "cams", data)
    others = coloured_dataset(tmp_path / "o", train=1, val=0, classes=Classes(CLASSES.names, ((0,), (41,), (90,))))
    unknown = write_corrected(tmp_path / "u", {"elsewhere": np.zeros((36, 44), np.uint8)})
    small = write_corrected(tmp_path / "s", {"train0": np.zeros((9, 9), np.uint8)})
    for folder, dataset in ((corrections, others), (unknown, data), (cams, data), (small, data)):
        with pytest.raises(InvalidInput) as caught:
            run_stage(PSEUDO, {**FIXED, "corrections": folder}, tmp_path / "out", dataset, cams=cams)
        assert str(folder) in str(caught.value.subject)
    assert read_sample_mask(data.split("train")[0], CLASSES).shape == (36, 44)
