"""Stage `cam` with every attribution method."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import BACKBONE, CLASSES, coloured_dataset, contents, run_stage
from onethread import one_thread

from wsss.data.dataset import Dataset
from wsss.data.sample import Sample
from wsss.errors import InvalidInput
from wsss.io.rasters.cams import read_cams
from wsss.models.attribution.config import PlainCam
from wsss.models.classifier import build_classifier, save_classifier
from wsss.models.config import ClassifierConfig
from wsss.pipeline.plan.identity import Contents, config_parts
from wsss.stages import cam
from wsss.stages.common.inference.cam_batch import clamping

__all__ = ["one_thread"]  # a fixture of every test here

METHODS: dict[str, Any] = {
    "cam": "cam",
    "clamped": {"name": "cam", "clamp_weights": "always"},
    "gradcam++": "gradcam++",
    "layercam": {"name": "layercam", "layers": ["low", "features"]},
    "advcam": {"name": "advcam", "steps": 2},
    "normgrad": "normgrad",
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, a classifier and its plain maps."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    workspace = tmp_path_factory.mktemp("methods")
    model = build_classifier(ClassifierConfig.model_validate({"backbone": BACKBONE}), len(CLASSES.foreground))
    torch.nn.init.uniform_(model.head.weight, -0.5, 1.0)  # mostly positive maps, without training
    save_classifier(workspace / "classify", model, CLASSES)
    run_stage(cam.STAGE, {"scales": [1]}, workspace / "cam", dataset(workspace), classifier=workspace / "classify")
    return workspace


def dataset(workspace: Path) -> Dataset:
    return coloured_dataset(workspace / "data")


def make(workspace: Path, out: Path, **config: Any) -> Any:
    return run_stage(cam.STAGE, {"scales": [1], **config}, out, dataset(workspace), classifier=workspace / "classify")


@every_method
def test_maps_of_the_classes_present(workspace: Path, tmp_path: Path, method: Any) -> None:
    result = make(workspace, tmp_path, method=method, batch_size=2)
    plain = []
    for sample in dataset(workspace).split("train"):
        cams, others = (read_cams(folder / "cams" / f"{sample.id}.npz") for folder in (tmp_path, workspace / "cam"))
        plain.append(np.allclose(cams.maps, others.maps, atol=2e-3))
        assert cams.classes == sample.labels
        assert cams.size == (36, 44)
        assert cams.maps.shape == (len(sample.labels or ()), 9, 11)
        assert cams.maps.min() >= 0
        assert set(cams.maps.max((1, 2)).tolist()) == {1.0}
    assert contents(tmp_path).keys() == contents(workspace / "cam").keys()
    assert all(plain) == (method == "cam")
    assert result.metrics["images"] == 4
    json.dumps(dict(result.provenance), allow_nan=False)


@pytest.mark.slow
@every_method
def test_repeated_maps_have_the_same_bytes(workspace: Path, tmp_path: Path, method: Any) -> None:
    make(workspace, tmp_path, method=method)
    complete = contents(tmp_path)
    (tmp_path / "cams" / "train1.npz").unlink()
    make(workspace, tmp_path, method=method)
    assert contents(tmp_path) == complete


@pytest.mark.slow
@every_method
def test_maps_of_predicted_classes(workspace: Path, tmp_path: Path, method: Any) -> None:
    unlabelled = tuple(Sample(s.id, s.image) for s in dataset(workspace).split("train"))
    data = Dataset("unlabelled", workspace / "data", dataset(workspace).classes, {"train": unlabelled})
    config: dict[str, Any] = {"scales": [1], "method": method, "classes": "predicted"}
    for threshold, expected in ((0.0001, (1, 2)), (0.9999, ())):
        out = tmp_path / str(threshold)
        result = run_stage(cam.STAGE, config | {"threshold": threshold}, out, data, classifier=workspace / "classify")
        assert all(read_cams(path).classes == expected for path in (out / "cams").iterdir())
        assert (result.metrics["mean_activation"] is None) == (expected == ())
    make(workspace, tmp_path / "labels", method=method)
    for sample in dataset(workspace).split("train"):
        known, found = (read_cams(tmp_path / name / f"cams/{sample.id}.npz") for name in ("labels", "0.0001"))
        kept = found.maps[[index - 1 for index in known.classes]]
        np.testing.assert_allclose(kept, known.maps, atol=2e-3)


def test_the_plain_map_is_the_default(workspace: Path, tmp_path: Path) -> None:
    result = make(workspace, tmp_path, method={"name": "cam"})
    assert contents(tmp_path) == contents(workspace / "cam")
    assert result.provenance == {"cam": {"method": "cam", "scales": [1.0], "flip": True}}


def test_provenance_names_clamped_weights(workspace: Path, tmp_path: Path) -> None:
    result = make(workspace, tmp_path, method={"name": "cam", "clamp_weights": "single-class"})
    assert result.provenance == {
        "cam": {"method": "cam", "settings": {"clamp_weights": "single-class"}, "scales": [1.0], "flip": True}
    }


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("classes", ["labels", "predicted"])
def test_weights_are_clamped_in_images_with_a_single_class(
    workspace: Path, tmp_path: Path, classes: str, batch: int
) -> None:
    settings = {"classes": classes, "batch_size": batch} | ({"threshold": 0.02} if classes == "predicted" else {})
    for clamp in ("never", "single-class", "always"):
        make(workspace, tmp_path / clamp, method={"name": "cam", "clamp_weights": clamp}, **settings)
    numbers = set()
    for sample in dataset(workspace).split("train"):
        never, single, always = (
            read_cams(tmp_path / clamp / f"cams/{sample.id}.npz") for clamp in ("never", "single-class", "always")
        )
        numbers.add(len(single.classes))
        expected, other = (always, never) if len(single.classes) == 1 else (never, always)
        assert never.classes == single.classes == always.classes
        np.testing.assert_allclose(single.maps, expected.maps, atol=2e-3)
        if len(single.classes):
            assert not np.allclose(single.maps, other.maps, atol=2e-3)
    assert numbers >= ({1, 2} if classes == "labels" else {2})


def test_clamping_follows_the_classes_that_are_predicted_later() -> None:
    classes: list[tuple[int, ...]] = [(1,), (1, 2), (2,)]
    clamp = clamping(PlainCam(clamp_weights="single-class"), classes)
    classes[:] = [(1, 2), (2,), ()]
    assert clamp is not None and list(clamp()) == [False, True, False]


def test_clamped_weights_count_in_the_identity_unless_never() -> None:
    plain, off, on = (
        config_parts(cam.CamConfig.model_validate({"method": method}), Contents())
        for method in ("cam", {"name": "cam", "clamp_weights": "never"}, {"name": "cam", "clamp_weights": "always"})
    )
    assert plain == off != on


def test_provenance_names_the_precision_used(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss.pipeline.processes.precision.has_bfloat16", lambda device: False)
    result = make(workspace, tmp_path / "emulated", precision="bf16-mixed")
    assert result.provenance["cam"]["precision"] == "32-true"
    assert contents(tmp_path / "emulated") == contents(workspace / "cam")
    monkeypatch.setattr("wsss.pipeline.processes.precision.has_bfloat16", lambda device: True)
    result = make(workspace, tmp_path / "native", precision="bf16-mixed")
    assert result.provenance["cam"]["precision"] == "bf16-mixed"
    assert contents(tmp_path / "native") != contents(workspace / "cam")


def test_provenance_names_the_method_and_its_settings(workspace: Path, tmp_path: Path) -> None:
    result = make(workspace, tmp_path, method={"name": "advcam", "steps": 0}, flip=False)
    assert result.provenance == {
        "cam": {
            "method": "advcam",
            "settings": {"steps": 0, "step_size": 0.08, "regularisation": 7.0, "threshold": 0.5},
            "scales": [1.0],
            "flip": False,
        }
    }


@pytest.mark.parametrize(
    ("method", "key", "found"),
    [
        ("advcma", "name", "advcma"),
        ({"steps": 3}, "name", None),
        ({"name": "advcam", "steps": -1}, "steps", -1),
        ({"name": "advcam", "layer": "low"}, "layer", "layer"),
        ({"name": "gradcam++", "layer": "high"}, "layer", "high"),
        ({"name": "layercam", "layers": ["low", "low"]}, "layers", ["low", "low"]),
        ({"name": "layercam", "layers": []}, "layers", []),
    ],
)
def test_invalid_methods_are_refused(workspace: Path, tmp_path: Path, method: Any, key: str, found: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        make(workspace, tmp_path, method=method)
    assert (error.value.subject, error.value.found) == (f"cam.method.{key}", found)
