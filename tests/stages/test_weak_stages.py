"""From image-level labels of tiles to masks: tiles, classify, cam, average, colour, pseudo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning import coloured_dataset, contents
from learning import run_stage as run_one
from walls import MAPS, TRAINING, walls

from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.data.sample_mask import read_sample_mask
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path, mask_path
from wsss.io.rasters.cams import Cams, read_cams, write_cams
from wsss.io.rasters.label_masks import read_mask
from wsss.io.rasters.rgb_images import image_size, read_image
from wsss.pipeline.stage import Artifact, Result
from wsss.stages import STAGES
from wsss.validation import validate

OTSU = {"policy": {"name": "otsu", "scope": "image"}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """Tiles, classifier and maps of walls; one wall has dark joints."""
    root = tmp_path_factory.mktemp("weak")
    data = walls(root / "data", count=5, dark=(3,))
    run_one(STAGES["tiles"], {"count": 100, "size": 9}, root / "tiles", data)
    run_one(STAGES["classify"], TRAINING, root / "classify", data, tiles=root / "tiles")
    run_one(STAGES["cam"], MAPS, root / "cam", data, classifier=root / "classify")
    return root, data


def dice(folder: Path, data: Dataset) -> dict[str, float]:
    scores = {}
    for sample in data.split("train"):
        mask, truth = read_mask(mask_path(folder, sample.id)) == 1, read_sample_mask(sample, data.classes) == 1
        scores[sample.id] = 2 * float((mask & truth).sum()) / float(mask.sum() + truth.sum())
    return scores


def test_joints_are_segmented_without_masks(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    root, data = run
    run_one(STAGES["pseudo"], OTSU, tmp_path / "pseudo", data, cams=root / "cam")
    scores = dice(tmp_path / "pseudo", data)
    assert min(score for name, score in scores.items() if name != "w3") > 0.85


@pytest.mark.slow
def test_fine_tuning_on_its_own_tiles_helps_an_unusual_wall(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    root, data = run
    adapted = {**MAPS, "adapt": {"steps": 30, "lr": 0.01}}
    run_one(STAGES["cam"], adapted, tmp_path / "cam", data, classifier=root / "classify", tiles=root / "tiles")
    scores: dict[str, dict[str, float]] = {}
    for name, folder in (("before", root / "cam"), ("after", tmp_path / "cam")):
        run_one(STAGES["pseudo"], OTSU, tmp_path / name, data, cams=folder)
        scores[name] = dice(tmp_path / name, data)
    assert scores["after"]["w3"] > scores["before"]["w3"] + 0.1
    assert min(scores["after"].values()) > min(scores["before"].values())
    run_one(STAGES["cam"], adapted, tmp_path / "again", data, classifier=root / "classify", tiles=root / "tiles")
    assert contents(tmp_path / "again") == contents(tmp_path / "cam")


def test_images_without_tiles_use_the_original_classifier(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    root, data = run
    renamed = tuple(Sample(f"x{split.id}", split.image, split.labels) for split in data.split("train"))
    other = Dataset("x", data.root, data.classes, {"train": renamed})
    run_one(STAGES["cam"], {**MAPS, "adapt": {}}, tmp_path, other, classifier=root / "classify", tiles=root / "tiles")
    for split in data.split("train"):
        plain, cams = read_cams(cam_path(root / "cam", split.id)), read_cams(cam_path(tmp_path, f"x{split.id}"))
        np.testing.assert_array_equal(plain.maps, cams.maps)


@pytest.mark.parametrize(("config", "tiles"), [({"adapt": {}}, []), ({}, ["t"])])
def test_adapt_and_tiles_must_be_used_together(config: dict[str, Any], tiles: list[str]) -> None:
    stage = STAGES["cam"]
    with pytest.raises(InvalidInput) as error:
        stage.check_inputs(validate(stage.config, config, where="cam"), {"classifier": ["c"], "tiles": tiles})
    assert error.value.subject == "cam"


@pytest.mark.parametrize(
    ("config", "setting"),
    [
        ({"adapt": {}, "batch_size": 2}, "batch_size"),
        ({"activation": "sigmoid", "method": {"name": "layercam"}}, "activation: sigmoid"),
        ({"activation": "sigmoid", "method": {"name": "cam", "clamp_weights": "always"}}, "method.clamp_weights"),
    ],
)
def test_incompatible_settings_are_refused(config: dict[str, Any], setting: str) -> None:
    with pytest.raises(InvalidInput) as error:
        validate(STAGES["cam"].config, config, where="cam")
    assert error.value.subject == "cam" and setting in error.value.problem


def test_sigmoid_maps_keep_the_order_of_negative_scores(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    root, data = run
    run_one(STAGES["cam"], {**MAPS, "activation": "relu"}, tmp_path, data, classifier=root / "classify")
    relu, sigmoid = (read_cams(cam_path(folder, "w0")).maps for folder in (tmp_path, root / "cam"))
    assert (relu == 0).mean() > 0.2  # what relu cuts off …
    assert len(np.unique(sigmoid[relu == 0])) > 50  # … has many values


def test_expand_and_shrink_train_on_tiles_too(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    root, data = run
    short = {"epochs": 1, "batch_size": 20, "optimiser": TRAINING["optimiser"]}
    tiles = root / "tiles"
    expanded = run_one(STAGES["expand"], short, tmp_path / "e", data, classifier=root / "classify", tiles=tiles)
    run_one(STAGES["shrink"], {**short, "area": 0.1}, tmp_path / "s", data, classifier=tmp_path / "e", tiles=tiles)
    run_one(STAGES["cam"], MAPS, tmp_path / "cam", data, classifier=tmp_path / "s")
    assert expanded.metrics["images"] == 100
    assert np.isfinite(read_cams(cam_path(tmp_path / "cam", "w0")).maps).all()


def test_supervision_is_recorded(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    root, data = run
    short = {**TRAINING, "epochs": 1}
    unknown = run_one(STAGES["classify"], short, tmp_path / "c", data, tiles=root / "tiles")
    assert unknown.provenance["supervision"] == "labels of tiles of unstated origin"
    tiles = run_one(STAGES["tiles"], {"count": 20, "size": 9, "label_noise": 0.1}, tmp_path / "t", data)
    assert tiles.provenance["supervision"] == "20 yes/no labels of 9-pixel tiles, 10% of them wrong"
    assert tiles.metrics["tiles"] == 20 and tiles.metrics["without_any_class"] >= 8


def average(out: Path, data: Any, *folders: Path, lines: list[str] | None = None) -> Result:
    """Run the stage `average`, whose input accepts several folders."""
    import dataclasses

    stage = STAGES["average"]

    def with_inputs(ctx: Any) -> Any:
        return dataclasses.replace(ctx, inputs={"cams": tuple(map(Artifact, folders))})

    of_all = dataclasses.replace(
        stage, run=lambda ctx: stage.run(with_inputs(ctx)), ready=lambda ctx: stage.ready(with_inputs(ctx))
    )
    return run_one(of_all, {}, out, data, lines=lines)


def test_maps_are_averaged(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    root, data = run
    run_one(STAGES["colour"], {}, tmp_path / "colour", data)
    result = average(tmp_path / "mean", data, root / "cam", tmp_path / "colour", tmp_path / "colour")
    assert result.provenance == {"averaged": 3}
    learned, colour, mean = (
        read_cams(cam_path(folder, "w1")) for folder in (root / "cam", tmp_path / "colour", tmp_path / "mean")
    )
    np.testing.assert_allclose(mean.maps, (learned.maps + 2 * colour.maps) / 3, atol=1e-3)
    assert (mean.classes, mean.size) == ((1,), (96, 96))
    run_one(STAGES["cam"], {**MAPS, "stride": 2}, tmp_path / "coarse", data, classifier=root / "classify")
    with pytest.raises(InvalidInput) as error:
        average(tmp_path / "bad", data, root / "cam", tmp_path / "coarse")
    coarse = [str(cam_path(tmp_path / "coarse", sample.id)) for sample in data.split("train")]
    assert [one.subject for one in error.value.errors] == coarse
    assert all(shape in error.value.errors[0].problem for shape in ("(48, 48)", "(96, 96)"))
    with pytest.raises(InvalidInput) as error:
        average(tmp_path / "none", data)
    assert error.value.subject == "average"


def test_a_class_that_a_classifier_does_not_recognise_counts_as_zero(tmp_path: Path) -> None:
    data = coloured_dataset(tmp_path / "data")
    samples = data.split("train")
    rng = np.random.default_rng(0)
    recognised = {"a": [(1, 2), (2,), (1,)], "b": [(2,), (), (1,)]}
    for name, classes in recognised.items():
        for sample, present in zip(samples, [*classes, *[()] * len(samples)], strict=False):
            height, width = image_size(*sample.source)
            maps = rng.random((len(present), height // 4, width // 4)).astype(np.float16).astype(np.float32)
            write_cams(cam_path(tmp_path / name, sample.id), Cams(maps, present, (height, width)))
    lines: list[str] = []
    average(tmp_path / "mean", data, tmp_path / "a", tmp_path / "b", lines=lines)
    first, second, third = (sample.id for sample in samples[:3])
    a, b, mean = (
        {id: read_cams(cam_path(tmp_path / name, id)) for id in (first, second, third)} for name in ("a", "b", "mean")
    )
    assert [mean[id].classes for id in (first, second, third)] == [(1, 2), (2,), (1,)]
    np.testing.assert_allclose(mean[first].maps[0], a[first].maps[0] / 2, atol=1e-3)
    np.testing.assert_allclose(mean[first].maps[1], (a[first].maps[1] + b[first].maps[0]) / 2, atol=1e-3)
    np.testing.assert_allclose(mean[second].maps, a[second].maps / 2, atol=1e-3)
    np.testing.assert_allclose(mean[third].maps, (a[third].maps + b[third].maps) / 2, atol=1e-3)
    (note,) = [line for line in lines if "different classes" in line]
    assert "2 images" in note and first in note and second in note and third not in note
    cam_path(tmp_path / "mean", first).unlink()  # as if the stage had been interrupted before this image
    average(tmp_path / "mean", data, tmp_path / "a", tmp_path / "b", lines=lines)
    assert [line for line in lines if "different classes" in line] == [note, note]


def test_colour_maps_are_those_of_cielab(tmp_path: Path) -> None:
    import cv2

    data = walls(tmp_path / "data", count=1)
    for channel, plane, sign in (("-a", 1, -1), ("b", 2, 1), ("L", 0, 1)):
        run_one(STAGES["colour"], {"channel": channel}, tmp_path / channel, data)
        pixels = read_image(data.split("train")[0].image).astype(np.float32) / 255
        values = sign * cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[..., plane]  # OpenCV as the reference
        expected = (values - values.min()) / (values.max() - values.min())
        cams = read_cams(cam_path(tmp_path / channel, "w0"))
        np.testing.assert_allclose(cams.maps[0], expected, atol=4e-3)
        assert cams.classes == (1,) and cams.size == (96, 96)
    with pytest.raises(InvalidInput) as error:
        run_one(STAGES["colour"], {}, tmp_path / "two", coloured_dataset(tmp_path / "coloured"))
    assert (error.value.subject, error.value.found) == ("colour", "red, green")


def test_pseudo_and_crf_remove_small_components(run: tuple[Path, Dataset], tmp_path: Path) -> None:
    import cv2

    root, data = run
    drop = {"clean": {"components": 30, "holes": 30}}
    done = run_one(STAGES["pseudo"], {**OTSU, **drop}, tmp_path / "pseudo", data, cams=root / "cam")
    assert done.provenance["cleaned"] == {"components": 30, "holes": 30}
    crf = {"unary": "labels", "gauss_sigma": 1, "bilateral_sigma_xy": 10, "iterations": 2, **drop}
    refined = run_one(STAGES["crf"], crf, tmp_path / "crf", data, masks=tmp_path / "pseudo")
    assert refined.provenance["cleaned"] == {"components": 30, "holes": 30}
    for folder in (tmp_path / "pseudo", tmp_path / "crf"):
        for sample in data.split("train"):
            mask = read_mask(mask_path(folder, sample.id))
            stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2]
            assert (stats[1:, cv2.CC_STAT_AREA] >= 30).all()
