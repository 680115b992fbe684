"""Toy stages and a toy dataset, to test the engine without images."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

from pydantic import Field

from wsss.errors import InvalidInput, RunFailed
from wsss.io.files.atomic import sweep, write_bytes, write_json, write_text
from wsss.pipeline.config.source import parse_yaml
from wsss.pipeline.config.spec import Spec, spec_from
from wsss.pipeline.plan.step import Choice
from wsss.pipeline.run.execute import RunResult, run_pipeline
from wsss.pipeline.run.items import map_items, pending
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.task import Session
from wsss.pipeline.stage import Context, Input, Read, Result, Stage, StageConfig


class ToyData:
    """A dataset whose fingerprints are hashes of the files ``ROOT/SPLIT/KIND``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[tuple[str, str]] = []

    @property
    def splits(self) -> dict[str, tuple[str, ...]]:
        return {path.name: (f"the sample of {path.name}",) for path in sorted(self.root.iterdir()) if path.is_dir()}

    def read_split(self, split: str, kind: str) -> None:
        """Reject a file whose text starts with ``damaged``."""
        path = self.root / split / kind
        if path.read_text().startswith("damaged"):
            raise InvalidInput("damaged", subject=path)

    def fingerprint(self, split: str, kind: str) -> str:
        self.asked.append((split, kind))
        path = self.root / split / kind
        if not path.is_file():
            raise InvalidInput(f"no split {split!r} with {kind}", subject=self.root)
        return hashlib.sha256(path.read_bytes()).hexdigest()


def check_toy_data(config: Mapping[str, Any], *, locate: Any) -> None:
    unknown = set(config) - {"root", "generate"}
    if unknown:
        key = sorted(unknown)[0]
        raise InvalidInput(
            "unknown key", subject=f"{locate((key,))}: data.{key}", found=key, allowed=("generate", "root")
        )


def open_toy_data(config: Mapping[str, Any], *, work: Path, log: Any, locate: Any) -> ToyData:
    check_toy_data(config, locate=locate)
    if "generate" in config:
        root = work / "toy"
        if not (root / "train" / "images").is_file():
            log("generating the toy dataset")
            sweep(root)
            write_text(root / "train" / "images", str(config["generate"]))
        return ToyData(root)
    root = Path(config["root"])
    if not root.is_dir():
        raise InvalidInput(f"no such folder: {root}", subject=f"{locate(('root',))}: data.root")
    return ToyData(root)


def make_toy_data(root: Path) -> Path:
    for split in ("train", "val"):
        for kind in ("images", "labels", "masks"):
            (root / split).mkdir(parents=True, exist_ok=True)
            (root / split / kind).write_text(f"{split} {kind}")
    return root


def make_toy_pipeline(folder: Path) -> Path:
    """Write the data, and ``p.yaml`` of two stages of six images each; return the folder."""
    make_toy_data(folder / "d")
    stages = "  make: {uses: make, with: {n: 6, split: train}}\n  double: {uses: double, needs: [make]}\n"
    (folder / "p.yaml").write_text(f"name: toy\ndata: {{root: d}}\nstages:\n{stages}")
    return folder


class MakeConfig(StageConfig):
    n: int = Field(4, ge=0, description="number of items")
    text: str = Field("x", description="what is written")
    split: str | None = Field(None, description="split whose images are read")
    weights: Path | None = Field(None, description="a file")
    pause: float = Field(0.0, description="seconds per item")


def _read_number(path: Path) -> None:
    if not path.read_text().endswith(".\n"):
        raise InvalidInput("broken", subject=path)


def _write_number(item: int, out: Path, text: str, pause: float, seed: int) -> int:
    time.sleep(pause)
    if os.environ.get("TOY_BLOCKS") == str(item):
        (out / "blocked").touch()
        sum(range(10**11))  # a loop in C, which blocks signal handlers
    write_text(out / "items" / f"{item:03d}.txt", f"{text} {item} {seed}.\n")
    return item


def _make(ctx: Context[MakeConfig]) -> Result:
    """Write one file per missing item."""
    config = ctx.config
    items = pending(
        ctx,
        range(config.n),
        lambda item: ctx.out / "items" / f"{item:03d}.txt",
        lambda item: _read_number(ctx.out / "items" / f"{item:03d}.txt"),
    )
    work = partial(_write_number, out=ctx.out, text=config.text, pause=config.pause, seed=ctx.seed)
    map_items(ctx, items, work, "making")
    ctx.ranks.barrier()
    return Result({"n": config.n, "loss": 0.5}, {"text": config.text, "shared": "make"})


MAKE = Stage(
    name="make",
    version=1,
    config=MakeConfig,
    run=_make,
    provides="numbers",
    resumes=True,
    help="Make numbers.",
    reads=lambda config: [Read(config.split, "images")] if config.split else [],
)


class DoubleConfig(StageConfig):
    factor: int = Field(2, description="by how much")
    mode: Literal["plain", "fancy"] = Field("plain", description="how")


def _double(ctx: Context[DoubleConfig]) -> Result:
    source = ctx.inputs["numbers"].path
    files = sorted((source / "items").glob("*.txt"))
    for path in ctx.ranks.shard(files):
        target = ctx.out / "items" / path.name
        if not target.is_file():
            write_text(target, path.read_text() * ctx.config.factor)
    ctx.ranks.barrier()
    return Result({"files": len(files), "miou": 0.25}, {"factor": ctx.config.factor})


DOUBLE = Stage(
    name="double",
    version=1,
    config=DoubleConfig,
    run=_double,
    provides="numbers",
    help="Repeat each number.",
    inputs={"numbers": Input(("numbers",), "folder of numbers")},
)


class TrainConfig(StageConfig):
    steps: int = Field(5, description="steps")
    precision: Literal["32-true", "bf16-mixed"] = Field("32-true", description="precision")
    fast: bool = Field(False, description="hurry")
    pause: float = Field(0.0, description="seconds per step")
    scales: tuple[float, ...] = Field((1.0,), description="scales")


def _train(ctx: Context[TrainConfig]) -> Result:
    """Compute a chain of hashes with a checkpoint after each step."""
    if ctx.ranks.rank == 0:
        checkpoint = ctx.out / "checkpoint.pt"
        step, state = 0, hashlib.sha256(str(ctx.seed).encode()).hexdigest()
        if checkpoint.is_file():
            step, state = json.loads(checkpoint.read_text())
        advance = ctx.progress.track("steps", ctx.config.steps, step)
        while step < ctx.config.steps:
            time.sleep(ctx.config.pause)
            step, state = step + 1, hashlib.sha256(f"{state} {step}".encode()).hexdigest()
            write_json(checkpoint, [step, state])
            advance(1)
        write_bytes(ctx.out / "model.bin", state.encode())
        write_text(ctx.out / "tensorboard" / "events", "logged\n")
    ctx.ranks.barrier()
    return Result({"loss": 0.125, "steps": ctx.config.steps}, {"trained": True})


TRAIN = Stage(
    name="train",
    version=1,
    config=TrainConfig,
    run=_train,
    provides="model",
    help="Train on numbers.",
    inputs={"numbers": Input(("numbers",), "folder of numbers"), "start": Input(("model",), "a model", optional=True)},
)


class GatherConfig(StageConfig):
    title: str = "all"


def _gather(ctx: Context[GatherConfig]) -> Result:
    ids = [artifact.id for artifact in ctx.inputs["stages"]]
    if ctx.ranks.rank == 0:
        write_text(ctx.out / "index.html", "<p>" + ", ".join(map(str, ids)))
    return Result({"stages": len(ids)})


GATHER = Stage(
    name="gather",
    version=1,
    config=GatherConfig,
    run=_gather,
    provides="report",
    help="Gather everything.",
    inputs={"stages": Input(("numbers", "model", "scores"), "stages", many=True)},
)


class FailConfig(StageConfig):
    how: Literal["run", "input", "bug", "full", "nan", "no"] = "run"


def _fail(ctx: Context[FailConfig]) -> Result:
    how = ctx.config.how
    if how == "run":
        raise RunFailed("it did not work.", hint="Try something else.")
    if how == "input":
        raise InvalidInput("the data are wrong.")
    if how == "bug":
        raise KeyError("oops")
    if how == "full":
        raise OSError(28, "No space left on device", str(ctx.out / "big"))
    return Result({"loss": float("nan") if how == "nan" else 0.0})


FAIL = Stage(
    name="fail",
    version=1,
    config=FailConfig,
    run=_fail,
    provides="nothing",
    help="Fail.",
    inputs={"numbers": Input(("numbers",), "folder of numbers", optional=True)},
)


class CountConfig(StageConfig):
    split: str = Field("val", description="split to count on")
    most: Annotated[int, Field(ge=0)] | None = Field(None, description="at most")


def _count(ctx: Context[CountConfig]) -> Result:
    path = ctx.inputs["pred"].path
    files = sorted(p for p in path.rglob("*.txt"))
    return Result({"images": len(files), "split": ctx.config.split, "provenance": dict(ctx.inputs["pred"].provenance)})


def _check_count(config: CountConfig, data: ToyData) -> None:
    if config.split == "train":
        raise InvalidInput("counting on train is not allowed.")


COUNT = Stage(
    name="count",
    version=1,
    config=CountConfig,
    run=_count,
    provides="scores",
    help="Count files.",
    inputs={"pred": Input(("numbers",), "folder of numbers")},
    reads=lambda config: [Read(config.split, "masks")],
    check=_check_count,
)

TOYS: dict[str, Stage[Any]] = {stage.name: stage for stage in (MAKE, DOUBLE, TRAIN, GATHER, FAIL, COUNT)}


def run_toys(
    pipeline: str | Spec,
    run_dir: Path,
    *,
    stages: Mapping[str, Stage[Any]] = TOYS,
    stream: TextIO | None = None,
    **choice: str,
) -> RunResult:
    """Run a pipeline of toy stages on the toy dataset; raise its error.

    Args:
        pipeline: YAML text or spec.
        run_dir: its run directory.
        stages: the registry.
        stream: receives the messages.
        choice: ``start``, ``until``, ``force``, see `Choice`.
    """
    session = Session(run_dir, reporter=Reporter(stream or io.StringIO()))
    spec = spec_from(parse_yaml(pipeline, "p.yaml")) if isinstance(pipeline, str) else pipeline
    result = run_pipeline(spec, stages, session=session, open_data=open_toy_data, choice=Choice(**choice))
    if result.error is not None:
        raise result.error
    return result
