"""Barcodes and matchings agree with both public reference programs, where those agree, and else with the C++ one."""

import csv
import functools
import json

import numpy as np
import pytest
from PIL import Image
from shareddata import IS_SHARED, SHARED_DATA, needs_shared_data

from wsss.topology import barcode, betti_matching

FRAMES = {
    "none": ("cpp_superlevel_noframe", "python_superlevel_relative_false", "matching_agrees_noframe"),
    "own-max": ("cpp_superlevel_frame_of_max", "python_superlevel_relative_true", "matching_agrees_frame"),
}


@functools.cache
def fixtures() -> dict:
    if not IS_SHARED:
        return {}
    path = SHARED_DATA / "fixtures" / "betti_matching_reference.json"
    return {case["name"]: case for case in json.loads(path.read_text())["cases"]}


def images(case):
    with np.load(SHARED_DATA / "fixtures" / case["file"]) as file:
        return file["input0"], file["input1"]


def rows(array):
    return sorted(array.tolist())


@needs_shared_data
def test_all_33_cases_exist():
    assert len(fixtures()) == 33


@needs_shared_data
@pytest.mark.parametrize("name", sorted(fixtures()))
def test_barcodes_agree_exactly(name):
    case = fixtures()[name]
    for i, image in enumerate(images(case)):
        result = barcode(image)
        assert rows(result.dim0.values) == case["barcodes"][f"input{i}"]["dim0"]
        assert rows(result.dim1.values) == case["barcodes"][f"input{i}"]["dim1"]


@needs_shared_data
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("name", sorted(fixtures()))
def test_matching_agrees_with_the_cpp_reference(name, frame):
    case = fixtures()[name]
    expected = case[FRAMES[frame][0]]
    result = betti_matching(*images(case), frame=frame)
    for dimension, matching in (("dim0", result.dim0), ("dim1", result.dim1)):
        assert rows(matching.matched) == expected[dimension]["matched"]
        assert rows(matching.unmatched_pred.values) == expected[dimension]["unmatched0"]
        assert rows(matching.unmatched_gt.values) == expected[dimension]["unmatched1"]
    assert result.loss() == pytest.approx(expected["loss"], abs=1e-9, rel=0)
    assert result.dim0.loss() == pytest.approx(expected["loss_dim0"], abs=1e-9, rel=0)
    assert result.dim1.loss() == pytest.approx(expected["loss_dim1"], abs=1e-9, rel=0)


@needs_shared_data
@pytest.mark.parametrize("name", sorted(fixtures()))
def test_a_frame_of_zeros_gives_the_cpp_loss(name):
    case = fixtures()[name]
    expected = case["cpp_superlevel_frame_of_zero"]
    result = betti_matching(*images(case), frame="zero")
    assert result.dim0.loss() == pytest.approx(expected["loss_dim0"], abs=1e-9, rel=0)
    assert result.dim1.loss() == pytest.approx(expected["loss_dim1"], abs=1e-9, rel=0)


@needs_shared_data
@pytest.mark.parametrize("frame", FRAMES)
def test_essential_match_agrees_with_the_python_reference_where_the_references_agree(frame):
    _, python, agrees = FRAMES[frame]
    checked = 0
    for case in fixtures().values():
        if case[agrees]:
            result = betti_matching(*images(case), frame=frame, essential="match")
            assert result.loss() == pytest.approx(case[python]["loss"], abs=1e-9, rel=0), case["name"]
            assert len(result.dim0.matched) == case[python]["dim0"]["n_matched"], case["name"]
            assert result.dim0.matched[-1, ::2].tolist() == case[python]["essential"][0], case["name"]
            checked += 1
    assert checked >= 15


@needs_shared_data
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matching_does_not_depend_on_the_kind_of_keys(dtype):
    """Halved and shifted by a third, the values need 64-bit keys in float64; their order stays the same."""
    for case in fixtures().values():
        pred, gt = images(case)
        a = betti_matching(pred, gt)
        b = betti_matching((pred / 2 + 1 / 3).astype(dtype), (gt / 2 + 1 / 3).astype(dtype))
        for one, other in ((a.pred.dim0, b.pred.dim0), (a.gt.dim1, b.gt.dim1)):
            assert one.birth_indices.tolist() == other.birth_indices.tolist(), case["name"]
            assert one.death_indices.tolist() == other.death_indices.tolist(), case["name"]
        assert [p.tolist() for p in a.pairs] == [p.tolist() for p in b.pairs], case["name"]


def _csv_rows():
    if not IS_SHARED:
        return []
    with (SHARED_DATA / "fixtures" / "topomortar_train_betti_matching_error.csv").open() as file:
        return list(csv.DictReader(file))


@needs_shared_data
def test_full_size_labels_agree_with_the_cpp_reference():
    rows = _csv_rows()
    assert len(rows) == 100
    train = SHARED_DATA / "topomortar" / "dataset" / "train"
    for row in rows:
        weak, accurate = (
            np.asarray(Image.open(train / kind / f"{row['id']}.png")) > 0 for kind in (row["weak"], "accurate")
        )
        result = betti_matching(weak, accurate, frame="own-max" if row["frame"] == "1" else "none")
        for dimension, matching in (("0", result.dim0), ("1", result.dim1)):
            assert len(matching.matched) == int(row[f"matched{dimension}"]), row
            assert len(matching.unmatched_pred) == int(row[f"unm_weak{dimension}"]), row
            assert len(matching.unmatched_gt) == int(row[f"unm_acc{dimension}"]), row
            assert matching.error == int(row[f"bm_error{dimension}"]), row
