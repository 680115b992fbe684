"""A run on 16-bit images equals the run on the same images converted to 8 bits by hand, byte by byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from inprocess import succeed, wsss
from PIL import Image

from wsss.io.rasters.label_masks import write_mask

PIPELINE = """
name: cells
data: {{root: {root}, classes: {{cell: 1}}{data}}}
stages:
  classify:
    uses: classify
    with: {{backbone: {{name: timm/test_resnet, weights: none}}, epochs: 1, batch_size: 2, augmentation: {{size: 32}}}}
  cam: {{uses: cam, needs: [classify], with: {{splits: [train]}}}}
  segment:
    uses: segment
    with: {{labels: ground-truth, backbone: {{weights: none}}, epochs: 1, batch_size: 2, augmentation: {{size: 32}}}}
  predict: {{uses: predict, needs: [segment], with: {{splits: [train]}}}}
"""


def put_dataset(root: Path, *, deep: bool) -> None:
    """Write four images of 12 bits with a bright square, or their conversion to 8 bits."""
    (root / "images").mkdir(parents=True)
    rows = ["image_id,labels,split"]
    for number in range(4):
        values = np.random.default_rng(number).integers(0, 1500, (32, 40))
        mask = np.zeros((32, 40), np.uint8)
        if number % 2:
            values[8:20, 10:24] += 2500
            mask[8:20, 10:24] = 1
        converted = np.floor(np.minimum(values / 4000, 1) * 255 + 0.5).astype(np.uint8)
        pixels = values.astype(np.uint16) if deep else np.stack([converted] * 3, axis=2)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        write_mask(root / "masks" / f"{number}.png", mask)
        rows.append(f"{number},{'cell' if number % 2 else ''},train")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")


@pytest.mark.slow
def test_a_run_on_deep_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, data in (("deep", ", scaling: [0, 4000]"), ("plain", "")):
        put_dataset(tmp_path / name, deep=name == "deep")
        (tmp_path / f"{name}.yaml").write_text(PIPELINE.format(root=name, data=data))
        succeed("run", f"{name}.yaml", "--run-dir", f"runs/{name}", "--device", "cpu")
    names = ["classify/model.safetensors", "segment/model.safetensors"]
    names += [path.relative_to("runs/deep").as_posix() for path in sorted(Path("runs/deep").glob("*/*/*.[np]*"))]
    assert len(names) == 2 + 4 + 4  # maps and masks
    for name in names:
        assert (tmp_path / "runs/deep" / name).read_bytes() == (tmp_path / "runs/plain" / name).read_bytes(), name
    descriptions = [json.loads(Path(f"runs/{name}/segment/model.json").read_text()) for name in ("deep", "plain")]
    assert descriptions[0].pop("reading") == {"scaling": [0, 4000]} and descriptions[0] == descriptions[1]

    assert reasons() == {"finished"}
    changed = reasons("--set", "data.scaling=[0, 4095]")
    assert len(changed) > 0 and "finished" not in changed
    done = wsss("run", "deep.yaml", "--run-dir", "runs/other", "--set", "data.scaling=null")
    assert done.returncode == 2 and "16-bit pixels" in done.stderr


def reasons(*options: str) -> set[str]:
    """Return why the stages of the run would be skipped or run."""
    planned = succeed("run", "deep.yaml", "--run-dir", "runs/deep", "--dry-run", "--json", *options)
    return {" ".join(stage["reasons"]) for stage in json.loads(planned.stdout)["stages"]}
