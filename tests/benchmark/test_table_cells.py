"""The cells of the benchmark: the paper's tables to the digit, and incomplete results."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from resultfolders import HEAD, draw_table, read_all, write_results, write_table
from shareddata import SHARED_DATA, needs_shared_data

from wsss.benchmark.permutation import permutation_test
from wsss.benchmark.read_results import DIAGONAL, read_benchmark
from wsss.benchmark.score_set import LOSSES, Case, folder_name, short_name
from wsss.benchmark.table_cells import Row, benchmark_rows, rounded, table_of
from wsss.errors import InvalidInput

CASE = Case("supervised", "accurate", "large")

# From results/PERFORMANCE_TABLES.md in the authors' repository; a star marks bold cells.
METRICS = ("Betti0", "Betti1", "Dice", "HD95")
STUDY_CASE_1 = {
    "CEDice": "3.31 ± 6.6, 2.13 ± 3.89, 0.91 ± 0.04, 1.87 ± 0.87",
    "RWLoss": "5.72 ± 9.94, 6.03 ± 12.09, 0.91 ± 0.05, *1.84 ± 0.84",
    "TopoLoss": "3.14 ± 6.11, 2.73 ± 7.24, 0.91 ± 0.04, 1.87 ± 0.88",
    "TOPO": "33.69 ± 22.06, 43.35 ± 23.34, 0.86 ± 0.06, 2.68 ± 1.24",
    "clDice": "*1.17 ± 2.26, *1.41 ± 2.53, 0.91 ± 0.05, *1.83 ± 0.84",
    "Warping": "4.2 ± 6.95, 3.62 ± 6.25, 0.91 ± 0.05, *1.84 ± 0.83",
    "SkelRecall": "3.08 ± 5.3, *1.73 ± 2.81, 0.91 ± 0.05, 1.9 ± 0.89",
    "cbDice": "4.24 ± 7.12, 3.81 ± 7.65, 0.91 ± 0.04, *1.85 ± 0.86",
}
STUDY_CASE_2 = {
    "CEDice": "197.25 ± 188.68, 87.81 ± 84.29, 0.65 ± 0.19, 37.65 ± 27.76",
    "RWLoss": "219.55 ± 172.14, 87.74 ± 86.38, 0.64 ± 0.19, 37.31 ± 27.63",
    "TopoLoss": "*193.29 ± 190.19, 99.33 ± 95.53, 0.65 ± 0.19, *37.33 ± 27.58",
    "TOPO": "*117.73 ± 106.3, 105.09 ± 115.16, 0.65 ± 0.17, 40.21 ± 28.65",
    "clDice": "*81.33 ± 92.37, *51.64 ± 48.97, *0.66 ± 0.19, *36.9 ± 28.19",
    "Warping": "204.26 ± 179.53, *80.23 ± 75.14, 0.65 ± 0.19, *37.07 ± 27.29",
    "SkelRecall": "*180.23 ± 170.31, 96.79 ± 98.12, *0.67 ± 0.18, 38.46 ± 27.66",
    "cbDice": "233.49 ± 202.28, 106.08 ± 104.07, 0.65 ± 0.18, 37.84 ± 27.71",
}


def printed(cells: dict[tuple[str, str], Row]) -> dict[str, str]:
    losses = dict.fromkeys(loss for loss, _ in cells)
    return {
        loss: ", ".join(
            f"{'*' if (row := cells[loss, metric]).bold else ''}{rounded(row.mean)} ± {rounded(row.std or 0)}"
            for metric in METRICS
        )
        for loss in losses
    }


@needs_shared_data
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2026))])
def test_study_cases_1_and_2_match_the_paper(seed: int) -> None:
    """For any seed of the permutation tests."""
    benchmark = read_all(SHARED_DATA / "topomortar" / "results")
    rows = benchmark_rows(benchmark, seed=seed)
    assert printed(table_of(rows, CASE, "ID")) == STUDY_CASE_1
    assert printed(table_of(rows, CASE, "OOD")) == STUDY_CASE_2


def test_means_and_deviations_by_hand(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0}, seeds=(1, 2), images=3)
    rows = benchmark_rows(read_all(results))
    tables = [draw_table(range(1, 22), 1.0, seed) for seed in (1, 2)]
    groups = [[float(t[i]["HD95_mortar"]) for t in tables for i in range(3 * g, 3 * g + 3)] for g in range(7)]
    inside, outside = (table_of(rows, CASE, name)["CEDice", "HD95"] for name in ("ID", "OOD"))
    assert inside.mean == pytest.approx(statistics.mean(groups[0]))
    assert inside.std == pytest.approx(statistics.stdev(groups[0]))
    assert outside.mean == pytest.approx(statistics.mean(map(statistics.mean, groups[1:])))
    assert outside.std == pytest.approx(statistics.mean(map(statistics.stdev, groups[1:])))
    assert inside.p is None and not inside.bold


def test_better_and_worse_losses(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 0.3, "TopoLoss": 2.0})
    cells = table_of(benchmark_rows(read_all(results)), CASE, "OOD")
    assert {loss for (loss, _), row in cells.items() if row.bold} == {"clDice"}
    assert all(cells["clDice", metric].bold for metric in METRICS)
    assert all(cells["TopoLoss", metric].p < 0.05 and cells["TopoLoss", metric].worse for metric in METRICS)


def test_an_improvement_below_the_rounding_is_not_bold(tmp_path: Path) -> None:
    """Each image improves by 0.001: significant, but invisible after rounding."""
    results = write_results(tmp_path, {"CEDiceLoss": 1.0})
    for seed in (1, 2, 3):
        rows = draw_table(range(1, 29), 1.0, seed)
        for row in rows:
            row["Dice_mortar"] = round(float(row["Dice_mortar"]), 2) + 0.001
        write_table(results / str(CASE) / "clDiceLoss" / f"{seed}.csv", rows)
        for row in rows:
            row["Dice_mortar"] = float(row["Dice_mortar"]) - 0.001
        write_table(results / str(CASE) / "CEDiceLoss" / f"{seed}.csv", rows)
    cell = table_of(benchmark_rows(read_all(results)), CASE, "ID")["clDice", "Dice"]
    assert cell.p is not None and cell.p < 0.01 and not cell.bold


def test_the_hd95_of_an_empty_prediction_is_the_diagonal(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0}, seeds=(1,))
    rows = draw_table(range(1, 29), 1.0, 1)
    rows[0]["HD95_mortar"] = 9999999
    write_table(results / str(CASE) / "CEDiceLoss" / "1.csv", rows)
    benchmark = read_all(results)
    values = benchmark.cases[CASE]["CEDice"].values["HD95"]
    assert values.max() == DIAGONAL == pytest.approx(722.6631303726516)
    assert any(note.startswith("1 empty prediction ") for note in benchmark.notes)


def test_losses_by_any_name(tmp_path: Path) -> None:
    names = ["CEDice", "region_wise", "MSETopoWinLoss", "betti_matching", "NewLoss"]
    benchmark = read_all(write_results(tmp_path, dict.fromkeys(names, 1.0), seeds=(1,)))
    assert benchmark.losses == ("CEDice", "RWLoss", "TOPO", "BettiMatching", "NewLoss")
    assert any("NewLoss" in note and "without a short name" in note for note in benchmark.notes)


def test_loss_names_round_trip() -> None:
    for short, names in LOSSES.items():
        assert {short_name(name) for name in (short, *names)} == {short}
        assert short_name(folder_name(short)) == short
    assert (
        folder_name("skeleton_recall") == "CESkeletonRecallLoss" and folder_name("mine") == short_name("mine") == "mine"
    )


def test_two_folders_of_one_loss_are_refused(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0, "CEDice": 1.0})
    with pytest.raises(InvalidInput) as error:
        read_all(results)
    assert error.value.subject == str(results / str(CASE) / "CEDiceLoss")


def test_cases_are_separate_and_in_the_papers_order(tmp_path: Path) -> None:
    for case in ("mine/accurate/large", "supervised/weak/large", "selfdistillation/noisy/large"):
        write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 0.5}, case=case)
    for case in ("supervised/accurate/small", "randhue/accurate/large", "supervised/accurate/large"):
        results = write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 0.5}, case=case)
    benchmark = read_all(results)
    assert [str(case) for case in benchmark.cases] == [
        *("supervised/accurate/large", "supervised/accurate/small", "supervised/weak/large"),
        *("randhue/accurate/large", "selfdistillation/noisy/large", "mine/accurate/large"),
    ]
    rows = benchmark_rows(benchmark)
    assert len(rows) == 6 * 2 * 2 * 7
    by_case = [table_of(rows, case, "ID")["clDice", "HD95"].p for case in benchmark.cases]
    assert len(set(by_case)) == 1, "equal scores and sign flips give equal p-values"


def test_missing_seeds_and_images_are_noted_and_only_common_pairs_tested(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 0.4})
    losses = results / str(CASE)
    (losses / "clDiceLoss" / "3.csv").unlink()
    write_table(losses / "clDiceLoss" / "2.csv", draw_table(range(2, 29), 0.4, 2))
    benchmark = read_all(results)
    assert f"{CASE}: fewer than 3 seeds: clDice 2" in benchmark.notes
    assert f"{CASE}: clDice: 1 score of single images missing" in benchmark.notes
    rows = benchmark_rows(benchmark)
    cell = table_of(rows, CASE, "ID")["clDice", "HD95"]
    mine = draw_table(range(1, 29), 0.4, 1)[:4] + draw_table(range(2, 29), 0.4, 2)[:3]
    theirs = draw_table(range(1, 29), 1.0, 1)[:4] + draw_table(range(1, 29), 1.0, 2)[1:4]
    kept, base = ([float(str(row["HD95_mortar"])) for row in rows] for rows in (mine, theirs))
    assert cell.mean == pytest.approx(statistics.mean(kept))
    # of the 2¹² sign combinations of the reference's pairs, only the 7 common pairs matter
    [expected] = permutation_test(np.subtract(kept, base)[:, None])
    assert cell.p == expected < 0.05 and cell.bold


def test_bold_requires_an_improvement_on_the_common_pairs(tmp_path: Path) -> None:
    """clDice has easy images only: its mean is better than that of CEDice, but not on the same images."""
    results = write_results(tmp_path, {"CEDiceLoss": 1.0})
    for seed in (1, 2, 3):
        rows = draw_table(range(1, 29), 1.0, seed)
        for row in rows:
            row["HD95_mortar"] = 1.0 if str(row["ID"]) == "001" else 9.0
        write_table(results / str(CASE) / "CEDiceLoss" / f"{seed}.csv", rows)
        easy = [{**rows[0], "HD95_mortar": 2.0}]
        write_table(results / str(CASE) / "clDiceLoss" / f"{seed}.csv", easy)
    cells = table_of(benchmark_rows(read_all(results)), CASE, "ID")
    assert cells["clDice", "HD95"].mean < cells["CEDice", "HD95"].mean
    assert not cells["clDice", "HD95"].bold and not cells["clDice", "HD95"].worse


def test_one_seed_and_one_image(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 0.5}, seeds=(7,), images=1)
    rows = benchmark_rows(read_all(results))
    cell = table_of(rows, CASE, "ID")["clDice", "Dice"]
    assert cell.std is None and cell.p == 0.5 and not cell.bold
    assert all(math.isfinite(row.mean) for row in rows)


def test_without_common_seeds_there_is_no_p_value(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0}, seeds=(1, 2))
    write_results(tmp_path, {"clDiceLoss": 0.2}, seeds=(3, 4))
    benchmark = read_all(results)
    assert any("no image and seed in common with CEDice" in note for note in benchmark.notes)
    assert all(row.p is None and not row.bold for row in benchmark_rows(benchmark))


def test_without_cedice_there_is_no_p_value(tmp_path: Path) -> None:
    benchmark = read_all(write_results(tmp_path, {"clDiceLoss": 0.2}))
    assert any("no CEDice" in note for note in benchmark.notes)
    assert all(row.p is None and not row.bold for row in benchmark_rows(benchmark))


def test_missing_columns_and_cells(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 0.5})
    folder = results / str(CASE) / "clDiceLoss"
    for seed in (1, 2, 3):
        rows = [{**row, "Extra": "text"} for row in draw_table(range(1, 29), 0.5, seed)]
        rows[0]["clDice_mortar"] = ""
        rows[5]["clDice_mortar"] = "nan"
        head = [name for name in HEAD if name != "HD95_mortar"]
        for row in rows:
            row.pop("HD95_mortar")
        write_table(folder / f"{seed}.csv", rows, [*head, "Extra"])
    benchmark = read_all(results)
    assert f"{CASE}: no HD95 for clDice" in benchmark.notes and "ignored columns: Extra" in benchmark.notes
    assert any("clDice undefined in some rows" in note and "clDice 6" in note for note in benchmark.notes)
    cells = table_of(benchmark_rows(benchmark), CASE, "ID")
    assert ("clDice", "HD95") not in cells and ("CEDice", "HD95") in cells
    assert cells["clDice", "clDice"].p is not None


def test_groups_of_unequal_size_have_equal_weight(tmp_path: Path) -> None:
    """A group of a single image has the same weight as the others, both in the mean and in the test."""
    results = write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 1.0}, seeds=(1,), images=20)
    file = tmp_path / "dataset" / "dataset_types.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *lines[1:41], lines[-1]]) + "\n")  # indistr, angles, and one of shadows
    for loss, shift in (("CEDiceLoss", 0.0), ("clDiceLoss", 1.0)):
        rows = draw_table(range(1, 141), 1.0, 1)
        for row in rows:
            inside = int(str(row["ID"])) <= 40
            row["HD95_mortar"] = 10.0 + shift * (0.5 if inside else -5.0)
        write_table(results / str(CASE) / loss / "1.csv", rows)
    benchmark = read_all(results)
    assert benchmark.groups == ("indistr", "angles", "shadows")
    assert any(note.startswith("99 ignored images without a group") for note in benchmark.notes)
    cell = table_of(benchmark_rows(benchmark), CASE, "OOD")["clDice", "HD95"]
    assert cell.mean == pytest.approx((10.5 + 5.0) / 2) and not cell.bold
    assert cell.std is None, "undefined for the single image of shadows"
    assert cell.p == pytest.approx(0.5, abs=0.02), "the sign of the single shadows image decides the mean"


def test_a_loss_without_some_group_is_noted(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 0.5})
    for path in (results / str(CASE) / "clDiceLoss").iterdir():
        path.write_text("\n".join(path.read_text().splitlines()[:-4]) + "\n")  # without the four images of shadows
    benchmark = read_all(results)
    assert f"{CASE}: clDice: no images of shadows: OOD means are over fewer groups" in benchmark.notes
    assert not any("CEDice: no images" in note for note in benchmark.notes)
    scores = benchmark.cases[CASE]["clDice"]
    values = scores.values["HD95"].reshape(-1, 4 * 3)[1:]  # sorted by group: four images of three seeds each
    cell = table_of(benchmark_rows(benchmark), CASE, "OOD")["clDice", "HD95"]
    assert len(values) == 5 and cell.mean == pytest.approx(values.mean(1).mean())


def test_only_in_distribution_images(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0, "clDiceLoss": 0.5})
    for path in results.rglob("*.csv"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[:5]) + "\n")
    benchmark = read_all(results)
    assert {row.group for row in benchmark_rows(benchmark)} == {"ID"}
    assert any(note.startswith("no results for the groups angles, colors") for note in benchmark.notes)


def test_no_image_in_any_group_is_an_error(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"CEDiceLoss": 1.0})
    other = tmp_path / "groups.csv"
    other.write_text("ID,group\nwall,indistr\n")
    with pytest.raises(InvalidInput) as error:
        read_benchmark(results, other)
    assert error.value.subject == str(other)
