"""Maps or class probabilities that a run has stored, as probabilities of some classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput, counted
from wsss.io.files.stage_files import cam_path, probability_path
from wsss.pipeline.store.outdated import results_in
from wsss.pipeline.store.run_folder import read_run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsss.data.classes import Classes
    from wsss.data.sample import Sample

Maps = Callable[["Sample"], "NDArray[np.float32]"]


def stored_maps(run: Path, samples: Sequence[Sample], classes: Classes, names: Sequence[str]) -> tuple[Path, Maps]:
    """Return the folder of the last stage of a run with maps of all images, and a function that reads them.

    Args:
        run: a run directory, or the folder of a stage.
        names: names of the K classes whose maps are read.

    Returns:
        The folder, and image → ``(K, H, W)`` float32 in [0, 1]; 0 for classes without a map.

    Raises:
        InvalidInput: no stage has maps or probabilities of all images; the function raises it for a damaged file.
    """
    record = read_run(run)
    outdated = results_in(run)
    ids = [] if record is None else [str(stage["id"]) for stage in record.get("stages") or ()]
    folders = [run] if record is None else [run / id for id in reversed(ids) if not outdated.is_stale(id)]
    indices = [classes.index(name) for name in names]
    for folder in folders:
        if all(probability_path(folder, sample.id).is_file() for sample in samples):
            return folder, partial(_probabilities, folder=folder, classes=classes, indices=indices)
        if all(cam_path(folder, sample.id).is_file() for sample in samples):
            return folder, partial(_cams, folder=folder, classes=classes, indices=indices)
    raise InvalidInput(
        f"no stage has maps or probabilities of all {counted(len(samples), 'image')}",
        subject=run,
        hint="Maps are written by cam, clip, average, propagate and par, probabilities by predict with "
        "save_probabilities; choose the split for which they were computed (--split).",
    )


def _probabilities(sample: Sample, *, folder: Path, classes: Classes, indices: Sequence[int]) -> NDArray[np.float32]:
    import numpy as np

    from wsss.data.artifacts import read_class_probabilities

    return np.asarray(read_class_probabilities(folder, sample, classes)[list(indices)], np.float32)


def _cams(sample: Sample, *, folder: Path, classes: Classes, indices: Sequence[int]) -> NDArray[np.float32]:
    import numpy as np

    from wsss.data.artifacts import read_maps

    cams = read_maps(folder, sample, classes)
    maps = np.zeros((len(indices), *cams.size), np.float32)
    for index, cam in zip(cams.classes, cams.each_at_full_size(), strict=True):
        if index in indices:
            maps[indices.index(index)] = cam
    return maps
