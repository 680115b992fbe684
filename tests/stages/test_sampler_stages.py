"""`expand` and `shrink` on small coloured images."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning import CLASSES, SMALL_TRAINING, coloured_dataset, contents, run_stage
from onethread import one_thread

from wsss.data.classes import Classes
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput, RunFailed
from wsss.io.rasters.offsets import read_offsets
from wsss.models.classifier import CAMClassifier, load_classifier
from wsss.pipeline.stage import Artifact
from wsss.stages import cam, classify, expand, shrink
from wsss.stages.common.training import sampler_stage
from wsss.train.tasks.sampler_training import area_loss, map_areas, offset_summary

__all__ = ["one_thread"]  # a fixture of every test here

TRAINING = {name: value for name, value in SMALL_TRAINING.items() if name != "backbone"} | {
    "val": "val",
    "offset_images": 1,
}
SHRINKING = TRAINING | {"merge": "shrinkage", "trainable": ["offsets", "kernel", "head"]}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, its classifier, and the classifier with an expansion sampler and with both samplers."""
    torch.set_num_threads(1)
    workspace = tmp_path_factory.mktemp("sampling")
    data = dataset(workspace)
    run_stage(classify.STAGE, SMALL_TRAINING, workspace / "classify", data)
    run_stage(expand.STAGE, TRAINING, workspace / "expand", data, classifier=workspace / "classify")
    run_stage(shrink.STAGE, SHRINKING, workspace / "shrink", data, classifier=workspace / "expand")
    return workspace


def dataset(workspace: Path, **keys: Any) -> Dataset:
    return coloured_dataset(workspace / "data", **keys)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_classifier(folder)[0].state_dict())


def test_expand_writes_a_classifier_and_offsets(workspace: Path, tmp_path: Path) -> None:
    files = contents(workspace / "expand")
    assert set(files) == {"model.safetensors", "model.json", "history.csv", "offsets/val0.npz"}
    result = run_stage(expand.STAGE, TRAINING, tmp_path / "e", dataset(workspace), classifier=workspace / "classify")
    assert contents(tmp_path / "e") == files
    assert result.provenance["samplers"] == "expansion"
    assert {"offset_size", "offset_rows", "offset_columns", "val_map", "train_loss"} <= result.metrics.keys()
    rows = list(csv.DictReader((workspace / "expand" / "history.csv").read_text().splitlines()))
    assert float(rows[-1]["offset_size"]) == pytest.approx(result.metrics["offset_size"], rel=1e-5)
    assert float(rows[0]["offset_size"]) > 0
    json.dumps(result.metrics, allow_nan=False)


def test_saved_offsets_are_those_of_the_saved_classifier(workspace: Path) -> None:
    from wsss.io.rasters.rgb_images import read_image

    for stage in ("expand", "shrink"):
        shown = read_offsets(workspace / stage / "offsets" / "val0.npz")
        assert shown.stride == 16
        assert shown.size == (36, 44)
        model, _ = load_classifier(workspace / stage)
        image = read_image(dataset(workspace).splits["val"][0].image)
        with torch.no_grad():
            expected = model.samplers.offsets(model.features(torch.from_numpy(image).permute(2, 0, 1)[None]))
        assert expected is not None
        np.testing.assert_allclose(shown.offsets[0], expected[0].numpy(), atol=2e-3)


@pytest.mark.parametrize(("max_side", "size", "factor"), [(22, (18, 22), 2), (None, (18, 22), 2), (20, (16, 20), 2.2)])
def test_offsets_of_large_images_are_measured_on_reduced_ones(
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    max_side: int | None,
    size: tuple[int, int],
    factor: float,
) -> None:
    """``max_side``, or else a default, limits the memory for an image of 24 megapixels."""
    seen: list[tuple[int, ...]] = []
    features = CAMClassifier.features

    def watched(model: CAMClassifier, images: torch.Tensor, *more: Any) -> torch.Tensor:
        seen.append(tuple(images.shape[2:]))
        return features(model, images, *more)

    monkeypatch.setattr(sampler_stage, "LARGEST", 22 if max_side is None else 40)
    monkeypatch.setattr(CAMClassifier, "features", watched)
    data = dataset(tmp_path, val=2)
    run_stage(expand.STAGE, TRAINING | {"max_side": max_side}, tmp_path / "e", data, classifier=workspace / "classify")
    shown = read_offsets(tmp_path / "e" / "offsets" / "val0.npz")
    assert size in seen and (36, 44) not in seen
    assert shown.size == (36, 44) and shown.offsets.shape[2:] == tuple(-(-length // 16) for length in size)
    assert shown.stride == pytest.approx(16 * factor)
    trunk = load_classifier(tmp_path / "e")[0].backbone
    # Pixel 0 of the reduced image is the mean of the first `factor` pixels.
    assert shown.origin == pytest.approx(trunk.output_offset * factor + (factor - 1) / 2)


def test_only_the_parts_in_update_are_trained(workspace: Path, tmp_path: Path) -> None:
    before = weights(workspace / "classify")
    config = TRAINING | {"trainable": ["offsets"]}
    run_stage(expand.STAGE, config, tmp_path / "o", dataset(workspace), classifier=workspace / "classify")
    after = weights(tmp_path / "o")
    assert all(torch.equal(after[name], value) for name, value in before.items())
    everything = TRAINING | {"trainable": ["offsets", "kernel", "head", "trunk"]}
    run_stage(expand.STAGE, everything, tmp_path / "t", dataset(workspace), classifier=workspace / "classify")
    after = weights(tmp_path / "t")
    first = next(name for name in before if name.startswith("backbone.") and name.endswith(".weight"))
    assert not torch.equal(after[first], before[first])
    trained = weights(workspace / "expand")
    assert torch.equal(trained[first], before[first])
    assert not torch.equal(trained["head.weight"], before["head.weight"])


def test_shrink_keeps_the_expansion_sampler(workspace: Path) -> None:
    expanded, shrunk = weights(workspace / "expand"), weights(workspace / "shrink")
    names = [name for name in expanded if name.startswith("samplers.expansion.")]
    assert names
    assert all(torch.equal(expanded[name], shrunk[name]) for name in names)
    description = json.loads((workspace / "shrink" / "model.json").read_text())["config"]["sampling"]
    assert description["merge"] == "shrinkage"
    assert description["expansion"] is not None


def test_the_merge_rule_does_not_affect_training(workspace: Path, tmp_path: Path) -> None:
    config = SHRINKING | {"merge": "max"}
    result = run_stage(shrink.STAGE, config, tmp_path / "m", dataset(workspace), classifier=workspace / "expand")
    assert result.provenance["samplers"] == "expansion, shrinkage (maps: max)"
    first, other = weights(tmp_path / "m"), weights(workspace / "shrink")
    assert all(torch.equal(first[name], other[name]) for name in other)
    assert load_classifier(tmp_path / "m")[0].samplers.config.merge == "max"


def test_shrink_works_without_expansion_and_cam_with_all_three(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    run_stage(shrink.STAGE, TRAINING, tmp_path / "s", data, classifier=workspace / "classify")
    maps = {}
    for folder in (workspace / "classify", workspace / "expand", workspace / "shrink", tmp_path / "s"):
        out = tmp_path / f"cams of {folder.parent.name} {folder.name}"
        run_stage(cam.STAGE, {"scales": [1]}, out, data, classifier=folder)
        maps[out.name] = contents(out)
    assert len({str(sorted(files)) for files in maps.values()}) == 1
    assert len({repr(files) for files in maps.values()}) == 4


def test_a_control_is_trained_without_a_sampler(workspace: Path, tmp_path: Path) -> None:
    result = run_stage(
        expand.STAGE,
        TRAINING | {"sampler": None},
        tmp_path / "c",
        dataset(workspace),
        classifier=workspace / "classify",
    )
    assert "offset_size" not in result.metrics
    assert not (tmp_path / "c" / "offsets").exists()
    before, after = weights(workspace / "classify"), weights(tmp_path / "c")
    assert before.keys() == after.keys()
    assert not torch.equal(before["head.weight"], after["head.weight"])


@pytest.mark.parametrize(
    ("stage", "on"), [(expand.STAGE, "expand"), (expand.STAGE, "shrink"), (shrink.STAGE, "shrink")]
)
def test_a_second_sampler_is_refused(workspace: Path, tmp_path: Path, stage: Any, on: str) -> None:
    with pytest.raises(InvalidInput) as error:
        run_stage(stage, TRAINING, tmp_path / "x", dataset(workspace), classifier=workspace / on)
    assert error.value.subject == str(workspace / on)


@pytest.mark.parametrize(
    ("config", "subject", "key", "stated"),
    [
        ({"sampler": None, "trainable": ["kernel", "head"]}, "expand", "trainable", "kernel"),
        ({"sampler": None, "trainable": ["sampler"]}, "expand", "trainable", "expected head, trunk"),
        (
            {"sampler": {"offsets": "none"}, "trainable": ["offsets"]},
            "expand",
            "trainable",
            "'none'; expected head, kernel, sampler",
        ),
        ({"trainable": ["kernel", "head"]}, "expand", "trainable", "(kernel, head)"),
        ({"sampler": {"offsets": "random", "max_offset": None}}, "expand.sampler", "max_offset", "null"),
    ],
)
def test_incompatible_settings_are_refused(
    workspace: Path, tmp_path: Path, config: dict[str, Any], subject: str, key: str, stated: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        run_stage(expand.STAGE, TRAINING | config, tmp_path, dataset(workspace), classifier=workspace / "classify")
    assert error.value.subject == subject
    assert error.value.problem.startswith(f"{key}: ") and stated in error.value.problem


def test_the_default_update_skips_parts_that_do_not_exist(workspace: Path, tmp_path: Path) -> None:
    config = TRAINING | {"sampler": {"offsets": "none", "kernel_size": 3}}
    run_stage(expand.STAGE, config, tmp_path, dataset(workspace), classifier=workspace / "classify")
    assert "samplers.expansion.kernel" in weights(tmp_path)


def test_a_shrinkage_without_effect_is_refused(workspace: Path, tmp_path: Path) -> None:
    config = TRAINING | {"merge": "expansion"}
    with pytest.raises(InvalidInput) as error:
        run_stage(shrink.STAGE, config, tmp_path, dataset(workspace), classifier=workspace / "expand")
    assert error.value.subject == "shrink" and error.value.problem.startswith("merge: 'expansion'")


def test_diverged_offsets_are_an_error(workspace: Path, tmp_path: Path) -> None:
    config = TRAINING | {"sampler": {"max_offset": None, "offset_init": 1e6}}
    with pytest.raises(RunFailed) as error:
        run_stage(expand.STAGE, config, tmp_path, dataset(workspace), classifier=workspace / "classify")
    assert error.value.subject == "sampler: val0" and "sampler.max_offset" in str(error.value.hint)


def test_incompatible_samplers_and_classes_are_refused(workspace: Path, tmp_path: Path) -> None:
    config = TRAINING | {"sampler": {"offset_groups": 7}}
    with pytest.raises(InvalidInput) as error:
        run_stage(expand.STAGE, config, tmp_path / "x", dataset(workspace), classifier=workspace / "classify")
    assert error.value.subject == "sampler"
    channels = str(weights(workspace / "classify")["head.weight"].shape[1])
    assert all(part in error.value.problem for part in ("offset_groups: ", channels, "(1, 2, ", "7"))
    other = Classes(("background", "red", "blue"), CLASSES.values)
    with pytest.raises(InvalidInput) as error:
        run_stage(
            expand.STAGE, TRAINING, tmp_path / "y", dataset(workspace, classes=other), classifier=workspace / "classify"
        )
    assert error.value.subject == str(workspace / "classify")
    assert "red, green" in error.value.problem and "red, blue" in error.value.problem


@pytest.mark.parametrize("stage", [expand.STAGE, shrink.STAGE, cam.STAGE])
def test_an_invalid_input_does_not_change_a_finished_folder(workspace: Path, tmp_path: Path, stage: Any) -> None:
    data, out = dataset(workspace), tmp_path / "out"
    config = stage.config(**({"splits": ["val"]} if stage is cam.STAGE else TRAINING))

    def run(folder: Path, config: Any = config) -> None:
        from wsss.pipeline.run.runner import run_stage

        run_stage(stage, config, out=out, inputs={"classifier": Artifact(folder)}, data=data)

    run(workspace / "classify")
    before = contents(out)
    for folder in (workspace / "data", *([workspace / "shrink"] if stage is not cam.STAGE else [])):
        with pytest.raises(InvalidInput) as error:
            run(folder)
        assert "'out'" in str(error.value.subject) and str(error.value.subject).endswith(str(folder))
    if stage is not cam.STAGE:
        with pytest.raises(InvalidInput) as error:
            run(workspace / "classify", stage.config(**TRAINING | {"sampler": {"offset_groups": 7}}))
        assert str(error.value.subject).endswith("sampler") and "offset_groups" in error.value.problem
    assert contents(out) == before
    record = json.loads((out / "stage.json").read_text())
    assert record["status"] == "done"


def test_update_sampler_trains_offsets_and_kernel(workspace: Path, tmp_path: Path) -> None:
    for number, trainable in enumerate((["sampler", "head"], ["offsets", "kernel", "head"])):
        config = TRAINING | {"trainable": trainable}
        run_stage(expand.STAGE, config, tmp_path / str(number), dataset(workspace), classifier=workspace / "classify")
    assert contents(tmp_path / "0") == contents(tmp_path / "1")
    config = TRAINING | {"trainable": ["sampler"], "sampler": {"offsets": "none", "kernel_size": 3}}
    run_stage(expand.STAGE, config, tmp_path / "2", dataset(workspace), classifier=workspace / "classify")


@pytest.mark.slow
def test_placement_of_the_shrinkage_sampler(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    widened = SMALL_TRAINING | {"backbone": {"name": "mobilenet_v2", "weights": "none"}, "epochs": 1}
    run_stage(classify.STAGE, widened, tmp_path / "classify", data)
    run_stage(expand.STAGE, TRAINING, tmp_path / "expand", data, classifier=tmp_path / "classify")
    for placement, channels in ((None, 320), ("bottleneck", 320), ("features", 1280)):
        out = tmp_path / str(placement)
        config = SHRINKING | {"placement": placement}
        run_stage(shrink.STAGE, config, out, data, classifier=tmp_path / "classify")
        assert weights(out)["samplers.shrinkage.kernel"].shape[0] == channels
    same, other = (SHRINKING | {"placement": placement} for placement in ("bottleneck", "features"))
    run_stage(shrink.STAGE, same, tmp_path / "same", data, classifier=tmp_path / "expand")
    with pytest.raises(InvalidInput) as error:
        run_stage(shrink.STAGE, other, tmp_path / "x", data, classifier=tmp_path / "expand")
    assert (error.value.subject, error.value.found) == ("shrink.placement", "features")


def test_diverged_training_is_an_error(workspace: Path, tmp_path: Path) -> None:
    config = TRAINING | {"optimiser": {"name": "adamw", "lr": 1e36}, "trainable": ["offsets", "kernel", "head"]}
    config |= {"sampler": {"max_offset": None}}
    with pytest.raises(RunFailed):
        run_stage(expand.STAGE, config, tmp_path, dataset(workspace), classifier=workspace / "classify")


def test_a_control_can_still_be_expanded(workspace: Path, tmp_path: Path) -> None:
    data = dataset(workspace)
    run_stage(expand.STAGE, TRAINING | {"sampler": None}, tmp_path / "c", data, classifier=workspace / "classify")
    run_stage(expand.STAGE, TRAINING, tmp_path / "e", data, classifier=tmp_path / "c")
    assert load_classifier(tmp_path / "e")[0].samplers.expansion is not None


@pytest.mark.slow
@pytest.mark.parametrize("merge", ["shrinkage", "mean", "max", "expansion"])
def test_scores_are_those_of_the_saved_classifier(
    workspace: Path, tmp_path: Path, merge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compares probabilities, because average precision has ties on two similar images."""
    from wsss.data.label_matrix import label_matrix
    from wsss.io.rasters.rgb_images import read_image
    from wsss.train.tasks import classification

    scored: list[Any] = []
    score = classification.multilabel_scores

    def remember(probabilities: Any, labels: Any) -> Any:
        scored.append(probabilities)
        return score(probabilities, labels)

    monkeypatch.setattr(classification, "multilabel_scores", remember)
    data = dataset(workspace)
    config = SHRINKING | {"merge": merge, "sampler": {"offset_init": 0.1}}
    run_stage(shrink.STAGE, config, tmp_path, data, classifier=workspace / "expand")
    held_out = data.splits["val"]
    images = [read_image(sample.image) for sample in held_out]
    model, _ = load_classifier(tmp_path)
    classification.score_classifier(model, images, label_matrix(held_out, 2), size=32)  # type: ignore[arg-type]
    np.testing.assert_allclose(scored[-1], scored[-2], rtol=1e-4)
    other = {"mean": "shrinkage", "max": "shrinkage", "expansion": "shrinkage", "shrinkage": "expansion"}[merge]
    assert model.config.sampling is not None
    model.resample(model.config.sampling.model_copy(update={"merge": other}))
    classification.score_classifier(model.eval(), images, label_matrix(held_out, 2), size=32)  # type: ignore[arg-type]
    assert np.abs(scored[-1] - scored[-2]).max() > 1e-4


def test_areas() -> None:
    maps = torch.zeros(1, 3, 4, 4)
    maps[0, 0, :2] = 5.0
    maps[0, 1] = -1.0
    maps[0, 2, 0, 0] = 2.0
    torch.testing.assert_close(map_areas(maps), torch.tensor([[0.5, 0.0, 1 / 16]]))


def test_the_area_term_has_gradients_of_positive_values_and_reversed_ones_for_offsets() -> None:
    maps = torch.tensor([[[[4.0, 2.0, -1.0]]]], requires_grad=True)
    map_areas(maps).sum().backward()
    assert maps.grad is not None
    torch.testing.assert_close(maps.grad, torch.tensor([[[[1 / 12, 1 / 12, 0.0]]]]))

    from wsss.models.sampler_config import ExpansionConfig
    from wsss.models.samplers import ExpansionSampler

    gradients = []
    for reversal in (0.0, 1.0):
        torch.manual_seed(0)
        sampler = ExpansionSampler(ExpansionConfig(reversal=reversal, offset_init=0.1), 3)
        features = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(1))
        (-5 * map_areas(sampler(features)).sum()).backward()
        assert sampler.branch is not None
        assert sampler.kernel.grad is not None
        gradients.append((sampler.branch[-1].weight.grad, sampler.kernel.grad))
    torch.testing.assert_close(gradients[1][0], -gradients[0][0])
    torch.testing.assert_close(gradients[1][1], gradients[0][1])


def test_area_loss_uses_present_classes() -> None:
    logits = torch.zeros(2, 2)
    areas = torch.tensor([[0.5, 0.9], [0.25, 0.75]])
    labels = torch.tensor([[1.0, 0.0], [1.0, 1.0]])

    class Fixed(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return logits, areas

    loss = float(area_loss(0.3, Fixed(), (torch.zeros(2, 3, 4, 4), labels)))
    assert loss == pytest.approx(math.log(2) + 0.3 * (0.5 + 0.25 + 0.75) / 3)


def test_a_translation_shows_in_the_signed_means() -> None:
    offsets = torch.zeros(1, 4, 3, 5)
    offsets[:, 0::2] = 0.5  # rows of both taps
    offsets[:, 1::2] = -0.25
    summary = offset_summary([offsets, offsets[..., :2]])
    assert summary == {"offset_size": 0.375, "offset_rows": 0.5, "offset_columns": -0.25, "offset_drift": 0.375}
    opposite = offset_summary([offsets, -offsets])
    assert opposite == {"offset_size": 0.375, "offset_rows": 0.0, "offset_columns": 0.0, "offset_drift": 0.375}
