"""benchmarks/gpu.py without a GPU: all of it runs, and results that differ give another exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program; its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    import gpu

    yield gpu
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def tables(printed: str) -> dict[str, list[list[str]]]:
    """Return the rows of each Markdown table by the first cell of its head."""
    found: dict[str, list[list[str]]] = {}
    for part in printed.split("\n\n"):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if "|" in line]
        if lines:
            found[lines[0][0]] = lines[2:]
    return found


@pytest.mark.slow
def test_all_sections_run_on_a_cpu(gpu: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", "cpu", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("CPU; ") and f"torch {torch.__version__}" in printed and "QUICK" in printed
    equal, steps, losses, inference = tables(printed).values()
    names = {row[0] for row in equal}
    assert {"maps: cam", "betti_matching, 2 classes: value", "segment: dynunet: loss"} <= names
    assert len(names) == len(equal) > 60 and all(float(row[1]) == 0 and row[3] == "yes" for row in equal)
    assert [row[0] for row in steps][-3:] == [f"TopoMortar, {name}" for name in ("ce_dice", "cldice", "betti_matching")]
    assert all(float(row[4]) > 0 for row in [*steps, *inference]) and all(float(row[1]) > 0 for row in losses)


@pytest.mark.slow
def test_a_device_that_computes_something_else_is_noticed(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    equality: Any = sys.modules["gpu_equality"]
    copied, calls = equality.moved, []

    def inexact(value: Any, device: torch.device) -> Any:
        calls.append(value)
        return copied(value, device) * (1.01 if len(calls) % 2 == 0 else 1)

    monkeypatch.setattr(equality, "moved", inexact)
    setting = gpu.Setting(torch.device("cpu"), True, 0.0, 0)
    wrong = [one for one in equality._losses(setting) if not one.equal]
    assert {"ce, 2 classes: value", "ce, 2 classes: gradient"} <= {one.what for one in wrong}
    assert not equality.Comparison("nan", float("nan"), 1.0).equal
    monkeypatch.setattr(equality, "compared", lambda setting: iter(wrong))
    assert gpu.main(["--device", "cpu", "--quick", "--sections", "equality"]) == 1
    assert f"0 of {len(wrong)} are equal. Not equal: ce, 2 classes: value" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_error_says_so(gpu: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        gpu.main([])
    assert error.value.code == 2 and "torch finds no GPU" in capsys.readouterr().err
