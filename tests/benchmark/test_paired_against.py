"""Comparison across cases: by hand, against SciPy, and on incomplete results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from resultfolders import draw_table, read_all, write_results, write_table

from wsss.benchmark.paired_against import Arm, Contrast, contrasts, find_arm
from wsss.benchmark.score_set import Case
from wsss.errors import InvalidInput

ACCURATE, WEAK = Case("supervised", "accurate", "large"), Case("supervised", "weak", "large")
REFERENCE = Arm(ACCURATE, "CEDice")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Seven groups of 12 images; weak labels are worse with CE+Dice and better with clDice."""
    write_results(tmp_path, {"CEDiceLoss": 1.0}, images=12)
    return write_results(
        tmp_path, {"CEDiceLoss": 1.6, "clDiceLoss": 0.3}, case="supervised/weak/large", seeds=(7, 8), images=12
    )


def cells(rows: list[Contrast]) -> dict[tuple[str, str, str], Contrast]:
    return {(f"{row.arm.case.labels}/{row.arm.loss}", row.group, row.metric): row for row in rows}


def per_image(level: float, seeds: tuple[int, ...], column: str, images: range) -> np.ndarray:
    tables = [draw_table(range(1, 85), level, seed) for seed in seeds]
    return np.array([[float(table[i][column]) for table in tables] for i in images])


def test_means_differences_and_seeds_by_hand(results: Path) -> None:
    result = cells(contrasts(read_all(results), REFERENCE))
    weak = per_image(0.3, (7, 8), "Betti0Error_mortar", range(12))
    base = per_image(1.0, (1, 2, 3), "Betti0Error_mortar", range(12))
    one = result["weak/clDice", "ID", "Betti0"]
    assert one.images == 12 and one.mean == pytest.approx(weak.mean())
    assert one.difference == pytest.approx(weak.mean() - base.mean())
    assert one.seeds == {7: pytest.approx(weak[:, 0].mean()), 8: pytest.approx(weak[:, 1].mean())}
    outside = result["weak/clDice", "OOD", "Betti0"]
    weak = per_image(0.3, (7, 8), "Betti0Error_mortar", range(12, 84))
    base = per_image(1.0, (1, 2, 3), "Betti0Error_mortar", range(12, 84))
    assert outside.images == 72 and outside.difference == pytest.approx(weak.mean() - base.mean())


def test_p_and_interval_agree_with_scipy(results: Path) -> None:
    """The bootstrap of SciPy draws other resamples."""
    one = cells(contrasts(read_all(results), REFERENCE, resamples=9999))["weak/CEDice", "ID", "HD95"]
    weak = per_image(1.6, (7, 8), "HD95_mortar", range(12)).mean(1)
    base = per_image(1.0, (1, 2, 3), "HD95_mortar", range(12)).mean(1)
    differences = weak - base

    test = scipy.stats.permutation_test(
        (weak, base), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert one.p == pytest.approx(test.pvalue, abs=1e-9), "4,096 combinations: both are exact"
    expected = scipy.stats.bootstrap((differences,), np.mean, method="percentile", rng=np.random.default_rng(1))
    low, high = expected.confidence_interval
    assert one.low is not None and one.high is not None
    assert (one.low, one.high) == pytest.approx((low, high), abs=0.02 * (high - low) + 0.004)
    assert one.low < one.difference < one.high


def test_verdicts_follow_the_better_direction_of_each_metric(results: Path) -> None:
    result = cells(contrasts(read_all(results), REFERENCE))
    for metric in ("Betti0", "Betti1", "Dice", "HD95", "clDice"):
        for group in ("ID", "OOD"):
            assert result["weak/clDice", group, metric].verdict == "better"
            assert result["weak/CEDice", group, metric].verdict == "worse"
    assert result["weak/clDice", "ID", "Betti0"].difference < 0 < result["weak/clDice", "ID", "Dice"].difference


def test_the_reference_comes_first_with_zero_difference(results: Path) -> None:
    rows = contrasts(read_all(results), Arm(WEAK, "clDice"))
    for group in ("ID", "OOD"):
        first = next(row for row in rows if row.group == group)
        assert first.arm == Arm(WEAK, "clDice")
        assert (first.difference, first.low, first.high, first.p, first.verdict) == (0, 0, 0, 1, None)
    assert {row.arm for row in rows} == {Arm(WEAK, "clDice"), Arm(WEAK, "CEDice"), REFERENCE}


def test_equal_scores_are_neither_better_nor_worse(tmp_path: Path) -> None:
    write_results(tmp_path, {"CEDiceLoss": 1.0})
    results = write_results(tmp_path, {"CEDiceLoss": 1.0}, case="supervised/noisy/large")
    others = [row for row in contrasts(read_all(results), REFERENCE) if row.arm != REFERENCE]
    assert others and all((row.difference, row.p, row.verdict) == (0, 1, None) for row in others)


def test_only_common_images_and_complete_seeds_count(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0})
    weak = results / "supervised/weak/large/CEDiceLoss"
    write_table(weak / "1.csv", draw_table([1, 2], 0.5, 1))
    write_table(weak / "2.csv", draw_table([2], 0.5, 2))
    result = cells(contrasts(read_all(results), REFERENCE))
    one = result["weak/CEDice", "ID", "Dice"]
    first, second = draw_table([1, 2], 0.5, 1), draw_table([2], 0.5, 2)
    last = (first[1]["Dice_mortar"] + second[0]["Dice_mortar"]) / 2  # type: ignore[operator]
    assert one.images == 2 and one.mean == pytest.approx((first[0]["Dice_mortar"] + last) / 2)  # type: ignore[operator]
    assert list(one.seeds) == [1]
    assert ("weak/CEDice", "OOD", "Dice") not in result


def test_groups_of_unequal_size_have_equal_weight(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0})
    images = [5, 6, 7, 8, 9]  # four of one group, one of the next
    write_table(results / "supervised/weak/large/CEDiceLoss/1.csv", draw_table(images, 0.5, 1))
    one = cells(contrasts(read_all(results), REFERENCE))["weak/CEDice", "OOD", "Dice"]
    scores = [float(row["Dice_mortar"]) for row in draw_table(images, 0.5, 1)]  # type: ignore[arg-type]
    assert one.mean == pytest.approx((np.mean(scores[:4]) + scores[4]) / 2)


def test_the_reference_loss_may_have_any_of_its_names(results: Path) -> None:
    benchmark = read_all(results)
    for loss in ("CEDice", "CEDiceLoss", "ce_dice"):
        assert find_arm(benchmark, f"supervised/accurate/large/{loss}") == REFERENCE


@pytest.mark.parametrize("name", ["", "CEDice", "supervised/accurate/large/clDice", "supervised/acurate/large/CEDice"])
def test_an_unknown_reference_is_an_error_with_the_valid_ones(results: Path, name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        find_arm(read_all(results), name)
    assert error.value.found == name and "supervised/weak/large/clDice" in error.value.allowed


def test_the_same_seed_gives_the_same_numbers(results: Path) -> None:
    benchmark = read_all(results)
    assert contrasts(benchmark, REFERENCE, seed=3) == contrasts(benchmark, REFERENCE, seed=3)
    assert contrasts(benchmark, REFERENCE, seed=3) != contrasts(benchmark, REFERENCE, seed=4)


def test_a_reference_with_gaps_and_its_copy_have_zero_difference(tmp_path: Path) -> None:
    """Means over incomplete seeds don't depend on the order of summation."""
    results = write_results(tmp_path, {}, images=6)
    generator = np.random.default_rng(0)
    for seed in range(10):
        kept = [image for image in range(1, 43) if generator.random() < 0.7]
        for labels in ("accurate", "noisy"):
            path = results / f"supervised/{labels}/large/CEDiceLoss/{seed}.csv"
            write_table(path, draw_table(kept, 1.0, seed))
    for row in contrasts(read_all(results), REFERENCE):
        assert (row.difference, row.low, row.high, row.p, row.verdict) == (0, 0, 0, 1, None)


def test_a_single_image_has_no_interval(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0})
    write_table(results / "supervised/weak/large/CEDiceLoss/1.csv", draw_table([1], 0.5, 1))
    one = cells(contrasts(read_all(results), REFERENCE))["weak/CEDice", "ID", "Dice"]
    assert (one.images, one.low, one.high, one.p, one.verdict) == (1, None, None, 1, None)


def test_the_error_rate_under_the_null_is_about_five_percent(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    results = write_results(tmp_path, {}, images=30)
    for loss in ("CEDiceLoss", *(f"Same{number}" for number in range(60))):
        rows = draw_table(range(1, 31), 1.0, 0)
        for row in rows:
            row["Dice_mortar"] = float(generator.normal(0.9, 0.02))
        write_table(results / f"supervised/accurate/large/{loss}/0.csv", rows)
    verdicts = [
        row.verdict
        for row in contrasts(read_all(results), REFERENCE, permutations=1000)
        if row.metric == "Dice" and row.arm.loss != "CEDice"
    ]
    assert len(verdicts) == 60 and sum(verdict is not None for verdict in verdicts) <= 9
