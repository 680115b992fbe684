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


def gpus(monkeypatch: pytest.MonkeyPatch, available: bool) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)


def test_auto_imports_torch_only_with_a_driver(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)  # importing it would fail
        assert resolve_device("auto") == "cpu"
        assert resolve_device("cpu") == "cpu"
    driver.touch()
    gpus(monkeypatch, True)
    assert resolve_device("auto") == "cuda"
    gpus(monkeypatch, False)
    assert resolve_device("auto") == "cpu"


def test_unavailable_cuda_is_an_error(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, False)
    with pytest.raises(InvalidInput) as error:
        resolve_device("cuda")
    assert error.value.subject == "device cuda" and error.value.hint
    gpus(monkeypatch, True)
    assert resolve_device("cuda") == "cuda"


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(InvalidInput) as error:
        resolve_device("gpu")
    assert error.value.subject == "device" and error.value.found == "gpu"
