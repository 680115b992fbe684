"""Files added to the output folder during an export are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wsss.errors import InvalidInput
from wsss.export.export_formats import export_masks
from wsss.export.export_items import Masks, Options


@pytest.mark.parametrize("force", [False, True])
def test_files_added_during_the_export_are_kept(made: Masks, tmp_path: Path, force: bool) -> None:
    out = tmp_path / "o"
    if force:
        export_masks(made, "polygons", Options(), out)

    def write_meanwhile(total: int) -> Callable[[int], None]:
        out.mkdir(exist_ok=True)
        (out / "notes.txt").write_text("years of work")
        return lambda steps: None

    with pytest.raises(InvalidInput) as error:
        export_masks(made, "voc", Options(), out, force=force, track=write_meanwhile)
    assert error.value.subject == f"--out {out}"
    stated, named = (error.value.problem, "notes.txt") if force else (error.value.hint, "--force")
    assert named in str(stated)
    assert (out / "notes.txt").read_text() == "years of work" and [path.name for path in tmp_path.glob(".wsss*")] == []
    assert (out / "a.geojson").is_file() is force and not (out / "labelmap.txt").exists()
