"""A pipeline of toy stages with a matrix, and what running and planning it does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from toys import TOYS, open_toy_data

from wsss.pipeline.config.layers import parse_set
from wsss.pipeline.config.source import merge, parse_yaml
from wsss.pipeline.config.spec import Spec, spec_from
from wsss.pipeline.plan.step import Choice
from wsss.pipeline.run.execute import RunResult, dry_run, run_pipeline
from wsss.pipeline.run.progress import Reporter
from wsss.pipeline.run.task import Session

TEXT = """\
name: toy
data: {root: d}
matrix: {f: [2, 3]}
stages:
  make: {uses: make, with: {n: 3, split: train}}
  double: {uses: double, needs: [make], with: {factor: "${{ matrix.f }}"}}
  train: {uses: train, needs: [double], with: {steps: 3}}
  count: {uses: count, needs: [double]}
  all: {uses: gather, needs: [make, double, train, count]}
"""

ALL = ["make", "double@f=2", "double@f=3", "train@f=2", "train@f=3", "count@f=2", "count@f=3", "all"]


def spec(*sets: str, text: str = TEXT) -> Spec:
    """Return the spec of a pipeline, changed by ``--set``."""
    source = parse_yaml(text, "p.yaml")
    for name in sets:
        source = merge(source, parse_set(name, source, TOYS))
    return spec_from(source)


def run(*sets: str, text: str = TEXT, run_dir: Path = Path("runs/toy"), **choice: str) -> RunResult:
    """Run it in the working directory; for ``choice`` see `Choice`."""
    session = Session(run_dir, reporter=Reporter(io.StringIO()))
    return run_pipeline(
        spec(*sets, text=text),
        TOYS,
        session=session,
        open_data=open_toy_data,
        choice=Choice(**choice),
        command=["wsss"],
    )


def ran(*sets: str, **more: Any) -> list[str]:
    """Return the ids of the stages that a run has run; raise its error."""
    result = run(*sets, **more)
    if result.error is not None:
        raise result.error
    return [outcome.id for outcome in result.outcomes if outcome.status == "done"]


def planned(*sets: str, text: str = TEXT, run_dir: Path = Path("runs/toy"), **choice: str) -> dict[str, str]:
    """Return id → reasons of the stages that would run."""
    steps = dry_run(spec(*sets, text=text), TOYS, run_dir=run_dir, open_data=open_toy_data, choice=Choice(**choice))
    return {step.job.id: "; ".join(step.decision.reasons) for step in steps if step.runs}
