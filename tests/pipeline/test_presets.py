from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsss.errors import InvalidInput
from wsss.pipeline.config import resources
from wsss.pipeline.config.presets import with_presets
from wsss.pipeline.config.source import parse_yaml


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here, shipped = tmp_path / "here", tmp_path / "shipped"
    (here / "configs" / "crf").mkdir(parents=True)
    (shipped / "configs" / "crf").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr(resources, "shipped", lambda kind: shipped / kind)
    (shipped / "configs" / "crf" / "irn.yaml").write_text("iterations: 10\ngauss: {weight: 3, sigma: 3}\n")
    (shipped / "configs" / "crf" / "psa.yaml").write_text("preset: crf/irn\niterations: 20\n")
    return tmp_path


def expand(text: str) -> Any:
    return with_presets(parse_yaml(text, "p.yaml"), where="stages.crf.with").value


def test_other_keys_override_the_preset_deeply(configs: Path) -> None:
    assert expand("{preset: crf/irn, gauss: {sigma: 1}}") == {"iterations": 10, "gauss": {"weight": 3, "sigma": 1}}
    assert expand("{x: 1}") == {"x": 1}


def test_presets_may_be_nested_listed_inline_and_paths(configs: Path) -> None:
    assert expand("{preset: crf/psa}")["iterations"] == 20
    assert expand("{preset: [crf/psa, crf/irn]}")["iterations"] == 10
    assert expand("{preset: [crf/irn, {iterations: 1}]}")["iterations"] == 1
    assert expand("{preset: {preset: crf/irn, extra: 1}}")["extra"] == 1
    (configs / "here" / "mine.yaml").write_text("iterations: 3\n")
    assert expand("{preset: mine.yaml}") == {"iterations": 3}
    assert expand("{preset: null, a: 1}") == {"a": 1}


def test_the_working_directory_comes_first(configs: Path) -> None:
    (configs / "here" / "configs" / "crf" / "irn.yaml").write_text("iterations: 99\n")
    assert expand("{preset: crf/irn}") == {"iterations": 99}


def test_locations_point_into_the_preset(configs: Path) -> None:
    source = with_presets(parse_yaml("preset: crf/irn\nx: 1\n", "p.yaml"), where="w")
    assert source.locate(("gauss", "sigma")).endswith("irn.yaml:2")
    assert source.locate(("x",)) == "p.yaml:2"


@pytest.mark.parametrize(
    ("text", "found", "allowed"),
    [
        ("{preset: crf/inr}", "crf/inr", ("crf/irn", "crf/psa")),
        ("{preset: no.yaml}", None, None),
        ("{preset: ../secret}", "../secret", ("crf/irn", "crf/psa")),
        ("{preset: 3}", 3, "the name of a preset, a path, a mapping or a list"),
    ],
)
def test_invalid_presets(configs: Path, text: str, found: Any, allowed: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        expand(text)
    assert error.value.subject == "p.yaml:1: stages.crf.with.preset"
    assert (error.value.found, error.value.allowed) == (found, allowed)


def test_a_cycle_of_presets_is_refused(configs: Path) -> None:
    (configs / "here" / "configs" / "a.yaml").write_text("preset: b\n")
    (configs / "here" / "configs" / "b.yaml").write_text("preset: a\n")
    with pytest.raises(InvalidInput) as error:
        expand("{preset: a}")
    assert str(error.value.subject).startswith("configs/b.yaml:1: ")
