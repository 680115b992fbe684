"""SIGTERM and Ctrl-C during long operations: commands end within seconds, and resume."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import cv2
import inprocess
import numpy as np
import pytest
import toycli
from clocks import wait_until
from killing import group_exists, is_bookkeeping, snapshot
from toycli import start_toy, toy
from toys import make_toy_pipeline

from wsss.io.rasters.label_masks import write_mask
from wsss.io.rasters.rgb_images import write_png

LIMIT = 15.0
"""Seconds from the signal to the end of the last process; five on an idle machine. Without it, they take minutes."""

SAME_REPORT = r"(?:(?!\nException ignored|\n[\w.]*(?:Error|Exception)\b).)*?"
"""Text up to the end of a traceback: it contains neither another report nor the last line of an error."""

IN_A_CALLBACK = re.compile(
    rf"Exception ignored (?:in|on calling){SAME_REPORT}llvmlite{SAME_REPORT}\n(?:\S+\.)?\w*Interrupt[^\n]*\n", re.DOTALL
)
"""Unavoidable report of a signal during a callback from LLVM."""


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start a command in its own process group."""
    return toycli.start("-m", "wsss.cli.main", *arguments, cwd=cwd, start_new_session=True)


def end_by(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    """Send a signal, require all processes of the group to end in time, and return the output."""
    begun = time.monotonic()
    process.send_signal(number)
    output, messages = process.communicate(timeout=60)
    seconds = time.monotonic() - begun
    assert process.returncode == 128 + number, messages
    assert seconds < LIMIT
    wait_until(lambda: not group_exists(process.pid), LIMIT - seconds)
    own = IN_A_CALLBACK.sub("", messages)
    assert "Traceback" not in own and "Warning" not in own, messages
    return output, messages


@pytest.fixture
def here(tmp_path: Path) -> Path:
    make_toy_pipeline(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "number"), [("1", signal.SIGINT), ("2", signal.SIGTERM)])
def test_run_in_a_native_call_ends_in_time_and_resumes(
    here: Path, number: signal.Signals, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inprocess.toy("run", "p.yaml", "--run-dir", "whole", cwd=here).returncode == 0
    monkeypatch.setenv("TOY_BLOCKS", "3")
    process = start_toy("run", "p.yaml", "--workers", workers, "--json", cwd=here, start_new_session=True)
    made = here / "runs" / "toy" / "make"
    wait_until((made / "blocked").exists)
    time.sleep(1)
    output, messages = end_by(process, number)
    assert json.loads(output)["status"] == "interrupted"
    assert messages.rstrip().endswith(f"resume with:\n  wsss run p.yaml --workers {workers} --json")
    status = json.loads(inprocess.toy("status", "toy", "--json", cwd=here).stdout)
    assert (status["status"], status["held_by"]) == ("interrupted", None)
    assert status["stages"][0]["status"] == "interrupted"
    monkeypatch.delenv("TOY_BLOCKS")
    (made / "blocked").unlink()
    kept = len(list((made / "items").iterdir()))
    assert 3 <= kept < 6
    again = toy("run", "p.yaml", "--workers", workers, cwd=here)
    assert again.returncode == 0, again.stderr
    if workers == "1":  # with workers, the main process releases the lock itself
        assert f"Taking over runs/toy from process {process.pid}" in again.stderr
    assert snapshot(here / "runs/toy", ignore=is_bookkeeping) == snapshot(here / "whole", ignore=is_bookkeeping)


def write_dataset(folder: Path, sizes: dict[str, tuple[int, int]]) -> None:
    """Write noisy images with bright regions, and masks shifted by some pixels."""
    rng = np.random.default_rng(0)
    for name, size in sizes.items():
        smooth = cv2.resize(rng.random((12, 16), dtype=np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
        region = (smooth > 0.5).astype(np.uint8)
        image = (60 + 120 * region[..., None] + rng.normal(0, 25, (*size, 3))).clip(0, 255)
        write_png(folder / "images" / f"{name}.png", image.astype(np.uint8))
        write_mask(folder / "masks" / f"{name}.png", np.roll(region, 9, 1))
    lines = [f"{name},thing,train" for name in sizes]
    (folder / "labels.csv").write_text("\n".join(["image_id,labels,split", *lines]) + "\n")
    (folder / "classes.txt").write_text("0 background\n1 thing\n")


@pytest.mark.slow
def test_dense_crf_of_a_large_image(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"a": (120, 160), "b": (90, 160), "large": (1000, 1500)})
    (tmp_path / "masks").rename(tmp_path / "given")
    options = ["--masks", "given", "--data.root", ".", "--set", "max_side=null", "--set", "iterations=40"]
    command = ["crf", *options, "--out", "cut", "--workers"]
    masks = tmp_path / "cut" / "masks"
    process = start(*command, "2", cwd=tmp_path)
    wait_until((masks / "b.png").exists)
    _, messages = end_by(process, signal.SIGTERM)
    assert "resume with:\n  wsss crf --masks given" in messages
    made = {path.name: path.stat().st_mtime_ns for path in masks.iterdir()}
    assert sorted(made) == ["a.png", "b.png"]
    resumed = start(*command, "1", cwd=tmp_path)
    _, messages = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, messages
    assert {path.name for path in masks.iterdir()} == {*made, "large.png"}
    assert made == {name: (masks / name).stat().st_mtime_ns for name in made}


@pytest.mark.slow
def test_compiled_topology_kernels(tmp_path: Path) -> None:
    """Persistence of noise: millions of components and holes. Ctrl-C may arrive in a callback from LLVM."""
    rng = np.random.default_rng(0)
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rng.random((6000, 6000), dtype=np.float32))
    process = start("topo", "match", "a.npy", "b.npy", cwd=tmp_path)
    time.sleep(8)
    assert process.poll() is None, "finished before the signal"
    _, messages = end_by(process, signal.SIGINT)
    assert messages.rstrip().endswith("Interrupted.")


@pytest.mark.slow
def test_check_refuses_a_pipe(tmp_path: Path) -> None:
    """Reading a pipe without a writer in place of an image would never end."""
    write_dataset(tmp_path, {"a": (40, 60), "b": (40, 60)})
    (tmp_path / "images/a.png").unlink()
    os.mkfifo(tmp_path / "images/a.png")
    process = start("data", "check", ".", cwd=tmp_path)
    output, messages = process.communicate(timeout=60)
    assert process.returncode == 2 and "a.png" in output + messages


@pytest.mark.slow
def test_export_leaves_no_files(tmp_path: Path) -> None:
    """Polygons of noise take minutes."""
    rng = np.random.default_rng(0)
    for name in "ab":
        write_mask(tmp_path / "masks" / f"{name}.png", rng.integers(0, 3, (1500, 1500), dtype=np.uint8))
    before = sorted(tmp_path.iterdir())
    process = start("export", "masks", "--format", "polygons", "--out", "out", cwd=tmp_path)
    wait_until(lambda: len(list(tmp_path.iterdir())) > len(before))
    time.sleep(2)
    assert process.poll() is None, "finished before the signal"
    end_by(process, signal.SIGTERM)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_training_with_loader_processes(tmp_path: Path) -> None:
    write_dataset(tmp_path, {f"i{number}": (200, 300) for number in range(6)})
    keys = {
        "backbone": {"name": "mobilenet_v2", "output_stride": 16, "weights": "none"},
        "head": "lraspp",
        "labels": "ground-truth",
        "batch_size": 2,
        "epochs": 500,
        "augmentation": {"size": 128},
        "cache_mb": 0,
    }
    (tmp_path / "c.yaml").write_text(json.dumps(keys))
    options = ["--config", "c.yaml", "--workers", "2", "--device", "cpu", "--out", "out"]
    process = start("segment", "--data.root", ".", *options, cwd=tmp_path)
    wait_until((tmp_path / "out/checkpoint.pt").exists, 120)
    end_by(process, signal.SIGTERM)
    record = json.loads((tmp_path / "out/stage.json").read_text())
    assert record["status"] in ("interrupted", "running")  # running: it was killed; the next run resumes


def test_immediate_interrupts_end_with_the_code_of_the_signal(here: Path) -> None:
    """Also during imports."""
    for number in (signal.SIGTERM, signal.SIGINT):
        for wait in (0.05, 0.2, 0.5):
            process = start_toy("run", "p.yaml", "--set", "make.pause=5", cwd=here, start_new_session=True)
            time.sleep(wait)
            process.send_signal(number)
            _, messages = process.communicate(timeout=120)
            if "Fatal Python error: init_" in messages or "PanicException: failed to import" in messages:
                continue  # Python itself had not started yet, or pydantic's Rust library was importing a module
            assert process.returncode in (128 + number, -number), messages  # −N: before the handlers were installed
            assert "bug" not in messages
