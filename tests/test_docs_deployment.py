"""docs/deployment.md: its command, and its program in an environment without torch."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bareenv import bare_environment
from docpages import Session, blocks, check_marks
from PIL import Image

import wsss
from wsss.io.rasters.label_masks import read_mask

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "deployment.md"
PACKAGES = ("onnxruntime", "numpy", "pillow")
RUN = """\
name: quickstart
data: {layout: shapes, size: 48, train: 32, val: 2, classes: 2}
stages:
  segment:
    uses: segment
    with: {labels: ground-truth, backbone: {name: resnet18, weights: none, output_stride: 16}, head: lraspp,
      epochs: 6, batch_size: 8, optimiser: {name: adamw, lr: 3.0e-3, head_lr_factor: 1}, augmentation: {size: 48}}
"""


def test_every_block_of_the_page_is_run(tmp_path: Path) -> None:
    check_marks(PAGE)
    session = Session(tmp_path, slow=False)
    for block in blocks(PAGE):
        session.run(block)


def test_the_program_is_short_and_imports_three_packages() -> None:
    [program] = [block.text for block in blocks(PAGE) if block.language == "python"]
    assert len([line for line in program.splitlines() if line.strip()]) <= 15
    modules = {node.names[0].name for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Import)}
    modules |= {str(node.module) for node in ast.walk(ast.parse(program)) if isinstance(node, ast.ImportFrom)}
    assert modules == {"json", "sys", "numpy", "onnxruntime", "PIL"}
    assert f"pip install {' '.join(PACKAGES)}" in PAGE.read_text()


@pytest.mark.slow
def test_the_network_of_a_run_works_without_torch(tmp_path: Path) -> None:
    from wsss.cli.main import _call

    work = tmp_path / "work"
    work.mkdir()
    (work / "p.yaml").write_text(RUN)
    assert _call(["run", str(work / "p.yaml"), "--run-dir", str(work / "runs" / "quickstart")]) == 0
    session = Session(work, slow=True)
    for block in blocks(PAGE):
        session.run(block)
    python = bare_environment(tmp_path / "bare", *PACKAGES)
    missing = "import importlib.util as u; print([n for n in ('torch', 'wsss', 'onnx', 'cv2') if u.find_spec(n)])"
    assert subprocess.run([python, "-I", "-c", missing], capture_output=True, text=True, check=True).stdout == "[]\n"

    segment = wsss.load_segmenter(work / "runs" / "quickstart" / "segment", device="cpu")
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by the camera
    drawn = Image.open(next((work / "runs" / "quickstart").glob("data/**/images/*.png"))).convert("RGB")
    drawn.resize((90, 61)).save(work / "photo.jpg", exif=exif, quality=95)
    # -I: without the folders of PYTHONPATH and of this process
    call = [python, "-I", "mask_of.py", "photo.jpg", "mask.png"]
    done = subprocess.run(call, cwd=work, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mask, expected = read_mask(work / "mask.png"), segment(work / "photo.jpg")
    assert mask.shape == (90, 61) and (mask == expected).mean() >= 0.999
    assert len(np.unique(expected)) > 1
    shares = ast.literal_eval(done.stdout)
    assert shares == {name: pytest.approx((mask == value).mean()) for name, value in segment.values.items()}
    with Image.open(work / "mask.png") as written:
        assert written.mode == "P"
    record = json.loads((work / "deploy" / "export.json").read_text())
    assert record["classes"] == segment.values and record["agreement"]["agreeing"] >= 0.999
    assert re.fullmatch(r"[\w.+]+", record["wsss"])
