"""All dataset layouts, and the one function that opens a dataset of any of them.

A layout is one module with a ``LAYOUT`` (see `wsss.data.readers.layout`) and one line here, or an entry point
``wsss.layouts`` of another package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from wsss.data.readers.layout import AnyLayout, LayoutConfig, Log
from wsss.errors import InvalidInput, listing
from wsss.extensions import Extensions
from wsss.io.files.home import at_home
from wsss.validation import KeyPath, validate

if TYPE_CHECKING:
    from wsss.data.dataset import Dataset

AUTO = "auto"
LAYOUTS = Extensions(
    "wsss.layouts",
    {
        "voc": "wsss.data.readers.voc:LAYOUT",
        "folder": "wsss.data.readers.folder:LAYOUT",
        "topomortar": "wsss.data.readers.topomortar:LAYOUT",
        "shapes": "wsss.data.synthetic.shapes:LAYOUT",
        "bricks": "wsss.data.synthetic.bricks:LAYOUT",
    },
)
"""Name → layout, as ``data.layout`` takes it (besides ``auto``)."""


def get_layout(name: str) -> AnyLayout:
    """Return a layout by its name.

    Raises:
        InvalidInput: there is none of this name.
    """
    if name not in LAYOUTS:
        raise InvalidInput("unknown layout", subject="data.layout", found=name, allowed=[*LAYOUTS, AUTO])
    return cast(AnyLayout, LAYOUTS[name])


def _recognisable() -> list[AnyLayout]:
    return [layout for layout in LAYOUTS.values() if layout.recognise is not None]


def fitting_layouts(root: Path) -> list[AnyLayout]:
    """Return the layouts whose files a folder has."""
    return [layout for layout in _recognisable() if layout.recognise is not None and layout.recognise(root)]


def recognise(root: Path) -> AnyLayout:
    """Return the layout that a folder has.

    Raises:
        InvalidInput: no such folder, no layout fits (says what was looked for), or several do.
    """
    if not root.is_dir():
        raise InvalidInput(f"data.root: {root} is no folder.")
    fitting = fitting_layouts(root)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InvalidInput(
            f"{root}: the folder fits several layouts: {listing(layout.name for layout in fitting)}.",
            hint="Say which one with data.layout.",
        )
    raise InvalidInput(
        f"{root}: no dataset layout is recognised. Looked for\n"
        + "\n".join(f"  {layout.name}: {layout.looks_for}" for layout in _recognisable()),
        hint="Images with labels of any form: wsss init --images FOLDER --labels FILE. For a dataset, arrange the "
        "files as one of these (data/README.md shows each), or set data.layout and its keys.",
    )


def why_gone(config: Mapping[str, Any]) -> str | None:
    """Return why a dataset that was there once can't be opened any more; ``None`` where nothing speaks against it.

    Its root is no folder, or what its layout was recognised by is gone.

    Args:
        config: ``data:`` as it was then.
    """
    if not isinstance(config.get("root"), str):
        return None
    root = at_home(config["root"])
    if not root.is_dir():
        return f"{root} is not there"
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
        InvalidInput: unknown layout, unknown key, wrong type, missing root, or a folder of no known layout.
    """
    name = config.get("layout", AUTO)
    if not isinstance(name, str):
        raise InvalidInput(f"data.layout: expected a name, found {name!r}.")
    if name != AUTO:
        layout = get_layout(name)
    elif isinstance(config.get("root"), str | Path):
        layout = recognise(at_home(config["root"]))
    else:
        raise InvalidInput(
            "data.root: this key is required and missing.",
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
    """Open the dataset that ``data:`` describes; relative paths are relative to the current folder.

    Args:
        config: layout and its keys; see `parse_config`.
        work: a folder that we may write to: generated data and remembered content hashes.
        log: prints one line for the user.
        locate: key path relative to ``config`` → ``"file.yaml:12"`` or ``""``, to say where a key stands.
        complete: a missing image is an error. For what looks at finished results, and can do without some images:
            false, then `Dataset.missing` names them.

    Raises:
        InvalidInput: a wrong config, or files that aren't what the layout says.
    """
    layout, checked = parse_config(config, locate=locate)
    read = layout.read if complete else layout.read_incomplete or layout.read
    dataset = read(checked, work=work, log=log)
    for _, message in dataset.remarks:
        log(f"note: {message}")
    return dataset
