from __future__ import annotations

import sys
from pathlib import Path

import pytest
from toys import MAKE

from wsss.stages import STAGES, StageRegistry

FILE = """
from toys import DOUBLE
from wsss.pipeline.stage import Stage
STAGE = Stage("{name}", 1, DOUBLE.config, DOUBLE.run, "numbers", help="Does {name}.")
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageRegistry:
    package = tmp_path / "somestages"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("zeta", "cam", "classify"):
        (package / f"{name}.py").write_text(FILE.format(name=name))
    (package / "helpers.py").write_text("NOT_A_STAGE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return StageRegistry(package, "somestages")


def test_stages_are_found_by_their_files_and_imported_when_asked_for(registry: StageRegistry) -> None:
    assert list(registry) == ["classify", "cam", "zeta"]
    assert registry.help_of("zeta") == "Does zeta."
    assert "somestages.zeta" not in sys.modules
    assert registry["zeta"].name == "zeta"
    assert len(registry) == 3
    assert "helpers" not in registry
    with pytest.raises(KeyError):
        registry["helpers"]


def test_a_stage_may_be_added(registry: StageRegistry) -> None:
    registry.add(MAKE)
    assert list(registry) == ["classify", "cam", "zeta", "make"]
    assert registry["make"] is MAKE
    assert registry.help_of("make") == MAKE.help


def test_our_own_stages_are_complete() -> None:
    for name, stage in STAGES.items():
        assert stage.name == name
        assert stage.version >= 1
        assert stage.help
        assert set(stage.config.model_fields).isdisjoint({"preset", "with"})
