"""Rank the images of a run by the expected gain of correcting their masks.

The expected gain is the number of boundary pixels of the current mask, where most wrong pixels lie, times the mean of
two values: the disagreement between the masks of the image (pseudo masks, CRF and networks), and the entropy, as far
as the run provides them. If a mask has no boundary, all its pixels count, unless its image shows no class. No ground
truth is used: stages that were trained on it, or whose threshold was chosen on it, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.errors import InvalidInput, listing
from wsss.io.files.home_paths import expand_home
from wsss.io.files.stage_files import CORRECTIONS, cam_path, mask_path, probability_path
from wsss.io.process.thread_map import map_in_threads
from wsss.pipeline.store.outdated import note_left_out, records_of_run
from wsss.pipeline.store.run_folder import read_run

if TYPE_CHECKING:
    from wsss.data.classes import Classes
    from wsss.data.dataset import Dataset
    from wsss.data.sample import Sample

PROVIDERS = ("masks", "cams")
"""Kinds of results that the uncertainty of masks is computed from."""

COLUMNS = ("rank", "id", "gain", "pixels", "boundary", "disagreement", "entropy")


@dataclass(frozen=True)
class Sources:
    """The stages of a run from which the uncertainty of masks is computed.

    Args:
        masks: stages with masks of all images, in the order of the pipeline; the masks to correct are the last.
        probabilities: the last of them with class probabilities of all images, if any.
        maps: the last stage with maps of all images, if any; used without probabilities.
    """

    masks: tuple[Path, ...]
    probabilities: Path | None
    maps: Path | None

    @property
    def entropy(self) -> Path | None:
        """The stage that the entropy is computed from."""
        return self.probabilities or self.maps


@dataclass(frozen=True)
class Ranked:
    """An image with the uncertainty of its masks.

    Args:
        boundary: number of boundary pixels of the current mask.
        disagreement: of its masks, 0 … 1; ``None`` if there is only one.
        entropy: mean entropy, 0 … 1; ``None`` without probabilities and maps.
    """

    id: str
    gain: float
    pixels: int
    boundary: int
    disagreement: float | None
    entropy: float | None


def find_sources(
    run_dir: Path, samples: Sequence[Sample], stage: str | None = None, log: Callable[[str], None] = lambda line: None
) -> Sources:
    """Return the finished stages of a run that have results for all images.

    Args:
        stage: id of the stage whose masks are corrected; by default the last one with masks.
        log: receives a note on outdated results, which are left out.

    Raises:
        InvalidInput: fewer than two stages have masks of all images, and none has probabilities or maps; or ``stage``
            does not have masks of all images.
    """
    from wsss.viz.report.report_scores import depends_on_truth

    records = records_of_run(run_dir, read_run(run_dir) or {})
    usable = {
        id: record
        for id, record in records.items()
        if not depends_on_truth(record.get("metrics") or {}, record.get("provenance") or {})
    }
    done = [run_dir / id for id, record in usable.items() if record.get("status") == "done"]
    note_left_out(run_dir, {id: record for id, record in usable.items() if record.get("provides") in PROVIDERS}, log)

    def folders_with(path_of: Callable[[Path, str], Path]) -> tuple[Path, ...]:
        return tuple(folder for folder in done if all(path_of(folder, sample.id).is_file() for sample in samples))

    masks, probabilities, maps = folders_with(mask_path), folders_with(probability_path), folders_with(cam_path)
    last = [found[-1] if found else None for found in (probabilities, maps)]
    if not masks or (len(masks) == 1 and last == [None, None]):
        raise InvalidInput(
            "fewer than two finished stages have masks of these images: "
            f"{listing(folder.name for folder in masks) or 'none'}",
            subject=run_dir,
            hint="Run the pipeline first (wsss run), or rank another split (--split).",
        )
    if stage is not None:
        masks = _with_last(masks, stage)
    return Sources(masks, *last)


def _with_last(masks: tuple[Path, ...], stage: str) -> tuple[Path, ...]:
    """Return the folders, with the folder of a stage moved to the end."""
    names = [folder.name for folder in masks]
    if stage not in names:
        raise InvalidInput(
            "not a finished stage whose masks cover all images and do not depend on the ground truth",
            subject="--stage",
            found=stage,
            allowed=names,
        )
    return (*(folder for folder in masks if folder.name != stage), masks[names.index(stage)])


def rank_images(
    samples: Sequence[Sample],
    classes: Classes,
    sources: Sources,
    *,
    workers: int = 1,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Ranked]:
    """Return images by decreasing expected gain; ties by id.

    Args:
        sources: see `find_sources`.
        workers: number of threads; does not affect the result.
        advance: called with the number of images done.

    Raises:
        InvalidInput: a mask or map is damaged.
    """
    ranked = map_in_threads(
        lambda sample: _rank_image(sample, classes, sources), samples, workers=workers, advance=advance
    )
    return sorted(ranked, key=lambda image: (-image.gain, image.id))


def uncorrected(samples: Sequence[Sample], run_dir: Path, data: Dataset) -> tuple[list[Sample], int]:
    """Return the images without a corrected mask in the run, and the number of the others."""
    from wsss.data.corrections.correction_folder import is_corrections, open_corrections

    folders = [run_dir / CORRECTIONS, *_named_corrections(run_dir)]
    known = {id for folder in folders if is_corrections(folder) for id in open_corrections(folder, data.classes).images}
    left = [sample for sample in samples if sample.id not in known]
    return left, len(samples) - len(left)


def _named_corrections(run_dir: Path) -> list[Path]:
    """Return the folders of corrections in the pipeline of a run, relative to the run's working directory."""
    run = read_run(run_dir) or {}
    pipeline = run.get("pipeline") or {}
    settings = [stage.get("with") for stage in (pipeline.get("stages") or {}).values() if stage]
    values = [block.get("corrections") for block in (pipeline.get("supervision"), *settings) if block]
    named = {value for value in values if isinstance(value, str)}
    return [Path(str(run.get("directory", "."))) / expand_home(name) for name in sorted(named)]


def _rank_image(sample: Sample, classes: Classes, sources: Sources) -> Ranked:
    from wsss.data.artifacts import read_indices
    from wsss.io.rasters.rgb_images import image_size
    from wsss.metrics.mask_uncertainty import boundary, disagreement

    size = image_size(*sample.source)
    masks = [read_indices(folder, sample.id, classes, size=size) for folder in sources.masks]
    different = disagreement(masks) if len(masks) > 1 else None
    entropy = _entropy(sample, classes, sources, size)
    signals = [value for value in (different, entropy) if value is not None]
    pixels, boundary_pixels = size[0] * size[1], int(boundary(masks[-1]).sum())
    extent = pixels if not boundary_pixels and sample.labels != () else boundary_pixels
    gain = extent * sum(signals) / len(signals)
    return Ranked(sample.id, gain, pixels, boundary_pixels, different, entropy)


def _entropy(sample: Sample, classes: Classes, sources: Sources, size: tuple[int, int]) -> float | None:
    from wsss.data.artifacts import read_class_probabilities, read_maps
    from wsss.io.rasters.cams import best_class
    from wsss.metrics.mask_uncertainty import mean_entropy, mean_map_entropy

    if sources.probabilities is not None:
        return mean_entropy(read_class_probabilities(sources.probabilities, sample, classes, size=size))
    if sources.maps is None:
        return None
    cams = read_maps(sources.maps, sample, classes, size=size)
    return mean_map_entropy(best_class(cams.each_at_full_size(), cams.classes, size)[0])
