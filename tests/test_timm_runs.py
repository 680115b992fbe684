"""Whole runs on networks of timm: every stage, on a vision transformer and on ConvNeXt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tinyrun import command, results, statuses, wsss

from wsss.io.rasters.offsets import read_offsets

pytest.importorskip("timm")


def options(name: str) -> list[str]:
    backbone = f"{{name: timm/{name}, output_stride: 16, weights: none}}"
    values = {"classify.convnet": "null", "classify.backbone": backbone, "segment.backbone": backbone}
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "origin"), [("test_vit", 7.5), ("test_convnext", 15.5)])
def test_every_stage_runs(name: str, origin: float, tmp_path: Path) -> None:
    assert set(statuses(tmp_path / "run", *options(name)).values()) == {"done"}
    description = json.loads((tmp_path / "run/segment/model.json").read_text())
    assert description["config"]["backbone"]["name"] == f"timm/{name}"
    offsets = read_offsets(next((tmp_path / "run/expand/offsets").glob("*.npz")))
    assert (offsets.stride, offsets.origin) == (16, origin)
    if name == "test_vit":
        assert set(statuses(tmp_path / "again", *options(name)).values()) == {"done"}
        assert results(tmp_path / "again") == results(tmp_path / "run")


@pytest.mark.slow
def test_unknown_networks_are_found_before_any_stage(tmp_path: Path) -> None:
    done = wsss(*command(tmp_path, "--set", "segment.backbone.name=timm/convnext_tinny"))
    assert done.returncode == 2
    assert "timm/convnext_tiny" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*/metrics.json"))
