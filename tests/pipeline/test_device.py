from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wsss.errors import InvalidInput
from wsss.pipeline.processes import device
from wsss.pipeline.processes.device import resolve_device


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "nvidiactl"
    monkeypatch.setattr(device, "_DRIVERS", (str(path),))
    return path


def gpus(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)


def test_auto_asks_torch_only_where_there_is_a_driver(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)  # importing it would fail
        assert resolve_device("auto") == "cpu"
        assert resolve_device("cpu") == "cpu"
    driver.touch()
    gpus(monkeypatch, True)
    assert resolve_device("auto") == "cuda"
    gpus(monkeypatch, False)
    assert resolve_device("auto") == "cpu"


def test_cuda_that_is_not_there_is_an_error(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, False)
    with pytest.raises(InvalidInput, match="--device cuda: torch sees no GPU") as caught:
        resolve_device("cuda")
    assert "--device cpu" in str(caught.value)
    gpus(monkeypatch, True)
    assert resolve_device("cuda") == "cuda"
