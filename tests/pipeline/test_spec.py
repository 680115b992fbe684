from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from toys import TOYS

from wsss.errors import InvalidInput
from wsss.pipeline.config import resources
from wsss.pipeline.config.spec import Spec, load_spec
from wsss.validation import OptionName

BASE = """\
name: base
description: a base
seed: 3
data:
  root: ./${{ env.PLACE }}
  part: ${{ seed }}
stages:
  make:
    uses: make
    with: {n: 5}
  double: {uses: double, needs: [make]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLACE", "d")
    monkeypatch.setenv("NUMBER", "3")
    monkeypatch.setattr(resources, "shipped", lambda kind: tmp_path / "shipped" / kind)
    (tmp_path / "shipped" / "pipelines").mkdir(parents=True)
    (tmp_path / "shipped" / "pipelines" / "base.yaml").write_text(BASE)
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def load(text: str | None = None, *sets: str, **more: Any) -> Spec:
    if text is not None:
        Path("p.yaml").write_text(text)
    return load_spec("p.yaml" if text is not None else "base", TOYS, sets, **more)


def error(text: str | None = None, *sets: str, **more: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        load(text, *sets, **more)
    return caught.value


def test_a_shipped_pipeline_by_name_and_any_by_path(folder: Path) -> None:
    spec = load()
    assert (spec.name, spec.seed, spec.data) == ("base", 3, {"root": "./d", "part": 3})
    assert spec.entries["double"].needs == ("make",)
    assert load_spec(str(folder / "base.yaml"), TOYS).name == "base"


def test_the_recorded_pipeline_does_not_need_the_environment(folder: Path) -> None:
    block = "supervision: {corrections: '${{ env.PLACE }}/c'}\n"
    spec = load(BASE.replace("seed: 3", "seed: ${{ env.NUMBER }}") + block)
    assert {key: spec.resolved[key] for key in ("seed", "data", "supervision")} == {
        "seed": 3,
        "data": {"root": "./d", "part": 3},
        "supervision": {"corrections": "d/c"},
    }
    plain = load("stages: {make: {uses: make, with: {text: '${{ env.PLACE }}'}}}\n")
    assert plain.resolved == {"name": "p", "stages": {"make": {"uses": "make", "with": {"text": "${{ env.PLACE }}"}}}}


def test_unknown_pipelines(folder: Path) -> None:
    for name in ("bse", "x/y.yaml"):
        with pytest.raises(InvalidInput) as caught:
            load_spec(name, TOYS)
        assert (caught.value.found, caught.value.allowed) == (name, ("base", "base.yaml"))


def test_extends_is_merged_under_the_file(folder: Path) -> None:
    spec = load("extends: base\nstages:\n  make: {with: {text: hello}}\n  double: {enabled: false}\n")
    assert spec.name == "p"  # not the base's: two pipelines must not share a run directory
    assert spec.entries["make"].part("with").value == {"n": 5, "text": "hello"}
    assert spec.entries["make"].part("with").locate(("n",)).endswith("base.yaml:10")
    assert spec.entries["make"].part("with").locate(("text",)) == "p.yaml:3"
    assert "extends" not in spec.resolved
    assert load("extends: ./base.yaml\nname: mine\n").name == "mine"


def test_invalid_extends(folder: Path) -> None:
    (folder / "a.yaml").write_text("extends: p.yaml\n")
    assert error("extends: a.yaml\n").subject == "p.yaml"
    for base, found in (("nowhere.yaml", None), ("bas", "bas"), ("3", 3)):
        invalid = error(f"extends: {base}\n")
        assert (invalid.subject, invalid.found) == ("p.yaml:1: extends", found)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("stage: {}\n", "p.yaml:1: stage:"),
        ("stages: {a: {use: make}}\n", "p.yaml:1: stages.a.use:"),
        ("stages: {a: {uses: make, needs: b}}\n", "p.yaml:1: stages.a.needs:"),
        ("stages: {a: }\n", "p.yaml:1: stages.a:"),
        ("stages: {}\n", "p.yaml:1: stages:"),
        ("stages: {data: {uses: make}}\n", "p.yaml:1: stages.data:"),
        ("stages: {run.log: {uses: make}}\n", "p.yaml:1: stages.run.log:"),
        ("stages: {'a b': {uses: make}}\n", "p.yaml:1: stages.a b:"),
        ("name: ../x\nstages: {a: {uses: make}}\n", "p.yaml:1: name:"),
        ("seed: -1\nstages: {a: {uses: make}}\n", "p.yaml:1: seed:"),
        ("seed: soon\nstages: {a: {uses: make}}\n", "p.yaml:1: seed:"),
        ("data: {x: '${{ env.NO_SUCH }}'}\nstages: {a: {uses: make}}\n", "p.yaml:1: data.x: ${{ env.NO_SUCH }}:"),
        ("data: {x: '${{ matrix.a }}'}\nstages: {a: {uses: make}}\n", "p.yaml:1: data:"),
        ("matrix: {f: 3}\nstages: {a: {uses: make}}\n", "p.yaml:1: matrix.f:"),
    ],
)
def test_invalid_files_name_line_and_key(folder: Path, text: str, subject: str) -> None:
    assert any(line.startswith(subject) for line in error(text).message.splitlines())


def test_set_goes_to_top_level_keys_and_to_configs(folder: Path) -> None:
    spec = load(None, "data.root=x", "make.n=7", "make.text=[1, 2]", "seed=9", "name=other", "double.enabled=false")
    assert (spec.name, spec.seed, spec.data["root"]) == ("other", 9, "x")
    assert spec.entries["make"].part("with").value == {"n": 7, "text": [1, 2]}
    assert spec.entries["double"].part("enabled").value is False
    assert spec.entries["make"].part("with").locate(("n",)) == "--set make.n=7"
    assert load(None, "make.seed=5").entries["make"].part("seed").value == 5
    assert load(None, "double.needs=[]").entries["double"].needs == ()
    assert load(None, "stages.make.with.n=8").entries["make"].part("with").value == {"n": 8}
    assert load(None, "matrix.f=[1]").axes == {"f": {"1": 1}}
    assert load(None, "make.n=1", "make.n=2").entries["make"].part("with").value == {"n": 2}


def test_set_prefers_a_config_key_to_an_entry_key(folder: Path) -> None:
    from pydantic import Field

    from wsss.pipeline.stage import Result, Stage, StageConfig

    class Config(StageConfig):
        seed: int = Field(0)

    stage = Stage("make", 1, Config, lambda ctx: Result({}), "numbers", "x")
    spec = load_spec("base", {**TOYS, "make": stage}, ["make.seed=5"])
    assert spec.entries["make"].part("with").value == {"n": 5, "seed": 5}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("maek.n=7", "unknown first key 'maek'"),
        ("make.n", ""),
        ("make..n=1", ""),
        ("=1", ""),
        ("make=1", "'make' is a stage"),
        ("make.n=[1", "invalid YAML"),
        ("seed=x", ""),
        ("extends=other", "unknown first key 'extends'"),
    ],
)
def test_invalid_sets_name_themselves(folder: Path, text: str, problem: str) -> None:
    invalid = error(None, text)
    assert (invalid.subject or "").startswith(f"--set {text}") and invalid.problem.startswith(problem)


def test_precision_goes_to_the_stages_that_have_one(folder: Path) -> None:
    text = BASE + "  train: {uses: train, needs: [double]}\n"
    spec = load(text, precision="bf16-mixed")
    assert spec.entries["train"].part("with").value == {"precision": "bf16-mixed"}
    assert spec.entries["make"].part("with").value == {"n": 5}
    one = load(text, "train.precision=32-true", precision="bf16-mixed")
    assert one.entries["train"].part("with").value == {"precision": "32-true"}
    added = "stages.more={uses: train, needs: [double]}", "stages.exact={uses: train, with: {precision: 32-true}}"
    more = load(text, *added, precision="bf16-mixed")
    assert more.entries["more"].part("with").value == {"precision": "bf16-mixed"}
    assert more.entries["exact"].part("with").value == {"precision": "32-true"}
    assert error(None, precision="16").subject == "--precision 16"
    for entry in ("1: {uses: train}", "train: {uses: train, with: 5}"):
        assert (
            error(f"name: x\nstages: {{{entry}}}\n", precision="bf16-mixed").message
            == error(f"name: x\nstages: {{{entry}}}\n").message
        )


def test_precision_of_stages_that_do_not_train_is_their_own(folder: Path) -> None:
    from pydantic import Field

    from wsss.pipeline.stage import StageConfig

    class Inference(StageConfig):
        precision: Annotated[Literal["32-true", "bf16-mixed"], OptionName("inference-precision")] = Field("32-true")

    text = BASE + "  train: {uses: train, needs: [double]}\n  maps: {uses: maps, needs: [train]}\n"
    Path("p.yaml").write_text(text)
    stages = {**TOYS, "maps": replace(TOYS["double"], config=Inference)}
    spec = load_spec("p.yaml", stages, precision="bf16-mixed")
    assert spec.entries["train"].part("with").value == {"precision": "bf16-mixed"}
    assert not spec.entries["maps"].part("with").value


MATRIX = """\
stages:
  make: {uses: make, with: {n: "${{ matrix.size.n }}"}}
matrix:
  size: {small: {n: 1}, middle: {n: 2}, large: {n: 3}, 4: {n: 4}}
  text: [a, b]
"""


def test_a_list_of_names_selects_values(folder: Path) -> None:
    spec = load(MATRIX, "matrix.size=[large, small]", "matrix.text=[c]")
    assert spec.axes == {"size": {"large": {"n": 3}, "small": {"n": 1}}, "text": {"c": "c"}}
    assert list(spec.axes) == ["size", "text"], "ids depend on the order of the axes"
    assert load(MATRIX, "matrix.size=[4]").axes["size"] == {"4": {"n": 4}}
    assert list(load(MATRIX, "matrix.size.huge={n: 9}").axes["size"]) == ["small", "middle", "large", "4", "huge"]
    (folder / "parent.yaml").write_text(MATRIX)
    assert load("extends: parent.yaml\nmatrix: {size: [middle]}").axes["size"] == {"middle": {"n": 2}}


@pytest.mark.parametrize("order", [1, -1])
def test_values_are_selected_after_they_are_changed(folder: Path, order: int) -> None:
    sets = ["matrix.size=[large, small]", "matrix.size.large.n=7", "matrix.size.middle.n=8"][::order]
    assert load(MATRIX, *sets).axes["size"] == {"large": {"n": 7}, "small": {"n": 1}}


def test_a_list_of_other_values_replaces_an_axis(folder: Path) -> None:
    assert load(MATRIX, "matrix.size=[7, 8]").axes["size"] == {"7": 7, "8": 8}


@pytest.mark.parametrize(
    ("names", "found"), [("[small, larg]", "larg"), ("[middel]", "middel"), ("[small, large, small]", None)]
)
def test_invalid_selections(folder: Path, names: str, found: str | None) -> None:
    text = f"matrix.size={names}"
    invalid = error(MATRIX, text)
    assert (invalid.subject, invalid.found) == (f"--set {text}: matrix.size", found)
