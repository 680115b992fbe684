"""The commands and examples of docs/topology-losses.md run."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from docpages import Block, Session, blocks, check_marks
from shareddata import IS_SHARED, SHARED_DATA

PAGE = Path(__file__).parents[1] / "docs" / "topology-losses.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's folder, with TopoMortar's repository if it is available."""
    here = tmp_path / "here"
    here.mkdir()
    if IS_SHARED:
        (here / "topomortar").symlink_to(SHARED_DATA / "topomortar")
    return here


def test_every_block_is_run_or_a_file() -> None:
    check_marks(PAGE)


def block(word: str) -> str:
    """Return the only block with a word."""
    (text,) = [block.text for block in blocks(PAGE) if word in block.text]
    return text


def test_the_monai_loop_trains(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("monai")
    exec(block("from monai"), {})
    assert 0 < float(capsys.readouterr().out.split()[-1]) < 2


class StandIn:
    """The interface of nnU-Net v2's trainer that losses use."""

    def __init__(self, *, regions: bool = False, ignore: int | None = None, deep: bool = True) -> None:
        self.label_manager = SimpleNamespace(has_regions=regions, ignore_label=ignore)
        self.enable_deep_supervision = deep
        self.loss = self._build_loss()

    def _get_deep_supervision_scales(self) -> list[list[float]]:
        return [[1.0, 1.0], [0.5, 0.5], [0.25, 0.25]]

    def _build_loss(self) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32], ids=str)
@pytest.mark.parametrize(
    "settings", [{}, {"regions": True}, {"ignore": 3}, {"regions": True, "ignore": 7}, {"deep": False}], ids=str
)
def test_the_nnunet_trainer(settings: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(nnUNetTrainer=StandIn))
    for depth in range(1, 4):
        monkeypatch.setitem(sys.modules, ".".join(name.split(".")[:depth]), SimpleNamespace())
    names: dict[str, Any] = {}
    exec(block("nnunetv2"), names)
    loss = names["nnUNetTrainerClDice"](**settings).loss
    channels = 3 if settings.get("regions") else 1
    outputs = [torch.randn(2, 3, size, size, requires_grad=True) for size in (32, 16, 8)]
    if channels == 3 and dtype != torch.float32:
        dtype = torch.bool  # as nnU-Net's ConvertSegmentationToRegionsTransform
    targets = [torch.randint(0, 2, (2, channels, *output.shape[2:])).to(dtype) for output in outputs]
    if settings == {"regions": True, "ignore": 7}:  # as in nnU-Net's DC_and_BCE_loss: the last channel is to be ignored
        targets = [torch.cat([target, torch.zeros_like(target[:, :1])], 1) for target in targets]
        for target in targets:
            target[:, -1, 0] = 1
    else:
        for target in targets:
            target[:, :, 0] = settings.get("ignore") or 0
    value = loss(outputs, targets) if settings.get("deep", True) else loss(outputs[0], targets[0])
    value.backward()
    assert value.isfinite() and outputs[0].grad is not None and outputs[0].grad.any()
    assert outputs[0].grad[:, :, 0].any() == ("ignore" not in settings)
    assert outputs[2].grad is None or not outputs[2].grad.any(), "the lowest resolution has no weight"


WALLS = "--set data.size=64 --set data.train=4 --set data.small=2 --set data.val=1 --set data.test=1"
SMALLER = {
    "wsss run topomortar_quick\n": f"wsss run topomortar_quick {WALLS}\n",
    "wsss run mine.yaml --dry-run\n": f"wsss run mine.yaml --dry-run {WALLS}\n",
    "--steps 20": "--steps 2 --set augmentation.size=64 --set batch_size=2",
    "segment.steps=4": "segment.steps=4 --set segment.batch_size=2 --set 'matrix.loss=[ce_dice, cldice_10]'",
}
"""Text of the page → that of the test: smaller walls, fewer steps, and one of the inherited losses."""


def shortened(block: Block) -> Block:
    text = block.text
    for long, short in SMALLER.items():
        text = text.replace(long, short)
    return replace(block, text=text)


@pytest.mark.slow
def test_all_of_it(folder: Path) -> None:
    session = Session(folder, slow=True)
    assert all(sum(option in block.text for block in blocks(PAGE)) == 1 for option in SMALLER)
    printed = "".join([session.run(shortened(block)) for block in blocks(PAGE)])
    assert re.search(r"BettiNumbers\(b0=[1-9].*matching error [1-9]", printed), "the label is not empty"
    assert (folder / "errors.svg").read_text().lstrip().startswith(("<svg", "<?xml"))
    if IS_SHARED:
        assert list((folder / "plots").glob("*.svg")) and "clDice" in (folder / "tables.html").read_text()
    assert (folder / "cldice" / "model.safetensors").is_file()
    assert "clDice" in (folder / "runs" / "mine" / "bench" / "tables.md").read_text()
