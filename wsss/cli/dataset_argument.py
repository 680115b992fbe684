"""The dataset that a command's PATH names: a dataset's folder, or the ``data:`` of a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.cli.named_runs import is_run, is_stage
from wsss.cli.options.data_options import read_data_options
from wsss.errors import InvalidInput, closest, listing
from wsss.io.files.home import at_home
from wsss.io.files.stage_files import RUN
from wsss.pipeline.config import resources
from wsss.pipeline.config.source import Source, merge
from wsss.pipeline.config.spec import IN_FOLDER, load_spec
from wsss.pipeline.store.run_folder import data_of_run, read_run
from wsss.stages import STAGES
from wsss.validation import KeyPath


@dataclass(frozen=True)
class Named:
    """What PATH stands for.

    Args:
        source: config of the dataset, options laid over it.
        pipeline: how `wsss run` is called on the pipeline it comes from, if it comes from one.
        is_folder: PATH is the dataset's folder.
    """

    source: Source
    pipeline: str | None = None
    is_folder: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """The dataset's config."""
        return dict(self.source.value)

    @property
    def has_layout(self) -> bool:
        """Whether the layout is named."""
        return self.source.value.get("layout", "auto") != "auto"


def named_dataset(path: str, options: list[tuple[str, str]], log: Callable[[str], None]) -> Named:
    """Return the dataset's config that PATH names: a folder, a pipeline file, or the name of a shipped pipeline.

    A folder with ``pipeline.yaml`` (`wsss init` writes one) stands for that pipeline, a run directory for its dataset;
    with ``--data.layout`` the folder itself is the dataset.

    Args:
        path: as the user wrote it.
        options: ``--data.KEY VALUE``.
        log: prints one line for the user.

    Raises:
        InvalidInput: no such folder, file or pipeline; a pipeline without a dataset; ``--data.root`` beside a folder.
    """
    given = read_data_options(options)
    folder = at_home(path)
    if folder.is_dir():
        return _of_folder(path, folder, given, log)
    if folder.is_file() and not resources.is_yaml(path):
        raise InvalidInput(
            f"{path}: expected a folder or a pipeline file (.yaml), got another file.",
            hint=f"Its folder: {folder.parent}",
        )
    if not folder.exists() and not resources.is_yaml(path):
        known = resources.names(resources.shipped("pipelines"))
        if path not in known:
            raise InvalidInput(
                f"{path}: no such folder, pipeline file or shipped pipeline{closest(path, known)}",
                hint=f"Shipped pipelines: {listing(known, limit=20)}.",
            )
    return _of_pipeline(path, given)


def _of_folder(path: str, folder: Path, given: Source, log: Callable[[str], None]) -> Named:
    if "layout" not in given.value and (folder / IN_FOLDER).is_file():
        log(f"Dataset: data: in {folder / IN_FOLDER}. With --data.layout NAME the folder itself is read.")
        return _of_pipeline(str(folder / IN_FOLDER), given)
    run = read_run(folder) if is_run(folder) else None
    if run is not None:
        log(f"Dataset: that of the run {path}.")
        return Named(merge(Source(data_of_run(run), {(): str(folder / RUN)}), given, _layout_tag))
    if is_stage(folder):
        raise InvalidInput(f"{path}: this is the folder of a stage.", hint=f"The dataset of its run: {folder.parent}")
    if "root" in given.value:
        raise InvalidInput(f"--data.root {given.value['root']}: {path} is the dataset's folder.", hint="Name one.")
    return Named(merge(Source({"root": str(folder), "layout": "auto"}), given), is_folder=True)


def _layout_tag(key: KeyPath) -> str | None:
    """Return which key tells what ``data:`` is, for `merge`: the keys of one layout mean nothing to another."""
    return "layout" if key == () else None


def _of_pipeline(path: str, given: Source) -> Named:
    spec = load_spec(path, STAGES)
    if not spec.data:
        raise InvalidInput(f"{path}: the pipeline has no dataset (data:).")
    return Named(merge(spec.data_source, given, _layout_tag), pipeline=path)
