"""The dataset of a command's PATH argument: a dataset folder, or the ``data:`` section of a pipeline."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.cli.named_runs import is_run, is_stage
from wsss.cli.options.data_options import read_data_options
from wsss.errors import InvalidInput, Verbatim, closest, listing
from wsss.io.files.home_paths import expand_home
from wsss.io.files.stage_files import RUN
from wsss.model_fields import KeyPath
from wsss.pipeline.config import resources
from wsss.pipeline.config.pipeline_files import IN_FOLDER
from wsss.pipeline.config.source import Source, merge
from wsss.pipeline.config.spec import load_spec
from wsss.pipeline.store.run_folder import data_of_run, read_run
from wsss.stages import STAGES
from wsss.stages.common.run_dataset import log_root


@dataclass(frozen=True)
class NamedDataset:
    """The dataset of a PATH argument.

    Args:
        source: config of the dataset, including options.
        pipeline: argument of `wsss run` for the pipeline of the dataset, if any.
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
        """Whether the layout is set."""
        return self.source.value.get("layout", "auto") != "auto"


def named_dataset(path: str, options: list[tuple[str, str]], log: Callable[[str], None]) -> NamedDataset:
    """Return the config of the dataset at PATH: a folder, a pipeline file, or the name of a bundled pipeline.

    A folder with ``pipeline.yaml`` (written by `wsss init`) stands for that pipeline, unless ``--data.layout`` is set;
    a run directory stands for the dataset of the run.

    Args:
        options: ``--data.KEY VALUE`` options.

    Raises:
        InvalidInput: no such folder, file or pipeline; a pipeline without a dataset; ``--data.root`` with a folder.
    """
    overrides = read_data_options(options)
    folder = expand_home(path)
    if folder.is_dir():
        return _of_folder(path, folder, overrides, log)
    if not resources.is_yaml(path):
        if folder.is_file():
            from wsss.data.importers.importer_registry import LABEL_SUFFIXES

            hint = f"To use its folder, pass {folder.parent}{os.sep}"
            if folder.suffix.lower() in LABEL_SUFFIXES:
                hint += f"\nTo make a dataset of its labels: wsss init --images DIR --labels {shlex.quote(path)}"
            raise InvalidInput(
                subject=path,
                allowed="a folder or a pipeline file (.yaml)",
                found=Verbatim("a different kind of file"),
                hint=hint,
            )
        known = resources.names(resources.shipped("pipelines"))
        if not folder.exists() and path not in known:
            raise InvalidInput(
                f"no such folder, pipeline file or bundled pipeline{closest(path, known)}",
                subject=path,
                hint=f"Bundled pipelines: {listing(known, limit=20)}.",
            )
    return _of_pipeline(path, overrides)


def _of_folder(path: str, folder: Path, overrides: Source, log: Callable[[str], None]) -> NamedDataset:
    if "layout" not in overrides.value and (folder / IN_FOLDER).is_file():
        log(f"Dataset: data: in {folder / IN_FOLDER} (set --data.layout NAME to check the folder itself).")
        return _of_pipeline(str(folder / IN_FOLDER), overrides)
    run = read_run(folder) if is_run(folder) else None
    if run is not None:
        log(f"Dataset: the dataset of the run {path}.")
        log_root(run, overrides, log)
        return NamedDataset(merge(Source(data_of_run(run), {(): str(folder / RUN)}), overrides, _layout_tag))
    if is_stage(folder):
        hint = f"For the dataset of its run: {folder.parent}"
        raise InvalidInput(subject=path, allowed="a dataset", found=Verbatim("the folder of a stage"), hint=hint)
    if "root" in overrides.value:
        raise InvalidInput(
            f"{path} is already the dataset's folder",
            subject=f"--data.root {overrides.value['root']}",
            hint="Omit one of the two.",
        )
    return NamedDataset(merge(Source({"root": str(folder), "layout": "auto"}), overrides), is_folder=True)


def _layout_tag(key: KeyPath) -> str | None:
    """Return the discriminator of ``data:`` for `merge`: another layout discards the keys of the first."""
    return "layout" if key == () else None


def _of_pipeline(path: str, overrides: Source) -> NamedDataset:
    spec = load_spec(path, STAGES)
    if not spec.data:
        raise InvalidInput("the pipeline has no dataset (data:)", subject=path)
    return NamedDataset(merge(spec.data_source, overrides, _layout_tag), pipeline=path)
