"""Ranks and critical differences, against scipy and Demšar's table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from resultfolders import write_results
from scipy import stats

from wsss.benchmark.ranking import critical_difference, rank_losses, rank_over_images, ranks
from wsss.benchmark.result_files import find_groups
from wsss.benchmark.score_set import METRICS, read_benchmark
from wsss.benchmark.table_cells import benchmark_rows

LEVELS = {"CEDiceLoss": 1.0, "clDiceLoss": 0.3, "TopoLoss": 3.0}


def test_ranks_are_scipys() -> None:
    values = np.random.default_rng(0).integers(0, 5, (40, 6)).astype(float)
    assert (ranks(values, lower_is_better=True) == stats.rankdata(values, axis=1)).all()
    assert (ranks(values, lower_is_better=False) == stats.rankdata(-values, axis=1)).all()


@pytest.mark.parametrize(
    ("losses", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_differences_are_those_of_demsars_table(losses: int, q: float) -> None:
    assert critical_difference(losses, 50) == pytest.approx(q * math.sqrt(losses * (losses + 1) / 300), rel=4e-4)
    of_scipy = stats.studentized_range.ppf(0.95, losses, np.inf) / math.sqrt(2)
    assert critical_difference(losses, 50) == pytest.approx(of_scipy * math.sqrt(losses * (losses + 1) / 300), rel=1e-6)


def test_a_clear_order_is_found(tmp_path: Path) -> None:
    results = write_results(tmp_path, LEVELS)
    benchmark = read_benchmark(results, find_groups(results))
    ranking = rank_losses(benchmark_rows(benchmark))
    assert list(ranking.standings) == ["clDice", "CEDice", "TopoLoss"] and ranking.blocks == {"ID": 4, "OOD": 4}
    best, worst = ranking.standings["clDice"]["OOD"], ranking.standings["TopoLoss"]["OOD"]
    assert (best.rank, best.better, best.worse, best.cells) == (1, 4, 0, 4)
    assert (worst.rank, worst.better, worst.worse) == (3, 0, 4)
    assert ranking.standings["CEDice"]["ID"].better == 0


def test_a_loss_that_lacks_tables_has_no_rank_and_moves_no_other(tmp_path: Path) -> None:
    write_results(tmp_path, LEVELS)
    results = write_results(tmp_path, {**LEVELS, "BettiMatchingLoss": 0.1}, case="randhue/accurate/large")
    ranking = rank_losses(benchmark_rows(read_benchmark(results, find_groups(results))))
    assert ranking.incomplete == ("BettiMatching",)
    assert ranking.standings["BettiMatching"]["ID"].rank is None and ranking.standings["BettiMatching"]["ID"].cells == 4
    assert ranking.standings["clDice"]["ID"].rank == 1 and list(ranking.standings)[-1] == "BettiMatching"


def test_a_table_of_one_loss_costs_nobody_a_rank(tmp_path: Path) -> None:
    write_results(tmp_path, LEVELS)
    results = write_results(tmp_path, {"CEDiceLoss": LEVELS["CEDiceLoss"]}, case="supervised/noisy/large")
    ranking = rank_losses(benchmark_rows(read_benchmark(results, find_groups(results))))
    assert ranking.incomplete == () and ranking.blocks == {"ID": 4, "OOD": 4}
    assert ranking.standings["clDice"]["OOD"].rank == 1
    assert ranking.standings["CEDice"]["ID"].cells == 8 and ranking.standings["clDice"]["ID"].cells == 4


def test_ranks_over_images(tmp_path: Path) -> None:
    results = write_results(tmp_path, LEVELS, images=6)
    losses = read_benchmark(results, find_groups(results)).cases["supervised", "accurate", "large"]  # type: ignore[index]
    found = rank_over_images(losses, METRICS[3], "OOD")
    assert found is not None and found.images == 36
    assert found.ranks == {"CEDice": 2, "clDice": 1, "TopoLoss": 3} and sum(found.ranks.values()) == 6
    assert found.critical == critical_difference(3, 36)
    assert rank_over_images({"CEDice": losses["CEDice"]}, METRICS[3], "ID") is None
