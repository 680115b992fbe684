"""``wsss import-masks``: from the export of a run to its folder of corrections."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from inprocess import document, refused, small_run, succeed

from wsss.data.readers.registry import open_dataset
from wsss.io.rasters.label_masks import read_mask, write_mask

QUICK = Path(__file__).parents[1] / "support" / "quick.yaml"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run of pseudo masks, as the working directory."""
    folder = tmp_path_factory.mktemp("work")
    with small_run(folder, until="pseudo"):
        succeed("export", "small", "--format", "voc", "--out", "voc")
        succeed("import-masks", "voc", "--run", "small", "--out", "corrected")
        yield folder


def test_masks_of_a_run_come_back(work: Path) -> None:
    [first, *_] = sorted((work / "voc" / "SegmentationClass").iterdir())
    mask = read_mask(first)
    mask[:4] = 1
    write_mask(first, mask)
    printed = document("import-masks", "voc", "--run", "small", "--ids", first.stem)
    assert printed["corrected_images"] == 1 and printed["format"] == "voc"
    assert printed["imported"][first.stem]["kind"] == "full"
    found = work / printed["out"] / "masks" / first.name
    assert printed["out"] == "runs/small/corrections" and np.array_equal(read_mask(found), mask)
    record = json.loads((found.parents[1] / "corrections.json").read_text())
    assert record["images"] == printed["imported"]
    assert first.stem in refused("import-masks", "voc", "--run", "small", "--ids", first.stem)
    text = succeed("import-masks", "voc", "--run", "small", "--force").stdout
    assert "8 masks imported from voc" in text
    succeed("run", "small.yaml", "--workers", "1", "--until", "pseudo")  # the folder is no obstacle
    succeed("status", "small", "--verify")


def test_the_dataset_may_be_given_instead_of_a_run(work: Path) -> None:
    succeed("export", "small", "--format", "coco", "--out", "coco")
    options = ["--data.layout", "shapes", "--data.size", "32", "--data.train", "6", "--data.val", "2"]
    printed = document("import-masks", "coco", "--out", "c", *options)
    assert printed["format"] == "coco" and len(printed["imported"]) + len(printed["skipped"]) == 8
    assert printed["skipped"]  # masks of background alone have no region
    printed = document("import-masks", "coco", "--out", "c", "--empty", "background", "--force", *options)
    assert printed["skipped"] == [] and len(printed["imported"]) == 8
    assert "--out" in refused("import-masks", "coco", *options)
    assert "--run" in refused("import-masks", "coco", "--out", "d")
    assert "runs/none" in refused("import-masks", "coco", "--run", "none")


def test_several_annotations_of_an_image_are_noted(work: Path) -> None:
    id = min(Path("voc", "SegmentationClass").iterdir()).stem
    box = {"x": 0, "y": 0, "width": 50, "height": 50, "rectanglelabels": ["background"]}
    annotation = {"result": [{"type": "rectanglelabels", "value": box}]}
    tasks = [{"data": {"image": "x.png", "image_id": id}, "annotations": [annotation, annotation]}]
    Path("tasks.json").write_text(json.dumps(tasks))
    printed = succeed("import-masks", "tasks.json", "--run", "small", "--out", "several")
    assert f"1 image has several annotations; only one was imported for each: {id}" in printed.stderr
    assert document("import-masks", "tasks.json", "--run", "small", "--out", "two")["several_annotations"] == [id]


def test_masks_with_a_class_that_the_labels_exclude_are_noted(work: Path, tmp_path: Path) -> None:
    data = open_dataset({"layout": "shapes", "size": 32, "train": 6, "val": 2}, work=tmp_path)
    absent = {sample.id: {1, 2, 3} - set(sample.labels or ()) for sample in data.all_samples()}
    id = next(id for id, classes in absent.items() if classes)
    mask = np.zeros((32, 32), np.uint8)
    mask[:4] = data.classes.values[min(absent[id])][0]
    write_mask(Path("excluded", f"{id}.png"), mask)
    printed = succeed("import-masks", "excluded", "--run", "small", "--out", "noted")
    assert f"1 mask shows a class that the labels of the image exclude: {id}" in printed.stderr
    assert document("import-masks", "excluded", "--run", "small", "--out", "n")["show_an_absent_class"] == [id]
    assert document("import-masks", "voc", "--run", "small", "--out", "none")["show_an_absent_class"] == []


def test_corrections_is_no_id_of_a_stage(work: Path) -> None:
    (work / "bad.yaml").write_text("stages: {corrections: {uses: colour}}")
    assert "corrections" in refused("run", "bad.yaml", "--dry-run")


def test_the_supervision_block_affects_the_stages_that_use_it(work: Path) -> None:
    block = ["--set", "supervision.corrections=corrected"]
    plan = document("run", "small.yaml", "--dry-run", *block)["stages"]
    assert {stage["id"] for stage in plan if stage["action"] == "skip"} == {"classify", "expand", "cam"}
    reasons = {stage["id"]: " ".join(stage["reasons"]) for stage in plan}
    assert "corrections" in reasons["pseudo"] and reasons["crf"] == "never ran"
    unweighted = document("run", "small.yaml", "--until", "pseudo", "--workers", "1", *block)
    metrics = {stage["id"]: stage["metrics"] for stage in unweighted["stages"]}
    assert metrics["pseudo"]["corrected_masks"] == {"images": 8, "of": 8, "labelled_fraction": 1}
    again = document("run", "small.yaml", "--dry-run", *block, "--set", "supervision.weight=3")["stages"]
    assert {stage["id"]: stage["action"] for stage in again}["pseudo"] == "skip"
    without = document("run", "small.yaml", "--dry-run", *block, "--set", "pseudo.corrections=null")["stages"]
    assert {stage["id"]: stage["action"] for stage in without}["pseudo"] == "run"


@pytest.mark.parametrize(
    ("sets", "part"),
    [
        (["supervision.correction=x"], "'corrections'"),
        (["supervision.corrections=nowhere"], "--set supervision.corrections=PATH"),
        (["supervision.corrections=voc"], "corrections.json"),
        (["supervision.weight=2"], "supervision.weight"),
        (["supervision.corrections=corrected", "supervision.weight=0"], "--set supervision.weight=0"),
        (["supervision=[1]"], "supervision"),
    ],
)
def test_problems_of_the_block_are_found_before_anything_runs(sets: list[str], part: str, work: Path) -> None:
    assert part in refused("run", "small.yaml", "--dry-run", *(word for one in sets for word in ("--set", one)))


def test_a_problem_of_the_block_is_one_error(work: Path) -> None:
    """Several stages take its keys."""
    text = QUICK.read_text().replace("name: quick", "name: block") + "supervision: {corrections: FOLDER}\n"
    for folder, problem in (("nowhere", "no such file"), ("voc", "not a folder of corrected masks")):
        message = refused("run", "small.yaml", "--dry-run", "--set", f"supervision.corrections={folder}")
        assert message.count(problem) == 1
        (work / "block.yaml").write_text(text.replace("FOLDER", folder))
        message = refused("run", "block.yaml", "--dry-run")
        assert message.count(problem) == 1
    assert "Stages 'pseudo', 'crf', 'segment'" in message
    message = refused("run", "block.yaml", "--dry-run", "--set", "crf.corrections=nowhere")
    assert "--set crf.corrections=PATH" in message and message.count("nowhere") == 2  # value and key


def test_a_pipeline_without_a_stage_for_the_block_is_refused(work: Path) -> None:
    (work / "cams.yaml").write_text(
        "data: {layout: shapes}\nsupervision: {corrections: corrected}\nstages: {classify: {uses: classify}}\n"
    )
    message = refused("run", "cams.yaml", "--dry-run")
    assert "cams.yaml:2" in message and "supervision.corrections" in message


def test_a_block_that_no_stage_takes_in_the_end_is_refused(work: Path) -> None:
    """Only `segment` could take the block, but its masks are complete, or it sets the keys itself."""
    text = (
        "data: {layout: shapes, size: 32, train: 6, val: 2}\n"
        "supervision: {corrections: corrected, weight: 2}\n"
        "stages: {segment: {uses: segment, with: {head: dynunet, LABELS}}}\n"
    )
    for own, key in (
        ("labels: ground-truth", "supervision.corrections"),
        ("labels: ground-truth, corrections: null", "supervision.corrections"),
        ("labels: pseudo, corrections: null", "supervision.corrections"),
        ("labels: pseudo, correction_weight: 3", "supervision.weight"),
    ):
        (work / "none.yaml").write_text(text.replace("LABELS", own))
        message = refused("run", "none.yaml", "--dry-run")
        assert "none.yaml:2" in message and key in message, own


def test_a_stage_without_corrections_takes_no_weight(work: Path) -> None:
    block = ["--set", "supervision.corrections=corrected", "--set", "supervision.weight=2"]
    (work / "control.yaml").write_text(
        QUICK.read_text().replace("name: quick", "name: control")
        + "  control: {uses: segment, needs: [crf], with: {head: dynunet, steps: 8, corrections: null}}\n"
    )
    plan = document("run", "control.yaml", "--dry-run", *block)["stages"]
    assert "control" in {stage["id"] for stage in plan}


def test_damaged_corrections_are_found_before_anything_runs(work: Path) -> None:
    shutil.copytree("corrected", "damaged")
    changed = min(Path("damaged", "masks").glob("train*"))
    changed.write_bytes(b"damaged")
    (work / "early.yaml").write_text(QUICK.read_text().replace("name: quick", "name: early"))
    assert changed.name in refused("run", "early.yaml", "--set", "supervision.corrections=damaged", "--workers", "1")
    assert not Path("runs", "early", "classify", "stage.json").exists()
