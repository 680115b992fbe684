"""Sampling positions: arrows from the regular grid, per checkpoint."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrix import score_matrix
from small_run import RunBuilder, drawn_dataset

from wsss.io.files.stage_files import offsets_path
from wsss.io.rasters.offsets import Offsets, write_offsets
from wsss.pipeline.run.runner import run_stage
from wsss.stages.compare import STAGE as COMPARE
from wsss.viz.report.pictures.sampling_view import MAX_ARROWS, arrows_svg, chains, sampling_sections
from wsss.viz.report.pictures.thumbnails import DETAILS
from wsss.viz.report.run_overview import read_record
from wsss.viz.report.run_page import Options, build_report

SVG = "{http://www.w3.org/2000/svg}"
numbers = re.compile(r"-?\d+\.?\d*")


def paths(svg: str) -> tuple[str, str]:
    """Return the shafts and the heads of the arrows."""
    coloured = ElementTree.fromstring(svg).findall(f"{SVG}path")
    return coloured[0].attrib["d"], coloured[1].attrib["d"]


def shafts_and_tips(svg: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    shafts, heads = paths(svg)
    starts = [tuple(map(float, numbers.findall(part)[:2])) for part in shafts.split("M")[1:]]
    tips = [tuple(map(float, numbers.findall(part)[:2])) for part in heads.split("M")[1:]]
    return starts, tips


def test_arrows_point_from_the_grid_to_the_sampled_position() -> None:
    offsets = np.zeros((1, 2, 3, 4))
    offsets[0, :, 1, 2] = (-0.5, 1.25)  # up by half an element, right by one and a quarter
    starts, tips = shafts_and_tips(arrows_svg(Offsets(offsets, 16, (48, 64))))
    assert starts == [(32, 16)] and tips == [(52, 8)]


def test_taps_of_a_kernel_start_one_element_apart() -> None:
    offsets = np.zeros((9, 2, 3, 3))
    offsets[:, 0] = 0.5
    starts, tips = shafts_and_tips(arrows_svg(Offsets(offsets, 8, (24, 24)), kernel=3))
    assert starts == [(8.0 * column, 8.0 * row) for row in range(3) for column in range(3)]
    assert tips == [(x, y + 4) for x, y in starts]


def test_zero_offsets_are_drawn_without_arrows() -> None:
    shafts, heads = paths(arrows_svg(Offsets(np.zeros((1, 2, 6, 8)), 8, (48, 64))))
    assert shafts == heads == ""


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3, 5]))
def test_the_number_of_arrows_is_limited(taps: int, height: int, width: int, kernel: int) -> None:
    svg = arrows_svg(Offsets(np.ones((taps, 2, height, width), np.float32), 16, (16 * height, 16 * width)), kernel)
    assert 0 < paths(svg)[0].count("M") <= MAX_ARROWS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("samplings")
    data = drawn_dataset(root / "data", train=2, val=4)
    run = RunBuilder(root / "run", data)
    for name, uses, inputs in (
        ("classify", "classify", {}),
        ("expand", "expand", {"classifier": "classify"}),
        ("shrink", "shrink", {"classifier": "expand"}),
        ("alone", "expand", {"classifier": "classify"}),
    ):
        folder = run.network(name, uses, inputs, config={"sampler": {"kernel_size": 1}})
        if name != "classify":
            for sample in data.split("val")[:3]:
                offsets = np.full((1, 2, 8, 10), 0.5 if name == "expand" else 0.25)
                write_offsets(offsets_path(folder, sample.id), Offsets(offsets, 8, (60, 80)))
    run.cams("cam-before", {"classifier": "classify"}, split="val")
    run.cams("cam-after", {"classifier": "shrink"}, split="val")
    return root, data, [read_record(root / "run" / stage["id"]) for stage in run.stages]


def test_checkpoints_are_chained_from_classifier_to_last_sampler(made) -> None:
    _, _, records = made
    steps = [[step.id for step in chain.steps] for chain in chains(records)]
    assert steps == [["classify", "expand", "shrink"], ["classify", "alone"]]


def test_rows_show_the_sampling_and_the_maps_of_each_checkpoint(made) -> None:
    _, data, records = made
    first, second = sampling_sections(data, records, count=5, detail=DETAILS[2])
    assert first.columns == ("classify", "cam-before", "expand", "shrink", "cam-after")
    assert second.columns == ("classify", "cam-before", "alone")
    assert [row.id for row in first.rows] == ["val_0", "val_1", "val_2"] and len(second.rows) == 2
    row = first.rows[1]
    notes = [cell[0].note for cell in row.cells]
    assert notes == ["regular grid", "cat", "mean |offset| 0.50", "mean |offset| 0.25", "cat"]
    assert [len(cell) for cell in row.cells] == [1, 2, 1, 1, 2]
    drawn = base64.b64decode(row.cells[2][0].source.partition(",")[2]).decode()
    starts, tips = shafts_and_tips(drawn)
    assert all((x + 4, y + 4) == tip for (x, y), tip in zip(starts, tips, strict=True)) and len(starts) == 80


def test_a_broken_file_is_reported_in_its_cell(made) -> None:
    root, data, records = made
    path = offsets_path(root / "run" / "shrink", "val_2")
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    try:
        first, *_ = sampling_sections(data, records, count=6, detail=DETAILS[2])
        assert "unreadable" in first.rows[-1].cells[3][0].note
    finally:
        path.write_bytes(content)


def test_a_missing_or_broken_photograph_only_costs_its_row(made, tmp_path: Path) -> None:
    _, data, records = made
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    val = tuple(replace(split, image=broken) if split.id == "val_1" else split for split in data.split("val"))
    data = replace(data, splits={**data.splits, "val": val}, missing=frozenset({"val_0"}))
    first, *_ = sampling_sections(data, records, count=6, detail=DETAILS[2])
    assert [row.id for row in first.rows] == ["val_2"] and [one.id for one in first.unread] == ["val_0", "val_1"]


def test_the_page_has_the_comparison_the_plot_and_the_sampling_positions(made, tmp_path: Path) -> None:
    _, data, records = made
    scores = score_matrix(tmp_path, data, seeds=(0,), variants={"control": 0.2, "<other>": 0.3})
    config = COMPARE.config.model_validate({"reference": "control", "resamples": 50})
    run_stage(COMPARE, config, out=tmp_path / "compare", inputs={"scores": scores})
    compared = [read_record(score.path) for score in scores] + [read_record(tmp_path / "compare")]
    page = build_report([*records, *compared], data, Options("t", images=1, sampling=2)).html
    assert '<h2 id="h-comparison">' in page and 'alt="ORACLE. Precision–recall curves' in page
    assert "&lt;other&gt;" in page and "<other>" not in page
    assert "Individual scores of the comparison (4)" in page
    assert page.count('data-reason="sampling"') == 2 and 'class="tile offsets"' in page
    table = page[page.index('<table class="compare">') : page.index("</table>", page.index('<table class="compare">'))]
    assert table.count("ORACLE") == 2 and "reference" in table
    chosen = Options("t", images=2, columns=("cam-a*", "shrink", "classify"), sampling=2)
    few = build_report([*records, *compared], data, chosen).html
    start = few.index('<section id="gallery"')
    gallery = few[start : few.index("</section>", start)]
    assert "cam-after" in gallery and "cam-before" not in gallery and "ranked by mIoU in score-val@" in gallery


def test_the_instances_of_many_stages_are_merged(made, tmp_path: Path) -> None:
    _, data, _ = made
    run = RunBuilder(tmp_path / "run", data)
    for seed in range(30):
        run.network(f"classify@seed={seed}", "classify", {})
        run.stage(f"cam@seed={seed}", "cam", {"classifier": f"classify@seed={seed}"})
    records = [read_record(tmp_path / "run" / stage["id"]) for stage in run.stages]
    page = build_report(records, None, Options("t")).html
    assert "classify (classify ×30, done, 6\N{NO-BREAK SPACE}min" in page
    assert page.count('<g class="node') == 4  # wide and narrow
    assert page.count("30 instances") == 3
