"""Ranks by hand, and critical differences from Demšar's published table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from resultfolders import read_all, write_results

from wsss.benchmark.ranking import Ranking, critical_difference, rank_losses, rank_over_images
from wsss.benchmark.score_set import METRICS, LossScores
from wsss.benchmark.table_cells import benchmark_rows

LEVELS = {"CEDiceLoss": 1.0, "clDiceLoss": 0.3, "TopoLoss": 3.0}


def ranking_of(results: Path) -> Ranking:
    return rank_losses(benchmark_rows(read_all(results)))


# Demšar (JMLR 2006), table 5: critical values of the two-tailed Nemenyi test at .05.
@pytest.mark.parametrize(
    ("losses", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_differences_match_demsars_table(losses: int, q: float) -> None:
    assert critical_difference(losses, 50) == pytest.approx(q * math.sqrt(losses * (losses + 1) / 300), rel=4e-4)


@pytest.mark.parametrize(("losses", "blocks"), [(1, 10), (3, 0)])
def test_a_critical_difference_needs_two_losses_and_a_block(losses: int, blocks: int) -> None:
    with pytest.raises(ValueError):
        critical_difference(losses, blocks)


@pytest.mark.parametrize("metric", ["HD95", "Dice"])
def test_ranks_over_images_by_hand(metric: str) -> None:
    """Four images; ties share their mean rank, image e is incomplete, and each image's seeds are averaged."""
    scores = {"A": [1, 1, 2, 5, 1], "B": [2, 1, 3, 7, 1], "C": [3, 4, 3, 6, np.nan]}
    losses = {
        name: LossScores(
            images=("a", "b", "c", "d", "d", "e"),
            groups=("indistr",) * 6,
            seeds=(1, 1, 1, 1, 2, 1),
            values={metric: np.array([*values[:3], values[3] - 1, values[3] + 1, values[4]], np.float64)},
        )
        for name, values in scores.items()
    }
    result = rank_over_images(losses, next(one for one in METRICS if one.name == metric), "ID")
    # Ranks for HD95: A 1, 1.5, 1, 1; B 2, 1.5, 2.5, 3; C 3, 3, 2.5, 2. Dice: reversed.
    assert result is not None and result.images == 4
    expected = {"A": 4.5 / 4, "B": 9 / 4, "C": 10.5 / 4}
    assert result.ranks == (expected if metric == "HD95" else {name: 4 - rank for name, rank in expected.items()})
    assert result.critical == critical_difference(3, 4)
    assert rank_over_images({"A": losses["A"]}, METRICS[3], "ID") is None
    assert rank_over_images(losses, METRICS[3], "OOD") is None


def test_a_loss_without_scores_in_a_distribution_does_not_hide_the_others(tmp_path: Path) -> None:
    (losses,) = read_all(write_results(tmp_path, LEVELS)).cases.values()
    expected = rank_over_images({name: losses[name] for name in ("CEDice", "clDice")}, METRICS[0], "OOD")
    inside = [row for row, group in enumerate(losses["TopoLoss"].groups) if group == "indistr"]
    short = LossScores(
        images=tuple(losses["TopoLoss"].images[row] for row in inside),
        groups=("indistr",) * len(inside),
        seeds=tuple(losses["TopoLoss"].seeds[row] for row in inside),
        values={name: column[inside] for name, column in losses["TopoLoss"].values.items()},
    )
    assert expected is not None and expected.images > 1
    assert rank_over_images({**losses, "TopoLoss": short}, METRICS[0], "OOD") == expected


def test_a_clear_order(tmp_path: Path) -> None:
    ranking = ranking_of(write_results(tmp_path, LEVELS))
    assert list(ranking.standings) == ["clDice", "CEDice", "TopoLoss"] and ranking.blocks == {"ID": 4, "OOD": 4}
    best, worst = ranking.standings["clDice"]["OOD"], ranking.standings["TopoLoss"]["OOD"]
    assert (best.rank, best.better, best.worse, best.cells) == (1, 4, 0, 4)
    assert (worst.rank, worst.better, worst.worse) == (3, 0, 4)
    assert ranking.standings["CEDice"]["ID"].better == 0


def test_an_incomplete_loss_has_no_rank_and_does_not_change_the_others(tmp_path: Path) -> None:
    write_results(tmp_path, LEVELS)
    ranking = ranking_of(write_results(tmp_path, {**LEVELS, "BettiMatchingLoss": 0.1}, case="randhue/accurate/large"))
    assert ranking.incomplete == ("BettiMatching",)
    assert ranking.standings["BettiMatching"]["ID"].rank is None and ranking.standings["BettiMatching"]["ID"].cells == 4
    assert ranking.standings["clDice"]["ID"].rank == 1 and list(ranking.standings)[-1] == "BettiMatching"


def test_a_table_of_one_loss_is_not_ranked(tmp_path: Path) -> None:
    write_results(tmp_path, LEVELS)
    ranking = ranking_of(write_results(tmp_path, {"CEDiceLoss": LEVELS["CEDiceLoss"]}, case="supervised/noisy/large"))
    assert ranking.incomplete == () and ranking.blocks == {"ID": 4, "OOD": 4}
    assert ranking.standings["clDice"]["OOD"].rank == 1
    assert ranking.standings["CEDice"]["ID"].cells == 8 and ranking.standings["clDice"]["ID"].cells == 4
