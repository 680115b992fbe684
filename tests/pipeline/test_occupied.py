"""Folders where our own files belong: the message says which one to delete, and all is well after that."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from toys import TOYS, make_toy_data, open_toy_data

from wsss.errors import InvalidInput
from wsss.pipeline.execute import run_pipeline
from wsss.pipeline.plan import Choice
from wsss.pipeline.progress import Reporter
from wsss.pipeline.repair import repair_folder
from wsss.pipeline.source import parse_yaml
from wsss.pipeline.spec import spec_from
from wsss.pipeline.task import Session

TEXT = """\
name: toy
data: {root: d}
stages:
  make: {uses: make, with: {n: 2, split: train}}
  double: {uses: double, needs: [make]}
"""
RUN = Path("runs/toy")
OURS = (
    *(".wsss-lock", ".wsss-lock.json", ".wsss-run.json", "run.json", "run.log"),
    *(f"double/{name}" for name in ("stage.json", ".wsss-stage.json", "metrics.json")),
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_toy_data(tmp_path / "d")
    run()


def run(**choice: str) -> list[str]:
    session = Session(RUN, reporter=Reporter(io.StringIO()))
    result = run_pipeline(
        spec_from(parse_yaml(TEXT, "p.yaml")), TOYS, session=session, open_data=open_toy_data, choice=Choice(**choice)
    )
    if result.error is not None:
        raise result.error
    return [outcome.id for outcome in result.outcomes if outcome.status == "done"]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("full", [False, True])
def test_a_folder_in_the_place_of_a_file_is_named_or_replaced(name: str, full: bool) -> None:
    path = RUN / name
    path.unlink(missing_ok=True)
    path.mkdir()
    if full:
        (path / "note.txt").write_text("mine")
    try:
        run(force="double")
    except InvalidInput as error:
        assert str(path) in error.message or path.name in error.message
        assert "elete" in str(error.hint) and "another folder" not in str(error.hint)
        if full:
            (path / "note.txt").unlink()
        path.rmdir()
        repair_folder(RUN, lambda line: None)
        run(force="double")
    assert path.is_file() or not path.exists()
    assert run() == []


@pytest.mark.parametrize("name", ["run.json", "double/stage.json"])
def test_repair_says_what_to_delete_and_then_restores_it(name: str) -> None:
    path = RUN / name
    before = path.read_bytes()
    path.unlink()
    path.mkdir()
    (found,) = repair_folder(RUN, lambda line: None)
    assert (found.path, found.restored) == (path, False) and f"Delete the folder {path}" in found.hint
    path.rmdir()
    (again,) = repair_folder(RUN, lambda line: None)
    assert again.restored and len(path.read_bytes()) > len(before) - 200
    assert run() == []
