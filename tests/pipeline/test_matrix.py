from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.errors import InvalidInput
from wsss.io.text.instance_ids import instance_id, read_instance_id
from wsss.pipeline.config.matrix import agree, points, read_axes, values_at
from wsss.pipeline.config.source import parse_yaml

axes_strategy = st.dictionaries(
    st.sampled_from(["loss", "seed", "net", "data_set"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
    max_size=4,
).map(lambda axes: {axis: {str(v): v for v in values} for axis, values in axes.items()})


def read(text: str) -> Any:
    return read_axes(parse_yaml(text, "p.yaml"))


def test_axes_are_lists_or_mappings() -> None:
    axes = read("{loss: [ce, dice], seed: [0, 1], variant: {small: {width: 1}, large: {width: 2}}, flag: [true, null]}")
    assert axes["loss"] == {"ce": "ce", "dice": "dice"}
    assert axes["seed"] == {"0": 0, "1": 1}
    assert axes["variant"] == {"small": {"width": 1}, "large": {"width": 2}}
    assert axes["flag"] == {"true": True, "none": None}


def test_names_are_safe_for_a_shell() -> None:
    assert list(read("{loss: ['a b', c/d, 'x;rm *']}")["loss"]) == ["a-b", "c-d", "x-rm-"]


@pytest.mark.parametrize(
    ("text", "axis", "found"),
    [
        ("{a: []}", "a", None),
        ("{a: {}}", "a", None),
        ("{a: 3}", "a", 3),
        ("{a: [{x: 1}]}", "a", {"x": 1}),
        ("{a: [1, 1]}", "a", 1),
        ("{a: [x/y, x-y]}", "a", "x-y"),
        (f"{{a: [{'x' * 41}]}}", "a", "x" * 41),
        ("{a-b: [1]}", "a-b", "a-b"),
        ("{lr: ['${{ env.LR }}', 0.1]}", "lr", "${{ env.LR }}"),
        ("{lr: '${{ data.rates }}'}", "lr", "${{ data.rates }}"),
        ("{v: {small: {lr: [1, 'x-${{ seed }}']}}}", "v", "x-${{ seed }}"),
        ("{v: {small: {'${{ seed }}': 1}}}", "v", "${{ seed }}"),
    ],
)
def test_invalid_axes(text: str, axis: str, found: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        read(text)
    assert (error.value.subject, error.value.found) == (f"p.yaml:1: matrix.{axis}", found)


@given(axes_strategy)
def test_every_combination_comes_once_in_order(axes: Any) -> None:
    result = [tuple(point.items()) for point in points(axes, list(axes))]
    assert len(result) == len(set(result)) == math.prod(len(values) for values in axes.values())
    ids = {instance_id("s", dict(point)) for point in result}
    assert len(ids) == len(result)
    for point in result:
        assert [axis for axis, _ in point] == list(axes)
        assert values_at(axes, dict(point)) == {axis: axes[axis][name] for axis, name in point}


def test_ids() -> None:
    assert instance_id("segment", {}) == "segment"
    assert instance_id("segment", {"loss": "dice", "seed": "0"}) == "segment@loss=dice,seed=0"


@given(axes_strategy)
def test_points_agree_on_the_axes_they_share(axes: Any) -> None:
    half = list(axes)[::2]
    for point in points(axes, list(axes)):
        part = {axis: point[axis] for axis in half}
        assert agree(part, point)
        assert agree(point, part)
        assert sum(agree(other, point) for other in points(axes, half)) == 1


@given(axes_strategy, st.sampled_from(["segment", "score-val", "a.b_c"]))
def test_ids_can_be_read_back(axes: dict[str, dict[str, int]], stage: str) -> None:
    for point in points(axes, list(axes)):
        assert read_instance_id(instance_id(stage, point)) == (stage, point)


@pytest.mark.parametrize("name", ["", "@", "a@", "a@b", "@a=1", "a@b=1,c", "a@b=1,b=2"])
def test_other_names_have_no_point(name: str) -> None:
    assert read_instance_id(name) == (name, {})
