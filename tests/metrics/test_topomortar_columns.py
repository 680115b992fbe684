"""The authors' columns: names, empty masks, and scores of real labels, compared with other programs."""

from __future__ import annotations

import gudhi
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from resultfolders import HEAD
from scipy.ndimage import binary_erosion, distance_transform_edt
from shareddata import SHARED_DATA, needs_shared_data
from skimage.morphology import skeletonize

from wsss.benchmark.result_files import read_groups
from wsss.benchmark.topomortar_columns import COLUMNS, GROUPS, topomortar_columns
from wsss.metrics.overlap import dice
from wsss.metrics.structure import structure_scores

Mask = NDArray[np.bool_]


def columns(pred: Mask, gt: Mask, *, matching: bool = False) -> dict[str, float]:
    groups = (*GROUPS, "betti_matching") if matching else GROUPS
    result = structure_scores(pred.astype(np.uint8), gt.astype(np.uint8), 2, groups, window=128, frame="own-max")
    return {name: values[0] for name, values in topomortar_columns([result], groups).items()}


def by_gudhi(mask: Mask) -> NDArray[np.int64]:
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=1.0 - mask)
    complex_.compute_persistence()
    return np.array(complex_.persistent_betti_numbers(np.inf, -np.inf)[:2])


def reference(pred: Mask, gt: Mask) -> dict[str, float]:
    """The seven scores as the authors describe them, by gudhi, scipy and scikit-image."""
    whole = np.abs(by_gudhi(pred) - by_gudhi(gt))
    corners = [(y, x) for y in range(0, gt.shape[0], 128) for x in range(0, gt.shape[1], 128)]
    windows = [(pred[y : y + 128, x : x + 128], gt[y : y + 128, x : x + 128]) for y, x in corners]
    local = np.mean([np.abs(by_gudhi(one) - by_gudhi(other)) for one, other in windows], axis=0)
    surfaces = [mask & ~binary_erosion(mask) for mask in (pred, gt)]
    distances = [distance_transform_edt(~to)[of] for of, to in (surfaces, surfaces[::-1])]
    precision, sensitivity = (
        (other & (line := skeletonize(mask))).sum() / line.sum() for mask, other in ((pred, gt), (gt, pred))
    )
    return {
        "Betti0ErrorLocal_mortar": local[0],
        "Betti0Error_mortar": whole[0],
        "Betti1ErrorLocal_mortar": local[1],
        "Betti1Error_mortar": whole[1],
        "Dice_mortar": 2 * (pred & gt).sum() / (pred.sum() + gt.sum()),
        "HD95_mortar": np.percentile(np.concatenate(distances), 95),
        "clDice_mortar": 2 * precision * sensitivity / (precision + sensitivity),
    }


def label(kind: str, image: str) -> Mask:
    path = SHARED_DATA / "topomortar" / "dataset" / "train" / kind / f"{image}.png"
    return np.asarray(Image.open(path)) > 0


@needs_shared_data
@pytest.mark.parametrize("kind", ["noisy", "pseudo"])
@pytest.mark.parametrize("image", ["001", *(pytest.param(name, marks=pytest.mark.slow) for name in ("010", "023"))])
@pytest.mark.slow
def test_scores_of_real_labels_equal_other_programs(kind: str, image: str) -> None:
    pred, gt = label(kind, image), label("accurate", image)
    result = columns(pred, gt)
    assert tuple(result) == HEAD[1:]
    assert result == pytest.approx(reference(pred, gt), abs=1e-9)


@needs_shared_data
def test_published_betti_numbers_of_test_labels_are_the_errors_against_a_plain_wall() -> None:
    """A mask of one component without a hole: the errors are the label's Betti numbers, less one component."""
    folder = SHARED_DATA / "topomortar" / "dataset"
    lines = (folder / "betti_numbers.csv").read_text().split()[1:]
    published = {line.split(",")[0]: tuple(map(int, line.split(",")[1:3])) for line in lines}
    in_distribution = [
        image for image, group in read_groups(folder / "dataset_types.txt").items() if group == "indistr"
    ]
    paths = sorted((folder / "test" / "accurate").glob("*.png"))
    assert len(paths) == 66 and {str(int(path.stem)) for path in paths} & set(in_distribution)
    for path in paths:
        gt = np.asarray(Image.open(path)) > 0
        result = structure_scores(
            np.ones(gt.shape, np.uint8), gt.astype(np.uint8), 2, ("betti",), window=128, frame="none"
        )
        components, holes = published[path.stem]
        assert result[1] == [abs(components - 1), holes]


def test_a_column_for_the_betti_matching_error_when_it_is_scored() -> None:
    ring = np.zeros((40, 40), bool)
    ring[8:32, 8:32] = True
    ring[14:26, 14:26] = False
    cut = ring.copy()
    cut[18:20, 20:] = False
    result = columns(cut, ring, matching=True)
    assert tuple(result) == tuple(COLUMNS) and result["BettiMatchingError_mortar"] == result["Betti1Error_mortar"] == 1
    assert isinstance(result["Betti0Error_mortar"], int) and isinstance(result["BettiMatchingError_mortar"], int)


def test_empty_masks() -> None:
    wall, nothing = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    wall[5:9, 5:9] = wall[20:25, 20:25] = True
    missed = columns(nothing, wall)
    assert missed["Betti0Error_mortar"] == missed["Betti0ErrorLocal_mortar"] == 2
    assert missed["Dice_mortar"] == missed["clDice_mortar"] == 0
    assert missed["HD95_mortar"] == pytest.approx(np.hypot(29, 39))
    perfect = columns(nothing, nothing)
    assert perfect.pop("Dice_mortar") == perfect.pop("clDice_mortar") == 1 and not any(perfect.values())


def test_dice() -> None:
    generator = np.random.default_rng(0)
    first, other = generator.random((2, 20, 30)) > 0.6
    overlap = (first & other).sum()
    assert dice(first, other) == dice(other, first) == pytest.approx(2 * overlap / (first.sum() + other.sum()))
    assert dice(first, first) == 1 and dice(first, ~first) == 0 and dice(first & ~first, first & ~first) == 1
