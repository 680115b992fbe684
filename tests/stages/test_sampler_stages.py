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

from wsss.data.sample import Classes, Dataset
from wsss.errors import InvalidInput, RunFailed
from wsss.io.rasters.offsets import read_offsets
from wsss.models.classifier import CAMClassifier, load_classifier
from wsss.pipeline.stage import Artifact
from wsss.stages import cam, classify, expand, shrink
from wsss.stages.common import sampler_stage
from wsss.train.sampler_training import area_loss, map_areas, offset_summary

__all__ = ["one_thread"]  # a fixture of every test here

TRAINING = {name: value for name, value in SMALL_TRAINING.items() if name != "backbone"} | {"val": "val", "show": 1}
SHRINKING = TRAINING | {"merge": "shrinkage", "update": ["offsets", "kernel", "head"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, its classifier, the same with an expansion sampler, and with both."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("sampling")
    data = dataset(place)
    run_stage(classify.STAGE, SMALL_TRAINING, place / "classify", data)
    run_stage(expand.STAGE, TRAINING, place / "expand", data, classifier=place / "classify")
    run_stage(shrink.STAGE, SHRINKING, place / "shrink", data, classifier=place / "expand")
    return place


def dataset(place: Path, **keys: Any) -> Dataset:
    return coloured_dataset(place / "data", **keys)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_classifier(folder)[0].state_dict())


def test_expand_makes_a_classifier_with_offsets_to_look_at(place: Path, tmp_path: Path) -> None:
    found = contents(place / "expand")
    assert set(found) == {"model.safetensors", "model.json", "history.csv", "offsets/val0.npz"}
    result = run_stage(expand.STAGE, TRAINING, tmp_path / "e", dataset(place), classifier=place / "classify")
    assert contents(tmp_path / "e") == found
    assert result.provenance["samplers"] == "expansion"
    assert {"offset_size", "offset_rows", "offset_columns", "val_map", "train_loss"} <= result.metrics.keys()
    rows = list(csv.DictReader((place / "expand" / "history.csv").read_text().splitlines()))
    assert float(rows[-1]["offset_size"]) == pytest.approx(result.metrics["offset_size"], rel=1e-5)
    assert float(rows[0]["offset_size"]) > 0
    json.dumps(result.metrics, allow_nan=False)


def test_offsets_of_the_shown_image_are_those_of_the_saved_classifier(place: Path) -> None:
    from wsss.io.rasters.rgb_images import read_image

    for stage in ("expand", "shrink"):
        shown = read_offsets(place / stage / "offsets" / "val0.npz")
        assert shown.stride == 16
        assert shown.size == (36, 44)
        model, _ = load_classifier(place / stage)
        image = read_image(dataset(place).splits["val"][0].image)
        with torch.no_grad():
            expected = model.samplers.offsets(model.features(torch.from_numpy(image).permute(2, 0, 1)[None]))
        assert expected is not None
        np.testing.assert_allclose(shown.offsets[0], expected[0].numpy(), atol=2e-3)


@pytest.mark.parametrize("max_side", [22, None])
def test_offsets_of_large_images_are_measured_on_reduced_ones(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_side: int | None
) -> None:
    """A default bounds what an image of 24 megapixels takes; ``max_side`` of the stage comes first."""
    seen: list[tuple[int, ...]] = []
    features = CAMClassifier.features

    def watched(model: CAMClassifier, images: torch.Tensor, *more: Any) -> torch.Tensor:
        seen.append(tuple(images.shape[2:]))
        return features(model, images, *more)

    monkeypatch.setattr(sampler_stage, "LARGEST", 22 if max_side is None else 40)
    monkeypatch.setattr(CAMClassifier, "features", watched)
    data = dataset(tmp_path, val=2)
    run_stage(expand.STAGE, TRAINING | {"max_side": max_side}, tmp_path / "e", data, classifier=place / "classify")
    shown = read_offsets(tmp_path / "e" / "offsets" / "val0.npz")
    assert (18, 22) in seen and (36, 44) not in seen
    assert shown.size == (36, 44) and shown.stride == 32 and shown.offsets.shape[2:] == (2, 2)


def test_only_what_is_in_the_scope_learns(place: Path, tmp_path: Path) -> None:
    before = weights(place / "classify")
    config = TRAINING | {"update": ["offsets"]}
    run_stage(expand.STAGE, config, tmp_path / "o", dataset(place), classifier=place / "classify")
    after = weights(tmp_path / "o")
    assert all(torch.equal(after[name], value) for name, value in before.items())
    everything = TRAINING | {"update": ["offsets", "kernel", "head", "trunk"]}
    run_stage(expand.STAGE, everything, tmp_path / "t", dataset(place), classifier=place / "classify")
    after = weights(tmp_path / "t")
    assert not torch.equal(after["backbone.low.0.0.weight"], before["backbone.low.0.0.weight"])
    trained = weights(place / "expand")
    assert torch.equal(trained["backbone.low.0.0.weight"], before["backbone.low.0.0.weight"])
    assert not torch.equal(trained["head.weight"], before["head.weight"])


def test_shrink_keeps_the_expansion_sampler(place: Path) -> None:
    expanded, shrunk = weights(place / "expand"), weights(place / "shrink")
    names = [name for name in expanded if name.startswith("samplers.expansion.")]
    assert names
    assert all(torch.equal(expanded[name], shrunk[name]) for name in names)
    description = json.loads((place / "shrink" / "model.json").read_text())["config"]["sampling"]
    assert description["merge"] == "shrinkage"
    assert description["expansion"] is not None


def test_merging_is_a_matter_of_the_finished_classifier(place: Path, tmp_path: Path) -> None:
    config = SHRINKING | {"merge": "max"}
    result = run_stage(shrink.STAGE, config, tmp_path / "m", dataset(place), classifier=place / "expand")
    assert result.provenance["samplers"] == "expansion, shrinkage (maps: max)"
    one, other = weights(tmp_path / "m"), weights(place / "shrink")
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert load_classifier(tmp_path / "m")[0].samplers.config.merge == "max"


def test_shrink_works_without_expansion_and_cam_with_all_three(place: Path, tmp_path: Path) -> None:
    data = dataset(place)
    run_stage(shrink.STAGE, TRAINING, tmp_path / "s", data, classifier=place / "classify")
    maps = {}
    for folder in (place / "classify", place / "expand", place / "shrink", tmp_path / "s"):
        out = tmp_path / f"cams of {folder.parent.name} {folder.name}"
        run_stage(cam.STAGE, {"scales": [1]}, out, data, classifier=folder)
        maps[out.name] = contents(out)
    assert len({str(sorted(found)) for found in maps.values()}) == 1
    assert len({repr(found) for found in maps.values()}) == 4


def test_a_control_trains_on_without_a_sampler(place: Path, tmp_path: Path) -> None:
    result = run_stage(
        expand.STAGE, TRAINING | {"sampler": None}, tmp_path / "c", dataset(place), classifier=place / "classify"
    )
    assert "offset_size" not in result.metrics
    assert not (tmp_path / "c" / "offsets").exists()
    before, after = weights(place / "classify"), weights(tmp_path / "c")
    assert before.keys() == after.keys()
    assert not torch.equal(before["head.weight"], after["head.weight"])


@pytest.mark.parametrize(
    ("stage", "on", "message"),
    [
        (expand.STAGE, "expand", "has samplers already"),
        (expand.STAGE, "shrink", "has samplers already"),
        (shrink.STAGE, "shrink", "has a shrinkage sampler already"),
    ],
)
def test_a_sampler_comes_once(place: Path, tmp_path: Path, stage: Any, on: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run_stage(stage, TRAINING, tmp_path / "x", dataset(place), classifier=place / on)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sampler": None, "update": ["kernel", "head"]}, "kernel can't learn.* there is no sampler; here can .* head"),
        ({"sampler": {"offsets": "none"}, "update": ["offsets"]}, "offsets are 'none'; here can learn head, kernel"),
        ({"update": ["kernel", "head"]}, "without offsets: those of the sampler would stay next to 0"),
        ({"sampler": {"offsets": "random", "max_offset": None}}, "feature pixels for random offsets"),
    ],
)
def test_settings_that_contradict_each_other(place: Path, tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run_stage(expand.STAGE, TRAINING | config, tmp_path, dataset(place), classifier=place / "classify")


def test_the_default_update_is_what_there_is(place: Path, tmp_path: Path) -> None:
    config = TRAINING | {"sampler": {"offsets": "none", "kernel_size": 3}}
    run_stage(expand.STAGE, config, tmp_path, dataset(place), classifier=place / "classify")
    assert "samplers.expansion.kernel" in weights(tmp_path)


def test_a_shrinkage_without_effect_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="maps would stay as they were; allowed are shrinkage, mean, max"):
        run_stage(
            shrink.STAGE, TRAINING | {"merge": "expansion"}, tmp_path, dataset(place), classifier=place / "expand"
        )


def test_offsets_without_bounds_end_with_an_explanation(place: Path, tmp_path: Path) -> None:
    config = TRAINING | {"sampler": {"max_offset": None, "offset_init": 1e6}}
    with pytest.raises(RunFailed, match="grown without bounds"):
        run_stage(expand.STAGE, config, tmp_path, dataset(place), classifier=place / "classify")


def test_samplers_that_do_not_fit_and_other_classes(place: Path, tmp_path: Path) -> None:
    config = TRAINING | {"sampler": {"offset_groups": 7}}
    with pytest.raises(InvalidInput, match=r"offset_groups: expected a divisor of the 320 channels .1, 2, 4, 5, 8"):
        run_stage(expand.STAGE, config, tmp_path / "x", dataset(place), classifier=place / "classify")
    other = Classes(("background", "red", "blue"), CLASSES.values)
    with pytest.raises(InvalidInput, match="The classifier knows the classes red, green"):
        run_stage(expand.STAGE, TRAINING, tmp_path / "y", dataset(place, classes=other), classifier=place / "classify")


@pytest.mark.parametrize("stage", [expand.STAGE, shrink.STAGE, cam.STAGE])
def test_an_input_that_does_not_fit_leaves_a_finished_folder_as_it_was(place: Path, tmp_path: Path, stage: Any) -> None:
    data, out = dataset(place), tmp_path / "out"
    config = stage.config(**({"splits": ["val"]} if stage is cam.STAGE else TRAINING))

    def run(folder: Path, config: Any = config) -> None:
        from wsss.pipeline.run.runner import run_stage

        run_stage(stage, config, out=out, inputs={"classifier": Artifact(folder)}, data=data)

    run(place / "classify")
    before = contents(out)
    wrong = [(place / "data", "no model here"), (place / "shrink", "sampler") if stage is not cam.STAGE else None]
    for folder, message in filter(None, wrong):
        with pytest.raises(InvalidInput, match=f"Stage 'out' failed: .*{message}"):
            run(folder)
    if stage is not cam.STAGE:
        with pytest.raises(InvalidInput, match="offset_groups: 7"):
            run(place / "classify", stage.config(**TRAINING | {"sampler": {"offset_groups": 7}}))
    assert contents(out) == before
    record = json.loads((out / "stage.json").read_text())
    assert record["status"] == "done"


def test_the_scope_sampler_is_offsets_and_kernel(place: Path, tmp_path: Path) -> None:
    for number, update in enumerate((["sampler", "head"], ["offsets", "kernel", "head"])):
        config = TRAINING | {"update": update}
        run_stage(expand.STAGE, config, tmp_path / str(number), dataset(place), classifier=place / "classify")
    assert contents(tmp_path / "0") == contents(tmp_path / "1")
    config = TRAINING | {"update": ["sampler"], "sampler": {"offsets": "none", "kernel_size": 3}}
    run_stage(expand.STAGE, config, tmp_path / "2", dataset(place), classifier=place / "classify")
    with pytest.raises(InvalidInput, match="sampler can't learn, since there is no sampler; here can learn head"):
        config = TRAINING | {"update": ["sampler"], "sampler": None}
        run_stage(expand.STAGE, config, tmp_path / "3", dataset(place), classifier=place / "classify")


def test_shrinkage_stands_where_it_is_told_to(place: Path, tmp_path: Path) -> None:
    data = dataset(place)
    for placement, channels in ((None, 320), ("bottleneck", 320), ("features", 1280)):
        out = tmp_path / str(placement)
        config = SHRINKING | {"placement": placement}
        run_stage(shrink.STAGE, config, out, data, classifier=place / "classify")
        assert weights(out)["samplers.shrinkage.kernel"].shape[0] == channels
    run_stage(
        shrink.STAGE, SHRINKING | {"placement": "bottleneck"}, tmp_path / "same", data, classifier=place / "expand"
    )
    with pytest.raises(InvalidInput, match=r"placement: features, but the expansion sampler of .* at bottleneck"):
        run_stage(
            shrink.STAGE, SHRINKING | {"placement": "features"}, tmp_path / "x", data, classifier=place / "expand"
        )


def test_offsets_that_diverge_end_with_an_explanation(place: Path, tmp_path: Path) -> None:
    config = TRAINING | {"optimiser": {"name": "adamw", "lr": 1e36}, "update": ["offsets", "kernel", "head"]}
    config |= {"sampler": {"max_offset": None}}
    with pytest.raises(RunFailed, match=r"no longer finite|loss is nan|loss is inf|grown without bounds"):
        run_stage(expand.STAGE, config, tmp_path, dataset(place), classifier=place / "classify")


def test_a_control_can_still_be_expanded(place: Path, tmp_path: Path) -> None:
    data = dataset(place)
    run_stage(expand.STAGE, TRAINING | {"sampler": None}, tmp_path / "c", data, classifier=place / "classify")
    run_stage(expand.STAGE, TRAINING, tmp_path / "e", data, classifier=tmp_path / "c")
    assert load_classifier(tmp_path / "e")[0].samplers.expansion is not None


@pytest.mark.parametrize("merge", ["shrinkage", "mean", "max", "expansion"])
def test_scores_are_those_of_the_saved_classifier(
    place: Path, tmp_path: Path, merge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Probabilities, since average precision has ties: this network tells the two images hardly apart."""
    from wsss.data.readers.label_matrix import label_matrix
    from wsss.io.rasters.rgb_images import read_image
    from wsss.train import classification

    scored: list[Any] = []
    score = classification.multilabel_scores

    def remember(probabilities: Any, labels: Any) -> Any:
        scored.append(probabilities)
        return score(probabilities, labels)

    monkeypatch.setattr(classification, "multilabel_scores", remember)
    data = dataset(place)
    config = SHRINKING | {"merge": merge, "sampler": {"offset_init": 0.1}}
    run_stage(shrink.STAGE, config, tmp_path, data, classifier=place / "expand")
    held_out = data.splits["val"]
    images = [read_image(sample.image) for sample in held_out]
    model, _ = load_classifier(tmp_path)
    classification.score_classifier(model, images, label_matrix(held_out, 2), size=32)  # type: ignore[arg-type]
    np.testing.assert_allclose(scored[-1], scored[-2], rtol=1e-4)
    other = {"mean": "shrinkage", "max": "shrinkage", "expansion": "shrinkage", "shrinkage": "expansion"}[merge]
    assert model.config.sampling is not None
    model.resample(model.config.sampling.model_copy(update={"merge": other}))
    classification.score_classifier(model.eval(), images, label_matrix(held_out, 2), size=32)  # type: ignore[arg-type]
    assert np.abs(scored[-1] - scored[-2]).max() > 1e-4, "the merge rule makes a difference here"


def test_areas() -> None:
    maps = torch.zeros(1, 3, 4, 4)
    maps[0, 0, :2] = 5.0
    maps[0, 1] = -1.0
    maps[0, 2, 0, 0] = 2.0
    torch.testing.assert_close(map_areas(maps), torch.tensor([[0.5, 0.0, 1 / 16]]))


def test_an_area_term_pulls_positive_parts_of_a_map_and_the_offsets_against_it() -> None:
    maps = torch.tensor([[[[4.0, 2.0, -1.0]]]], requires_grad=True)
    map_areas(maps).sum().backward()
    assert maps.grad is not None
    torch.testing.assert_close(maps.grad, torch.tensor([[[[1 / 12, 1 / 12, 0.0]]]]))

    from wsss.models.config import ExpansionConfig
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


def test_area_loss_counts_the_classes_that_are_there() -> None:
    logits = torch.zeros(2, 2)
    areas = torch.tensor([[0.5, 0.9], [0.25, 0.75]])
    labels = torch.tensor([[1.0, 0.0], [1.0, 1.0]])

    class Fixed(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return logits, areas

    found = float(area_loss(0.3, Fixed(), (torch.zeros(2, 3, 4, 4), labels)))
    assert found == pytest.approx(math.log(2) + 0.3 * (0.5 + 0.25 + 0.75) / 3)


def test_a_translation_shows_in_the_signed_means() -> None:
    offsets = torch.zeros(1, 4, 3, 5)
    offsets[:, 0::2] = 0.5  # rows of both taps
    offsets[:, 1::2] = -0.25
    found = offset_summary([offsets, offsets[..., :2]])
    assert found == {"offset_size": 0.375, "offset_rows": 0.5, "offset_columns": -0.25, "offset_drift": 0.375}
    opposite = offset_summary([offsets, -offsets])
    assert opposite == {"offset_size": 0.375, "offset_rows": 0.0, "offset_columns": 0.0, "offset_drift": 0.375}
