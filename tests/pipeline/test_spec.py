from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toys import TOYS

from wsss.errors import InvalidInput
from wsss.pipeline.config import resources
from wsss.pipeline.config.spec import Spec, load_spec

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
    monkeypatch.setattr(resources, "shipped", lambda kind: tmp_path / "shipped" / kind)
    (tmp_path / "shipped" / "pipelines").mkdir(parents=True)
    (tmp_path / "shipped" / "pipelines" / "base.yaml").write_text(BASE)
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def load(text: str | None = None, *sets: str, **more: Any) -> Spec:
    if text is not None:
        Path("p.yaml").write_text(text)
    return load_spec("p.yaml" if text is not None else "base", TOYS, sets, **more)


def error(text: str | None = None, *sets: str, **more: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        load(text, *sets, **more)
    return str(caught.value)


def test_a_shipped_pipeline_by_name_and_any_by_path(folder: Path) -> None:
    spec = load()
    assert (spec.name, spec.seed, spec.data) == ("base", 3, {"root": "./d", "part": 3})
    assert spec.entries["double"].needs == ("make",)
    assert load_spec(str(folder / "base.yaml"), TOYS).name == "base"


def test_unknown_pipelines(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"No pipeline 'bse'; shipped are base; did you mean 'base'\?"):
        load_spec("bse", TOYS)
    with pytest.raises(InvalidInput, match=r"x/y\.yaml: no such pipeline file"):
        load_spec("x/y.yaml", TOYS)


def test_extends_is_merged_under_the_file(folder: Path) -> None:
    spec = load("extends: base\nstages:\n  make: {with: {text: hello}}\n  double: {enabled: false}\n")
    assert spec.name == "p"  # not the base's: two pipelines must not share a run directory
    assert spec.entries["make"].part("with").value == {"n": 5, "text": "hello"}
    assert spec.entries["make"].part("with").locate(("n",)).endswith("base.yaml:10")
    assert spec.entries["make"].part("with").locate(("text",)) == "p.yaml:3"
    assert "extends" not in spec.resolved
    assert load("extends: ./base.yaml\nname: mine\n").name == "mine"


def test_extends_in_a_circle_or_to_nowhere(folder: Path) -> None:
    (folder / "a.yaml").write_text("extends: p.yaml\n")
    assert "extends itself" in error("extends: a.yaml\n")
    assert error("extends: nowhere.yaml\n").startswith("p.yaml:1: extends: no such file 'nowhere.yaml'")
    assert error("extends: bas\n").startswith("p.yaml:1: extends: No pipeline 'bas'")
    assert error("extends: 3\n").startswith("p.yaml:1: extends: found 3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage: {}\n", "p.yaml:1: stage: unknown key; expected data, description"),
        (
            "stages: {a: {use: make}}\n",
            "p.yaml:1: stages.a.use: unknown key; expected enabled, needs, seed, uses or with",
        ),
        ("stages: {a: {uses: make, needs: b}}\n", "p.yaml:1: stages.a.needs: expected a list, got 'b'"),
        ("stages: {a: }\n", "p.yaml:1: stages.a: expected a mapping"),
        ("stages: {}\n", "p.yaml:1: stages: there are no stages"),
        ("stages: {data: {uses: make}}\n", "p.yaml:1: stages.data: 'data' is a key of pipeline files"),
        ("stages: {run.log: {uses: make}}\n", "p.yaml:1: stages.run.log: 'run.log' is a file of every run"),
        ("stages: {'a b': {uses: make}}\n", "p.yaml:1: stages.a b: found 'a b'; a stage's id has letters"),
        ("name: ../x\nstages: {a: {uses: make}}\n", "p.yaml:1: name: found '../x'; a name has letters"),
        ("seed: -1\nstages: {a: {uses: make}}\n", "p.yaml:1: seed: found -1; a seed is a whole number"),
        ("seed: soon\nstages: {a: {uses: make}}\n", "p.yaml:1: seed: found 'soon'"),
        (
            "data: {x: '${{ env.NO_SUCH }}'}\nstages: {a: {uses: make}}\n",
            "p.yaml:1: data.x: ${{ env.NO_SUCH }}: the env",
        ),
        (
            "data: {x: '${{ matrix.a }}'}\nstages: {a: {uses: make}}\n",
            "p.yaml:1: data: ${{ matrix.… }} can be used inside",
        ),
        ("matrix: {f: 3}\nstages: {a: {uses: make}}\n", "p.yaml:1: matrix.f: found 3; an axis is a list"),
    ],
)
def test_wrong_files_name_line_and_key(folder: Path, text: str, message: str) -> None:
    assert any(line.startswith(message) for line in error(text).splitlines())


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


def test_set_reaches_a_config_key_that_is_called_like_an_entry_key(folder: Path) -> None:
    from pydantic import Field

    from wsss.pipeline.stage import Result, Stage, StageConfig

    class Config(StageConfig):
        seed: int = Field(0)

    stage = Stage("make", 1, Config, lambda ctx: Result({}), "numbers", "x")
    spec = load_spec("base", {**TOYS, "make": stage}, ["make.seed=5"])
    assert spec.entries["make"].part("with").value == {"n": 5, "seed": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maek.n=7", "--set maek.n=7: unknown first word 'maek'; allowed are the stages make, double and data, desc"),
        ("make.n", "--set make.n: expected key.path=value"),
        ("make..n=1", "--set make..n=1: expected key.path=value"),
        ("=1", "--set =1: expected key.path=value"),
        ("make=1", "--set make=1: 'make' is a stage; name a key of its config"),
        ("make.n=[1", "--set make.n=[1: not valid YAML"),
        ("seed=x", "--set seed=x: seed: found 'x'"),
        ("extends=other", "--set extends=other: unknown first word 'extends'"),
    ],
)
def test_wrong_sets_name_themselves(folder: Path, text: str, message: str) -> None:
    assert error(None, text).startswith(message)


def test_precision_goes_to_the_stages_that_have_one(folder: Path) -> None:
    text = BASE + "  train: {uses: train, needs: [double]}\n"
    spec = load(text, precision="bf16-mixed")
    assert spec.entries["train"].part("with").value == {"precision": "bf16-mixed"}
    assert spec.entries["make"].part("with").value == {"n": 5}
    assert error(None, precision="16") == "--precision 16: no stage of this pipeline has a precision."


MATRIX = """\
stages:
  make: {uses: make, with: {n: "${{ matrix.size.n }}"}}
matrix:
  size: {small: {n: 1}, middle: {n: 2}, large: {n: 3}, 4: {n: 4}}
  text: [a, b]
"""


def test_a_list_of_names_takes_some_of_an_axis(folder: Path) -> None:
    spec = load(MATRIX, "matrix.size=[large, small]", "matrix.text=[c]")
    assert spec.axes == {"size": {"large": {"n": 3}, "small": {"n": 1}}, "text": {"c": "c"}}
    assert list(spec.axes) == ["size", "text"], "ids name the axes in the order of the file"
    assert load(MATRIX, "matrix.size=[4]").axes["size"] == {"4": {"n": 4}}
    assert list(load(MATRIX, "matrix.size.huge={n: 9}").axes["size"]) == ["small", "middle", "large", "4", "huge"]
    (folder / "parent.yaml").write_text(MATRIX)
    assert load("extends: parent.yaml\nmatrix: {size: [middle]}").axes["size"] == {"middle": {"n": 2}}


@pytest.mark.parametrize("order", [1, -1])
def test_a_choice_and_a_change_of_what_is_chosen_go_together(folder: Path, order: int) -> None:
    sets = ["matrix.size=[large, small]", "matrix.size.large.n=7", "matrix.size.middle.n=8"][::order]
    assert load(MATRIX, *sets).axes["size"] == {"large": {"n": 7}, "small": {"n": 1}}


def test_a_choice_names_a_value_once(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"matrix\.size: small is named twice"):
        load(MATRIX, "matrix.size=[small, large, small]")


def test_a_list_of_other_values_replaces_an_axis(folder: Path) -> None:
    assert load(MATRIX, "matrix.size=[7, 8]").axes["size"] == {"7": 7, "8": 8}


def test_a_name_that_an_axis_lacks_is_told(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"larg\]: matrix.size: no value is called larg; .*'large'"):
        load(MATRIX, "matrix.size=[small, larg]")
