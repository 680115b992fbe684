"""Validation of ground truth: masks exist and show a class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from wsss.cli.commands.data import data as data_commands
from wsss.data.checks.check import check_config
from wsss.data.dataset import Dataset
from wsss.data.masks.ground_truth import check_truth, require_masks
from wsss.errors import InvalidInput
from wsss.io.rasters.rgb_images import write_png

Open = Callable[..., Dataset]
SIZE = (12, 16)


def write_dataset(root: Path, masks: dict[str, np.ndarray], *, labels: dict[str, str] | None = None) -> Path:
    for number, (name, mask) in enumerate(masks.items()):
        write_png(root / "images" / f"{name}.png", np.full((*SIZE, 3), 20 * number, np.uint8))
        write_png(root / "masks" / f"{name}.png", mask)
    (root / "classes.txt").write_text("cat\ndog\n")
    rows = [f"{name},{(labels or {}).get(name, '')},val" for name in masks]
    (root / "labels.csv").write_text("\n".join(["image_id,labels,split", *rows]) + "\n")
    return root


def half(value: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 8:] = value
    return mask


def error_of(dataset: Dataset) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        check_truth(dataset.split("val"), dataset.classes, where="split 'val'")
    assert error.value.subject == "split 'val'"
    return error.value


@pytest.mark.parametrize("mask", [half(255), np.full(SIZE, 255, np.uint8)])
def test_masks_of_background_and_255_are_rejected(tmp_path: Path, open_at: Open, mask: np.ndarray) -> None:
    dataset = open_at(write_dataset(tmp_path / "d", {"a": np.zeros(SIZE, np.uint8), "b": mask}))
    error = error_of(dataset)
    assert "(cat, dog)" in error.problem and "1 of 2 masks contain 255" in error.problem
    assert "mask_values: {0: background, 255: cat}" in str(error.hint) and "or dog" in str(error.hint)


def test_one_pixel_of_a_class_is_sufficient(tmp_path: Path, open_at: Open) -> None:
    mask = half(255)
    mask[0, 0] = 2
    dataset = open_at(write_dataset(tmp_path / "d", {"a": half(255), "b": mask}))
    check_truth(dataset.split("val"), dataset.classes, where="split 'val'")


def test_masks_of_background_alone_are_rejected(tmp_path: Path, open_at: Open) -> None:
    """An empty prediction would have an mIoU of 1."""
    empty = {"a": np.zeros(SIZE, np.uint8), "b": np.zeros(SIZE, np.uint8)}
    error = error_of(open_at(write_dataset(tmp_path / "unlabelled", empty)))
    assert "2 of 2 masks are 0" in error.problem and "wsss data check" not in str(error.hint)
    error = error_of(open_at(write_dataset(tmp_path / "wrong", empty, labels={"a": "cat"})))
    assert "labels of 1 image" in error.problem and "wsss data check" in str(error.hint)
    one = open_at(write_dataset(tmp_path / "one", {**empty, "c": half(1)}))
    check_truth(one.split("val"), one.classes, where="split 'val'")


def test_values_of_unselected_classes_are_reported(tmp_path: Path, open_at: Open) -> None:
    mask = half(255)
    mask[0] = 2
    dataset = open_at(write_dataset(tmp_path / "d", {"a": mask}), classes=["cat"])
    error = error_of(dataset)
    assert error.problem.endswith(" of data.classes have the values 2") and "mask_values" not in str(error)


def test_named_values_that_are_all_ignored_are_listed(tmp_path: Path, open_at: Open) -> None:
    values = {0: "background", 255: "ignore", 9: "cat"}
    dataset = open_at(write_dataset(tmp_path / "d", {"a": half(255)}), mask_values=values)
    assert "mask_values: {0: background, 9: cat, 255: ignore}" in error_of(dataset).problem


def test_data_check_reports_a_problem(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "d", {"a": half(255), "b": half(255)})
    report = check_config({"root": str(root)}, work=tmp_path / "work")
    (problem,) = (problem for problem in report.problems if problem.kind == "splits whose masks show no class")
    assert problem.count == 1 and "255: cat" in problem.examples[0]
    result = CliRunner().invoke(data_commands, ["check", str(root)])
    assert result.exit_code == 2
    repaired = ["check", str(root), "--data.mask_values", "{0: background, 255: dog}"]
    assert (
        CliRunner().invoke(data_commands, repaired).exit_code == 2
    )  # the labels name no class, but the masks show one
    (root / "labels.csv").unlink()
    assert CliRunner().invoke(data_commands, repaired).exit_code == 0


def test_data_tiles_rejects_such_masks(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "d", {"a": half(255), "b": half(255)})
    result = CliRunner().invoke(data_commands, ["tiles", str(root), str(tmp_path / "tiles"), "--split", "val"])
    assert isinstance(result.exception, InvalidInput) and "255: cat" in str(result.exception.hint)
    assert not (tmp_path / "tiles").exists()


def test_missing_masks_are_reported_with_unmatched_files(tmp_path: Path, open_at: Open) -> None:
    root = write_dataset(tmp_path / "d", {"a": half(1), "b": half(2)})
    for name in "ab":
        (root / "masks" / f"{name}.png").rename(root / "masks" / f"final-{name}-v3.png")
    dataset = open_at(root)
    with pytest.raises(InvalidInput) as error:
        require_masks(dataset, dataset.split("val"), of="split 'val'", hint="other", start="score: ")
    assert error.value.subject == "score" and "2 of the 2 images of split 'val'" in error.value.problem
    assert "final-a-v3.png, final-b-v3.png" in error.value.problem and error.value.hint != "other"


def kinds(report: Any, what: str) -> set[str]:
    return {finding.kind for finding in getattr(report, what)}


def test_masks_without_an_image_are_a_note_or_a_problem_if_no_mask_matches(
    tmp_path: Path, open_at: Open, lines: list[str]
) -> None:
    root = write_dataset(tmp_path / "d", {"a": half(1), "b": half(2)}, labels={"a": "cat", "b": "dog"})
    write_png(root / "masks" / "stranger.png", half(1))
    report = check_config({"root": str(root)}, work=tmp_path / "work")
    assert "masks without an image" in kinds(report, "notes") and not report.problems
    open_at(root)
    assert any("no matching image for 1 mask: stranger.png" in line for line in lines)
    for name in "ab":
        (root / "masks" / f"{name}.png").unlink()
    assert "masks without an image" in kinds(check_config({"root": str(root)}, work=tmp_path / "w"), "problems")


def test_jpeg_files_are_not_read_as_masks(tmp_path: Path, open_at: Open, lines: list[str]) -> None:
    root = write_dataset(tmp_path / "d", {"a": half(1), "b": half(2)})
    (root / "masks" / "a.png").rename(root / "masks" / "a.jpg")
    dataset = open_at(root)
    assert [sample.mask is None for sample in dataset.split("val")] == [True, False]
    assert any("JPEG and WebP change pixel values" in line and "a.jpg" in line for line in lines)


def test_a_configured_mask_folder_must_exist(tmp_path: Path, open_at: Open) -> None:
    root = write_dataset(tmp_path / "d", {"a": half(1)})
    with pytest.raises(InvalidInput) as error:
        open_at(root, masks="truth")
    assert error.value.subject == f"data.masks: {root / 'truth'}"
    (root / "masks").rename(root / "truth")
    assert open_at(root, masks="truth").split("val")[0].mask == root / "truth" / "a.png"


def test_masks_with_usual_affixes_are_matched_and_logged(tmp_path: Path, open_at: Open, lines: list[str]) -> None:
    root = write_dataset(tmp_path / "d", {"21_training": half(1), "22_training": half(2)})
    for number in (21, 22):
        (root / "masks" / f"{number}_training.png").rename(root / "masks" / f"{number}_manual1.png")
    masks = [sample.mask.name for sample in open_at(root).split("val") if sample.mask]
    assert masks == ["21_manual1.png", "22_manual1.png"]
    assert any("2 masks matched by a part of the name: 21_manual1.png of image 21_training" in line for line in lines)
    assert open_at(root, mask_suffix="_manual1").split("val")[0].mask == root / "masks" / "21_manual1.png"
