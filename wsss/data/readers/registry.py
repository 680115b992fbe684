"""All dataset layouts, and the function that opens a dataset of any of them.

A layout is one module with a ``LAYOUT`` (see `wsss.data.readers.layout`) and one line here, or an entry point
``wsss.layouts`` of another package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from wsss.data.plugin_dataset import check_dataset
from wsss.data.readers.image_reading import ImageReadingConfig
from wsss.data.readers.layout import AnyLayout, Layout, LayoutConfig, Log, require_root
from wsss.errors import InvalidInput, listing
from wsss.extensions import Extensions, check_named, errors_of
from wsss.io.files.home_paths import expand_home
from wsss.model_fields import KeyPath
from wsss.validation import validate

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset

AUTO = "auto"
LAYOUTS = Extensions(
    "wsss.layouts",
    {
        "voc": "wsss.data.readers.voc:LAYOUT",
        "coco": "wsss.data.readers.coco:LAYOUT",
        "folder": "wsss.data.readers.folder:LAYOUT",
        "topomortar": "wsss.data.readers.topomortar:LAYOUT",
        "shapes": "wsss.data.synthetic.shapes:LAYOUT",
        "bricks": "wsss.data.synthetic.bricks:LAYOUT",
    },
    lambda entry, loaded: check_named(entry, loaded, Layout),
)
"""Name → layout, as ``data.layout`` takes it (besides ``auto``)."""


def get_layout(name: str) -> AnyLayout:
    """Return a layout by name.

    Raises:
        InvalidInput: unknown layout.
    """
    if name not in LAYOUTS:
        raise InvalidInput("unknown layout", subject="data.layout", found=name, allowed=[*LAYOUTS, AUTO])
    return cast(AnyLayout, LAYOUTS[name])


def _recognisable() -> list[AnyLayout]:
    return [layout for layout in LAYOUTS.loadable() if layout.recognise is not None]


def fitting_layouts(root: Path) -> list[AnyLayout]:
    """Return the layouts that match the files of a folder."""
    return [layout for layout in _recognisable() if _fits(layout, root)]


def _fits(layout: AnyLayout, root: Path) -> bool:
    with errors_of(LAYOUTS.entry(layout.name)):
        return layout.recognise is not None and layout.recognise(root)


def recognise(root: Path) -> AnyLayout:
    """Return the layout of a folder.

    Raises:
        InvalidInput: a missing folder, no matching layout, or several.
    """
    fitting = fitting_layouts(require_root(root))
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = listing(layout.name for layout in fitting)
        raise InvalidInput(f"matches several layouts: {names}", subject=root, hint="Choose one with data.layout.")
    if (root / "pipeline.yaml").is_file():
        raise InvalidInput(
            "unknown dataset layout",
            subject=root,
            hint="The folder contains a pipeline.yaml, like those written by wsss init: pass the keys under its data: "
            "as options, --data.layout folder --data.labels image_labels.csv --data.images FOLDER …",
        )
    raise InvalidInput(
        "unknown dataset layout. The known layouts contain:\n"
        + "\n".join(f"  {layout.name}: {layout.looks_for}" for layout in _recognisable()),
        subject=root,
        hint="Images with labels in any format: wsss init --images FOLDER --labels FILE. For a dataset, arrange the "
        "files like one of these (see data/README.md), or set data.layout and its keys.",
    )


def why_unavailable(config: Mapping[str, Any]) -> str | None:
    """Return why a dataset that once existed cannot be opened: no root, or no recognisable layout; else ``None``.

    Args:
        config: the ``data:`` section of that time.
    """
    if not isinstance(config.get("root"), str):
        return None
    root = expand_home(config["root"])
    if not root.is_dir():
        return f"{root} does not exist"
    if config.get("layout", AUTO) == AUTO:
        try:
            recognise(root)
        except InvalidInput as error:
            return error.message
    return None


def parse_config(
    config: Mapping[str, Any], *, locate: Callable[[KeyPath], str] = lambda path: ""
) -> tuple[AnyLayout, LayoutConfig]:
    """Return the layout that ``config`` names (or that its root has), and the validated config.

    Args:
        config: ``data:`` of a pipeline file; ``layout`` may be absent or ``auto``.
        locate: key path relative to ``config`` → ``"file.yaml:12"`` or ``""``.

    Raises:
        InvalidInput: an unknown layout or key, a wrong type, a missing root, or a folder without a known layout.
    """
    name = config.get("layout", AUTO)
    if not isinstance(name, str):
        raise InvalidInput(subject="data.layout", allowed="a name", found=name)
    if name != AUTO:
        layout = get_layout(name)
    elif isinstance(config.get("root"), str | Path):
        layout = recognise(expand_home(config["root"]))
    else:
        raise InvalidInput(
            "required key is missing",
            subject="data.root",
            hint=f"Set data.root to the dataset's folder, or data.layout to one of {listing(LAYOUTS)}.",
        )
    checked = validate(layout.config, {**config, "layout": layout.name}, where="data", locate=locate)
    return layout, checked


def open_dataset(
    config: Mapping[str, Any],
    *,
    work: Path,
    log: Log = lambda line: None,
    locate: Callable[[KeyPath], str] = lambda path: "",
    complete: bool = True,
) -> Dataset:
    """Open the dataset of a ``data:`` section; relative paths are relative to the working directory.

    Args:
        config: layout and its keys; see `parse_config`.
        work: writable folder for generated data and the cache of content hashes.
        locate: key path relative to ``config`` → ``"file.yaml:12"`` or ``""``, for messages.
        complete: a missing image is an error; pass ``False`` to inspect finished results, and see `Dataset.missing`.

    Raises:
        InvalidInput: an invalid config, or files that do not match the layout.
    """
    layout, checked = parse_config(config, locate=locate)
    dataset = read_layout(layout, checked, work=work, log=log, complete=complete)
    for _, message in dataset.remarks:
        log(f"note: {message}")
    return dataset


def read_layout(
    layout: AnyLayout, config: LayoutConfig, *, work: Path, log: Log = lambda line: None, complete: bool = True
) -> Dataset:
    """Return the dataset of a validated config, see `open_dataset`; its remarks are not logged.

    Raises:
        InvalidInput: the files do not match the layout, or a layout of another package raised an exception or returned
            an invalid dataset.
    """
    read = layout.read if complete else layout.read_incomplete or layout.read
    entry = LAYOUTS.entry(layout.name)
    with errors_of(entry):
        dataset: Dataset = read(config, work=work, log=log)
    if not entry.own:
        check_dataset(dataset, entry.subject)
    return dataset.read_with(config.reading) if isinstance(config, ImageReadingConfig) else dataset
