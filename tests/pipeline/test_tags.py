"""Settings of one loss do not apply to another: a mapping with another tag is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from wsss.cli.commands.stages import config_source
from wsss.pipeline.config.source import merge, parse_yaml
from wsss.pipeline.config.spec import load_spec
from wsss.pipeline.plan.graph import build_jobs
from wsss.pipeline.stage import Result, Stage, StageConfig
from wsss.stages import STAGES


class CrossEntropy(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Literal["ce"]
    smoothing: float = 0


class Dice(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Literal["dice"]
    per_image: bool = False
    smooth: float = 1


class Config(StageConfig):
    loss: Annotated[CrossEntropy | Dice, Field(discriminator="name")] = CrossEntropy(name="ce")
    epochs: int = 1


STAGE = Stage("learn", 1, Config, lambda ctx: Result({}), "model", "x")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "ce.yaml").write_text("epochs: 3\nloss: {name: ce, smoothing: 0.1}\n")
    (tmp_path / "configs" / "dice.yaml").write_text("loss: {name: dice, per_image: true}\n")
    return tmp_path


def loss(text: str, *sets: str) -> dict[str, Any]:
    Path("p.yaml").write_text(text)
    jobs = build_jobs(load_spec("p.yaml", {"learn": STAGE}, sets), {"learn": STAGE})
    found: dict[str, Any] = jobs["a"].config.model_dump()["loss"]
    return found


DICE = {"name": "dice", "per_image": False, "smooth": 1.0}


def test_another_loss_beside_a_preset() -> None:
    assert loss("stages: {a: {uses: learn, with: {preset: ce, loss: {name: dice}}}}") == DICE
    assert loss("stages: {a: {uses: learn, with: {preset: [ce, dice]}}}") == {**DICE, "per_image": True}
    same = loss("stages: {a: {uses: learn, with: {preset: dice, loss: {name: dice, smooth: 2}}}}")
    assert same == {"name": "dice", "per_image": True, "smooth": 2.0}


def test_another_loss_with_set_in_any_order() -> None:
    text = "stages: {a: {uses: learn, with: {loss: {name: ce, smoothing: 0.1}}}}"
    assert loss(text, "a.loss.name=dice") == DICE
    assert loss(text, "a.loss.name=dice", "a.loss.smooth=3") == {**DICE, "smooth": 3.0}
    assert loss(text, "a.loss.smooth=3", "a.loss.name=dice") == {**DICE, "smooth": 3.0}
    assert loss(text, "a.loss.smoothing=0.2") == {"name": "ce", "smoothing": 0.2}


def test_another_loss_with_extends() -> None:
    Path("base.yaml").write_text("stages: {a: {uses: learn, with: {epochs: 2, loss: {name: ce, smoothing: 0.1}}}}")
    assert loss("extends: base.yaml\nstages: {a: {with: {loss: {name: dice}}}}") == DICE


def test_another_loss_of_a_single_stage_command() -> None:
    Path("c.yaml").write_text("preset: ce\n")
    given = {"config_file": Path("c.yaml"), "sets": ("loss.smooth=3", "loss.name=dice")}
    assert config_source(STAGE, given).value == {"epochs": 3, "loss": {"name": "dice", "smooth": 3}}


def test_places_of_replaced_keys_are_dropped() -> None:
    base, over = parse_yaml("loss: {name: ce, smoothing: 1}", "a"), parse_yaml("loss: {name: dice}", "b")
    merged = merge(base, over, lambda path: "name" if path == ("loss",) else None)
    assert merged.value == {"loss": {"name": "dice"}}
    assert merged.locate(("loss", "smoothing")) == "b:1"


def test_another_layout_with_extends() -> None:
    Path("base.yaml").write_text("data: {layout: voc, root: ../voc, classes: [cat]}\nstages: {a: {uses: learn}}\n")
    Path("p.yaml").write_text("extends: base.yaml\ndata: {layout: shapes, classes: 2}\n")
    assert load_spec("p.yaml", {"learn": STAGE}).data == {"layout": "shapes", "classes": 2}
    Path("p.yaml").write_text("extends: base.yaml\ndata: {root: mine}\n")
    assert load_spec("p.yaml", {"learn": STAGE}).data == {"layout": "voc", "root": "mine", "classes": ["cat"]}


@pytest.mark.parametrize("sets", [("method=advcam", "method.steps=5"), ("method.steps=5", "method=advcam")])
def test_a_name_alone_and_settings_of_its_kind(sets: tuple[str, str]) -> None:
    expected = {"name": "advcam", "steps": 5}
    assert config_source(STAGES["cam"], {"config_file": None, "sets": sets}).value == {"method": expected}
    Path("p.yaml").write_text("stages: {cam: {uses: cam}}")
    spec = load_spec("p.yaml", STAGES, [f"cam.{text}" for text in sets])
    assert spec.entries["cam"].part("with").value == {"method": expected}
    Path("p.yaml").write_text("stages: {cam: {uses: cam, with: {method: advcam}}}")
    spec = load_spec("p.yaml", STAGES, ["cam.method.steps=5"])
    assert spec.entries["cam"].part("with").value == {"method": expected}


def test_a_name_alone_has_the_defaults_of_its_kind() -> None:
    Path("p.yaml").write_text("stages: {cam: {uses: cam, with: {method: {name: advcam, steps: 9}}}}")
    spec = load_spec("p.yaml", STAGES, ["cam.method=advcam"])
    assert spec.entries["cam"].part("with").value == {"method": "advcam"}


def test_an_expression_is_not_a_name() -> None:
    Path("base.yaml").write_text("stages: {segment: {uses: segment, with: {optimiser: {lr: 0.01}}}}")
    expression = "${{ matrix.optimiser }}"
    axis = "{a: {name: adamw, lr: 0.1}, b: {name: sgd}}"
    stages = f"{{segment: {{with: {{optimiser: '{expression}'}}}}}}"
    Path("p.yaml").write_text(f"extends: base.yaml\nmatrix: {{optimiser: {axis}}}\nstages: {stages}\n")
    assert load_spec("p.yaml", STAGES).entries["segment"].part("with").value == {"optimiser": expression}
