"""`clip` on small coloured images: maps, later stages, resumption, wrong inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from learning import coloured_dataset, contents, run_stage
from onethread import one_thread
from tinyclip import CONFIG, random_clip, register, write_weights

import wsss
from wsss.data.dataset import Dataset
from wsss.errors import InvalidInput
from wsss.io.files.stage_files import cam_path, mask_path
from wsss.io.rasters.cams import read_cams
from wsss.io.rasters.rgb_images import read_image
from wsss.models.clip import clip_config
from wsss.models.clip.clip_config import BACKGROUND, ClassAwareAttention, ClipWeights
from wsss.models.clip.clip_maps import clip_maps
from wsss.models.clip.clip_weights import load_clip
from wsss.stages import STAGES
from wsss.validation import validate

pytest.importorskip("open_clip")

__all__ = ["one_thread"]  # a fixture of every test here

CLIP = STAGES["clip"]
ATTENTION: dict[str, Any] = {"blocks": 2}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and the weights of a registered architecture."""
    workspace = tmp_path_factory.mktemp("clip")
    register(workspace)
    write_weights(workspace)
    coloured_dataset(workspace / "data")
    return workspace


@pytest.fixture
def images(workspace: Path) -> Dataset:
    return coloured_dataset(workspace / "data")


def config(workspace: Path, **settings: Any) -> dict[str, Any]:
    weights = {"path": str(workspace / "clip.pt")}
    return {"model": "tiny-clip", "weights": weights, "attention": ATTENTION, "template": "a {}.", **settings}


def test_maps_are_those_of_the_labelled_classes(workspace: Path, images: Dataset, tmp_path: Path) -> None:
    """Prompts and their means are composed here; the labelled classes compete with each other and the background."""
    prompts, background = {"green": ["lawn", "green paper"]}, ["grass", "sky"]
    settings = config(workspace, prompts=prompts, background=background, scales=[1, 0.5], flip=True, stride=2)
    result = run_stage(CLIP, settings, tmp_path, images)
    network = load_clip("tiny-clip", ClipWeights(path=workspace / "clip.pt"), "patches")
    green = F.normalize(network.embed_texts(["a lawn.", "a green paper."]).mean(0), dim=0)
    classes = torch.stack([network.embed_texts(["a red."])[0], green])
    others = network.embed_texts(["a grass.", "a sky."])
    counts = set()
    for sample in images.samples(["train"]):
        labels = sample.labels or ()
        counts.add(len(labels))
        cams, image = read_cams(cam_path(tmp_path, sample.id)), read_image(sample.image)
        assert cams.classes == labels and cams.size == (36, 44) and cams.maps.shape[1:] == (18, 22)
        texts = torch.cat([classes[[index - 1 for index in labels]], others])
        views: dict[str, Any] = {"scales": (1, 0.5), "flip": True, "stride": 2, "max_side": 512}
        maps = clip_maps(network, image, texts, len(labels), attention=ClassAwareAttention(blocks=2), **views)
        expected = (maps / maps.amax((1, 2), keepdim=True)).numpy()
        np.testing.assert_allclose(cams.maps, expected, atol=1e-3)
        assert cams.maps.std() > 0.05
    assert counts == {1, 2}
    assert result.metrics["images"] == 4 and 0 < result.metrics["mean_activation"] < 1
    stated = result.provenance["cam"]
    assert stated["method"] == "clip" and stated["prompts"] == prompts and stated["background"] == background
    assert result.provenance["initial_weights"].startswith("clip.pt (sha256 ")


def test_images_without_a_class_and_with_unknown_ones(workspace: Path, images: Dataset, tmp_path: Path) -> None:
    first, second, *others = images.splits["train"]
    samples = (replace(first, labels=()), replace(second, labels=(2,), unknown=(1,)), *others)
    lines: list[str] = []
    data = replace(images, splits={"train": samples})
    run_stage(CLIP, config(workspace), tmp_path, data, lines=lines)
    assert read_cams(cam_path(tmp_path, first.id)).maps.shape == (0, 9, 11)
    assert read_cams(cam_path(tmp_path, second.id)).classes == (2,)
    assert any("unknown presence" in line and second.id in line for line in lines)


@pytest.mark.slow
def test_settings_change_the_maps(workspace: Path, images: Dataset, tmp_path: Path) -> None:
    variants: dict[str, dict[str, Any]] = {
        "default": {},
        "no attention": {"attention": None},
        "one step": {"attention": ATTENTION | {"steps": 1}},
        "one block": {"attention": {"blocks": 1}},
        "boxes": {"attention": ATTENTION | {"box_threshold": 0.9}},
        "class token": {"image_embedding": "class_token"},
        "template": {"template": "a photo of the {}."},
        "flip": {"flip": True},
        "size": {"max_side": 24},
    }
    seen = set()
    lines: list[str] = []
    for name, settings in variants.items():
        run_stage(CLIP, config(workspace, splits=["val"], **settings), tmp_path / name, images, lines=lines)
        seen.add(cam_path(tmp_path / name, "val1").read_bytes())
    assert len(seen) == len(variants)
    assert sum("were downscaled to 24 pixels" in line for line in lines) == 1


@pytest.mark.slow
def test_an_interrupted_run_and_workers_give_the_same_bytes(
    workspace: Path, images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stage(CLIP, config(workspace), tmp_path / "whole", images)
    run_stage(CLIP, config(workspace), tmp_path / "again", images, workers=2)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    cam_path(tmp_path / "again", "train1").unlink()
    kept = cam_path(tmp_path / "again", "train0").stat().st_mtime_ns
    cam_path(tmp_path / "again", "train2").write_bytes(b"truncated")
    lines: list[str] = []
    run_stage(CLIP, config(workspace), tmp_path / "again", images, lines=lines)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert cam_path(tmp_path / "again", "train0").stat().st_mtime_ns == kept
    assert any("computed again" in line for line in lines)


def test_background_prompts_that_are_classes_are_left_out(workspace: Path, images: Dataset, tmp_path: Path) -> None:
    lines: list[str] = []
    background = ["grass", "Red", "lawn"]
    settings = config(workspace, background=background, prompts={"green": ["lawn"]})
    run_stage(CLIP, settings, tmp_path / "left", images, lines=lines)
    run_stage(CLIP, settings | {"background": ["grass"]}, tmp_path / "out", images)
    assert contents(tmp_path / "left") == contents(tmp_path / "out")
    assert [line for line in lines if "left out: Red, lawn" in line]


PIPELINE = """\
name: clip
data: {layout: shapes, size: 40, train: 3, val: 1, classes: 2}
stages:
  clip: {uses: clip, with: {model: tiny-clip, weights: {path: WEIGHTS}, attention: {blocks: 2}}}
  other: {uses: clip, with: {model: tiny-clip, weights: {path: WEIGHTS}, attention: null}}
  average: {uses: average, needs: [clip, other]}
  propagate: {uses: propagate, needs: [average], with: {affinity: colour, steps: 4}}
  pseudo: {uses: pseudo, needs: [propagate], with: {preset: pseudo/otsu_li}}
  crf: {uses: crf, needs: [pseudo, propagate], with: {preset: crf/irn, iterations: 1}}
  score: {uses: score, needs: [crf], with: {split: train}}
  report: {uses: report, needs: [clip, crf, score], with: {splits: [train]}}
"""


@pytest.mark.slow
def test_a_pipeline_makes_masks_from_the_maps(workspace: Path, tmp_path: Path) -> None:
    file, run_dir = tmp_path / "clip.yaml", tmp_path / "run"
    file.write_text(PIPELINE.replace("WEIGHTS", str(workspace / "clip.pt")), encoding="utf-8")

    def run(**keys: Any) -> dict[str, str]:
        done = wsss.run_pipeline(file, keys, run_dir, device="cpu", workers=0, quiet=True)
        return {stage["id"]: stage["status"] for stage in done["stages"]}

    assert set(run().values()) == {"done"}
    names = [path.stem for path in (run_dir / "clip" / "cams").iterdir()]
    assert len(names) == 3 and all(mask_path(run_dir / "crf", name).is_file() for name in names)
    assert "clip.pt" in (run_dir / "report" / "index.html").read_text(encoding="utf-8")
    assert set(run().values()) == {"skipped"}
    statuses = run(**{"clip.flip": True})
    assert {id for id, status in statuses.items() if status == "skipped"} == {"other"}


def refused(workspace: Path, images: Any, **settings: Any) -> InvalidInput:
    """Run the checks before a run."""
    checked = validate(CLIP.config, config(workspace, **settings), where="clip")
    with pytest.raises(InvalidInput) as error:
        CLIP.check(checked, images)
        CLIP.prepare(checked, images)
    return error.value


def test_unsupported_architectures_are_refused(workspace: Path, images: Dataset, tmp_path: Path) -> None:
    for name, problem in {
        "ViT-B-61": "unknown architecture",
        "hf-hub:laion/CLIP-ViT-B-16": "unknown architecture",
        "RN50": "not a vision transformer of open_clip",
        "ViT-B-16-SigLIP": "",
        "ViT-H-14-CLIPA": "would be downloaded",
        "xlm-roberta-base-ViT-B-32": "would be downloaded",
        "coca_ViT-B-32": "not a vision transformer of open_clip",
    }.items():
        error = refused(workspace, images, model=name)
        assert error.subject == "clip.model" and problem in error.message
        assert isinstance(error.allowed, tuple) and {"ViT-B-16", "tiny-clip"} <= set(error.allowed)
        assert "RN50" not in error.allowed
    vision = CONFIG["vision_cfg"] | {"qk_norm": True}
    register(tmp_path, "tiny-custom", CONFIG | {"vision_cfg": vision})
    assert refused(workspace, images, model="tiny-custom").subject == "clip.model"


def test_weights_that_do_not_fit_are_refused(workspace: Path, images: Dataset, tmp_path: Path) -> None:
    assert refused(workspace, images, weights=None).subject == "clip.weights"
    path = tmp_path / "clip.pt"
    weights = {"path": str(path)}
    assert refused(workspace, images, weights=weights).subject == str(path)
    state = torch.load(workspace / "clip.pt", weights_only=True)
    torch.save({name: value for name, value in state.items() if not name.startswith("visual.proj")}, path)
    error = refused(workspace, images, weights=weights)
    assert error.subject == str(path) and "visual.proj" in error.message
    torch.save(state | {"visual.proj": state["visual.proj"] * float("nan")}, path)
    assert "visual.proj" in str(refused(workspace, images, weights=weights).subject)
    torch.save(random_clip(40).state_dict(), path)
    assert "positional_embedding" in refused(workspace, images, weights=weights).message
    register(tmp_path, "tiny-gelu", CONFIG | {"quick_gelu": False})
    torch.save(state | {"input_resolution": torch.tensor(32)}, path)
    error = refused(workspace, images, weights=weights, model="tiny-gelu")
    assert error.subject == "clip.model" and error.allowed == "tiny-gelu-quickgelu"
    torch.save(state, path)
    path.write_bytes(path.read_bytes().replace(b"PK\x01\x02", b"damaged"))
    assert "damaged" in refused(workspace, images, weights=weights).message
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    error = refused(workspace, images, weights=weights)
    assert error.subject == str(path) and "TorchScript" in error.message and "torch.jit.load" in str(error.hint)


def test_settings_without_meaning_are_refused(workspace: Path, images: Dataset) -> None:
    error = refused(workspace, images, prompts={"blue": ["sky"]})
    assert error.subject == "clip.prompts" and error.found == "blue" and error.allowed == ("red", "green")
    assert refused(workspace, images, prompts={"red": []}).subject == "clip.prompts.red"
    assert refused(workspace, images, background=["RED", "green"]).subject == "clip.background"
    assert refused(workspace, images, prompts={"red": ["red " * 40]}).subject == "clip.prompts"
    error = refused(workspace, images, attention={"blocks": 4})
    assert error.subject == "clip.attention.blocks" and error.allowed == "1 to 3"
    for settings, subject in (
        ({"template": "a photo"}, "clip.template"),
        ({"background": []}, "clip.background"),
        ({"max_side": 1500, "scales": [1, 1.5]}, "clip"),
    ):
        with pytest.raises(InvalidInput) as raised:
            validate(CLIP.config, config(workspace, **settings), where="clip")
        assert raised.value.subject == subject


def test_labels_and_the_package_are_required(workspace: Path, images: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = tuple(replace(sample, labels=None) for sample in images.splits["train"])
    error = refused(workspace, replace(images, splits={"train": samples}))
    assert "no image-level labels" in error.message
    monkeypatch.setattr(clip_config, "find_spec", lambda name: None)
    error = refused(workspace, images)
    assert error.subject == "clip.model" and "pip install 'wsss[clip]'" in str(error.hint)


def test_the_default_background_is_that_of_the_paper() -> None:
    assert len(BACKGROUND) == len(set(BACKGROUND)) == 25
