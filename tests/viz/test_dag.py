from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from wsss.viz.report.dag import draw, layout
from wsss.viz.report.run_overview import StageRecord, in_order, masks_of, segmenter_of


def records(**needs: str) -> list[StageRecord]:
    return [
        StageRecord(name, "score", Path(name), seconds=1.0, needs=tuple(ids.split())) for name, ids in needs.items()
    ]


WEAK = {
    "classify": "",
    "cam": "classify",
    "pseudo": "cam",
    "crf": "pseudo cam",
    "score_pseudo": "pseudo",
    "segment": "crf",
}


def test_every_stage_comes_after_its_inputs() -> None:
    layers, edges = layout(records(**WEAK))
    depth = {name: number for number, layer in enumerate(layers) for name, _ in layer}
    assert [depth[name] for name in WEAK] == [0, 1, 2, 3, 3, 4]
    assert {(chain[0][0], chain[-1][0]) for chain in edges} == {
        (need, name) for name, needs in WEAK.items() for need in needs.split()
    }
    # An edge passes through each layer between its ends exactly once.
    assert all([layer for _, layer in chain] == list(range(chain[0][1], chain[-1][1] + 1)) for chain in edges)


def test_the_order_of_the_records_does_not_matter() -> None:
    ordered, _ = layout(records(**WEAK))
    for last in WEAK:  # stages without a folder are listed last
        layers, _ = layout(
            records(**{name: needs for name, needs in WEAK.items() if name != last}, **{last: WEAK[last]})
        )
        assert [set(layer) for layer in layers] == [set(layer) for layer in ordered]


def test_parallel_chains_do_not_cross() -> None:
    layers, _ = layout(records(a="", b="", b2="b", a2="a", a3="a2", b3="b2"))
    orders = [[name[0] for name, _ in layer] for layer in layers]
    assert orders[0] == orders[1] == orders[2]


@pytest.mark.parametrize("direction", ["right", "down"])
def test_boxes_are_inside_the_picture_and_disjoint(direction: str) -> None:
    root = ElementTree.fromstring(str(draw(records(**WEAK), direction)))  # type: ignore[arg-type]
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    boxes = [tuple(float(rect.attrib[key]) for key in ("x", "y", "width", "height")) for rect in root.iter("rect")]
    assert len(boxes) == len(WEAK)
    for index, (x, y, w, h) in enumerate(boxes):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        for x2, y2, w2, h2 in boxes[:index]:
            assert x + w < x2 or x2 + w2 < x or y + h < y2 or y2 + h2 < y
    assert "crf (score, done, 1.0\N{NO-BREAK SPACE}s) needs pseudo, cam" in root.attrib["aria-label"]


def test_names_are_escaped_and_unknown_inputs_ignored() -> None:
    root = ElementTree.fromstring(str(draw(records(**{"<b>": "elsewhere"}), "right")))
    assert next(text.text for text in root.iter("text")) == "<b>"
    assert not list(root.iter("path"))


def test_in_order_keeps_the_given_order_where_possible() -> None:
    assert [one.id for one in in_order(records(c="b", x="", b="a", a=""))] == ["x", "a", "b", "c"]
    assert {one.id for one in in_order(records(a="b", b="a"))} == {"a", "b"}


def test_origin_of_scored_masks(tmp_path: Path) -> None:
    for folder in ("cam/cams", "pseudo/masks", "predict/masks", "refined/masks", "segment"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "segment" / "model.json").write_text("{}")
    needs = {
        "cam": "", "pseudo": "cam", "segment": "pseudo", "predict": "segment", "refined": "predict",
        "s1": "pseudo", "s2": "predict", "s3": "refined", "s4": "elsewhere",
    }  # fmt: skip
    run = {name: StageRecord(name, name, tmp_path / name, needs=tuple(ids.split())) for name, ids in needs.items()}
    everything = list(run.values())
    masks = [masks_of(run[name], everything) for name in ("s1", "s2", "s3", "s4")]
    assert [mask and mask.id for mask in masks] == ["pseudo", "predict", "refined", None]
    networks = [segmenter_of(run[name], everything) for name in ("s1", "s2", "s3", "s4")]
    assert [network and network.id for network in networks] == [None, "segment", "segment", None]
